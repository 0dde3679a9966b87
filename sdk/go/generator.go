package bootsplice

import "time"

// Generator turns one step of a profile into content. C is what the step's `with:` holds, as encoding/json reads it.
//
// Describe and Validate are pure. Resolve may fetch what was granted and decides every artefact. Generate sees only what the lock file
// names, and the same inputs give the same bytes.
type Generator[C any] interface {
	Describe() Descriptor
	// Validate finds what the schema cannot say. There is no target while a profile is saved.
	Validate(target *Target, config C) []Diagnostic
	Resolve(target Target, config C, previous *Locked) (LockFile, error)
	// Generate gets the instance only where the lock file says NeedsInstance.
	Generate(target Target, config C, locked Locked, instance *Instance, sink *Sink) (Summary, error)
}

// Descriptor says what a generator is.
type Descriptor struct {
	// ID is `[a-z0-9-]{1,40}`: what `use:` names.
	ID string
	// Version is semantic.
	Version string
	Title   string
	Summary string
	// OSFamilies are Linux alone when empty.
	OSFamilies []OSFamily
	// Stage is Files when empty.
	Stage Stage
	// Fetch lists origins and prefixes that Resolve wants: "https://deb.debian.org/", "${config:/sources/*/url}", "https://*/".
	Fetch []string
	// Secrets lists JSON Pointers to where names of secrets stand in the configuration: "/secrets/*".
	Secrets []string
	// Schema is a JSON Schema 2020-12. Embed it: `//go:embed schema.json`.
	Schema string
	// Examples are valid against the schema.
	Examples []Example
	// JoinsSteps: all steps of a profile with this generator are one.
	JoinsSteps bool
}

// Example is a configuration as JSON.
type Example struct{ Title, Config string }

// OSFamily is a kind of guest.
type OSFamily string

// Families of systems.
const (
	Linux   OSFamily = "linux"
	Windows OSFamily = "windows"
	BSD     OSFamily = "bsd"
	OtherOS OSFamily = "other"
)

// Stage is when the agent runs a step.
type Stage string

// Stages of a boot.
const (
	Files    Stage = "files"
	Packages Stage = "packages"
	Late     Stage = "late"
)

// Target is whom the content is for, as far as that may be shared between launches.
type Target struct {
	OS OSFamily
	// Distro is ID of os-release: "debian".
	Distro string
	// Release is VERSION_CODENAME, or VERSION_ID where there is none: "bookworm".
	Release string
	// Arch is Debian's name of the architecture: "amd64".
	Arch           string
	InsertionPoint string
	// SourceDateEpoch is the job's only clock.
	SourceDateEpoch time.Time
	// Features of the guest's agent, for example "edit-v1".
	Features []string
}

// Instance is one launch's own half.
type Instance struct {
	ID, Profile string
	Attributes  map[string]string
}

// Pin is an artefact in the lock file.
type Pin struct {
	Name, Version string
	URLs          []string
	// Digest is `sha256:` and 64 lower-case hex digits.
	Digest string
	Size   uint64
	// Attributes are the generator's own: role, licence, purl.
	Attributes map[string]string
}

// LockFile is what Resolve decided.
type LockFile struct {
	Pins []Pin
	// State is handed back to Generate; opaque to the host.
	State *Blob
	// FreshFor is how long the same answer may be used again, in whole seconds; 0: until it is asked for anew.
	FreshFor time.Duration
	// NeedsInstance makes Generate run once per launch.
	NeedsInstance bool
	// MaxOutput bounds the bytes that Generate writes besides the pins. See the function MaxOutput.
	MaxOutput uint64
}

// Locked is a lock file on its way back.
type Locked struct {
	Pins  []Pin
	State *Blob
}

// Open gives the bytes of the pin called name.
func (l Locked) Open(name string) (*Blob, error) {
	for _, pin := range l.Pins {
		if pin.Name == name {
			response, err := Fetch(Request{
				URLs: pin.URLs, Digest: pin.Digest, MaxSize: pin.Size, Credential: pin.Attributes["credential"],
			})
			return response.Content, err
		}
	}
	return nil, Errorf(NotFound, "the lock file has no pin `%s`: it was made for another configuration; resolve again", name)
}

// Summary is what Generate says when it is done.
type Summary struct {
	// Notes are for people.
	Notes          []string
	RebootRequired bool
}
