package bootsplice

import (
	"time"

	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_archive"
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_blobs"
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_generator"
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_plugin_info"
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_types"
	export_generator "github.com/bootsplice/bootsplice/sdk/go/internal/bindings/export_bootsplice_generator_generator"
	export_info "github.com/bootsplice/bootsplice/sdk/go/internal/bindings/export_bootsplice_generator_plugin_info"
	_ "github.com/bootsplice/bootsplice/sdk/go/internal/bindings/wit_exports"
	"github.com/bootsplice/bootsplice/sdk/go/internal/wit/types"
)

// The bindings call these; what an author exported answers.
func init() {
	host = contract{}
	export_info.DescribeWith = func() bootsplice_generator_plugin_info.Descriptor { return rawDescriptor(plugin().Describe()) }
	export_info.ValidateWith = func(target wit_types.Option[bootsplice_generator_types.Target], config string) []bootsplice_generator_types.Diagnostic {
		var whom *Target
		if target.IsSome() {
			known := ofTarget(target.Some())
			whom = &known
		}
		return rawFindings(plugin().Validate(whom, config))
	}
	export_generator.ResolveWith = func(target bootsplice_generator_types.Target, config string, previous wit_types.Option[bootsplice_generator_generator.Locked]) wit_types.Result[bootsplice_generator_generator.LockFile, bootsplice_generator_types.Error] {
		var former *Locked
		if previous.IsSome() {
			known := ofLocked(previous.Some())
			former = &known
		}
		made, err := plugin().Resolve(ofTarget(target), config, former)
		if err != nil {
			return wit_types.Err[bootsplice_generator_generator.LockFile](rawError(err))
		}
		return wit_types.Ok[bootsplice_generator_generator.LockFile, bootsplice_generator_types.Error](rawLockFile(made))
	}
	export_generator.GenerateWith = func(target bootsplice_generator_types.Target, config string, pinned bootsplice_generator_generator.Locked, who wit_types.Option[bootsplice_generator_types.Instance], dest *bootsplice_generator_archive.Sink) wit_types.Result[bootsplice_generator_generator.Summary, bootsplice_generator_types.Error] {
		// A borrowed handle is given back before the call ends.
		defer dest.Drop()
		var instance *Instance
		if who.IsSome() {
			raw := who.Some()
			instance = &Instance{raw.Id, raw.Profile, ofPairs(raw.Attributes)}
		}
		made, err := plugin().Generate(ofTarget(target), config, ofLocked(pinned), instance, sink{dest})
		if err != nil {
			return wit_types.Err[bootsplice_generator_generator.Summary](rawError(err))
		}
		summary := bootsplice_generator_generator.Summary{Notes: made.Notes, RebootRequired: made.RebootRequired}
		return wit_types.Ok[bootsplice_generator_generator.Summary, bootsplice_generator_types.Error](summary)
	}
}

func plugin() *Plugin {
	if exported == nil {
		panic("no generator: call bootsplice.Export in an init function")
	}
	return exported
}

func ofTarget(raw bootsplice_generator_types.Target) Target {
	return Target{
		OS: osFamilies[raw.Os], Distro: raw.Distro, Release: raw.Release, Arch: raw.Arch, InsertionPoint: raw.InsertionPoint,
		SourceDateEpoch: time.Unix(int64(raw.SourceDateEpoch), 0).UTC(), Features: raw.Features,
	}
}

func ofLocked(raw bootsplice_generator_generator.Locked) Locked {
	made := Locked{State: known(ofBlob(raw.State))}
	for _, pin := range raw.Pins {
		made.Pins = append(made.Pins, Pin{pin.Name, pin.Version, pin.Urls, pin.Digest, pin.Size, ofPairs(pin.Attributes)})
	}
	return made
}

func rawLockFile(made LockFile) bootsplice_generator_generator.LockFile {
	raw := bootsplice_generator_generator.LockFile{
		State: wit_types.None[*bootsplice_generator_blobs.Blob](), FreshForS: wit_types.None[uint32](),
		NeedsInstance: made.NeedsInstance, MaxOutput: made.MaxOutput,
	}
	for _, pin := range made.Pins {
		raw.Pins = append(raw.Pins, bootsplice_generator_generator.Pin{
			Name: pin.Name, Version: pin.Version, Urls: pin.URLs, Digest: pin.Digest, Size: pin.Size, Attributes: rawMap(pin.Attributes),
		})
	}
	if made.State != nil {
		raw.State = wit_types.Some(handle(made.State.Raw))
	}
	if made.FreshFor > 0 {
		raw.FreshForS = wit_types.Some(uint32(made.FreshFor / time.Second))
	}
	return raw
}

func rawDescriptor(made Descriptor) bootsplice_generator_plugin_info.Descriptor {
	raw := bootsplice_generator_plugin_info.Descriptor{
		Id: made.ID, Version: made.Version, Title: made.Title, Summary: made.Summary, Stage: index(stages, made.Stage),
		Capabilities: bootsplice_generator_plugin_info.CapabilityRequest{Fetch: made.Fetch, Secrets: made.Secrets},
		ConfigSchema: made.Schema, JoinsSteps: made.JoinsSteps,
	}
	for _, family := range made.OSFamilies {
		raw.OsFamilies = append(raw.OsFamilies, index(osFamilies, family))
	}
	for _, example := range made.Examples {
		raw.Examples = append(raw.Examples, bootsplice_generator_plugin_info.Example{Title: example.Title, Config: example.Config})
	}
	return raw
}
