// Package bootsplicetest is a host for `go test`: it runs a generator through the same calls, checks and errors as a real one, without a
// network.
//
//	step, err := (&bootsplicetest.Host{}).Launch(plugin, map[string]any{"greeting": "hello"})
//
// It does not validate against the schema, verifies no signatures, decompresses gzip and bzip2 only, takes names that differ only in their
// Unicode form for different ones, and measures neither memory nor processor time.
package bootsplicetest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"

	bootsplice "github.com/bootsplice/bootsplice/sdk/go"
)

const maxLines = 20_000

// one generator at a time: what it calls is found through a variable of its package.
var one sync.Mutex

// Line of the log.
type Line struct {
	Level   bootsplice.Level
	Message string
	Fields  map[string]string
}

// Host for tests. The zero value has an empty network.
type Host struct {
	// Files is the network: URL to a string, []byte, or the error that it gives.
	Files map[string]any
	// Grants are URL prefixes that the operator gave; those of Files when nil.
	Grants []string
	// Secrets that the tenant owns, by name.
	Secrets []string
	// Inventory holds files of the image.
	Inventory map[string]string
	Limits    Limits
	// Target is the package's Target when it has no Distro.
	Target bootsplice.Target

	// Log, Cached and Fetched are what the runs left.
	Log     []Line
	Cached  map[string][]byte
	Fetched []string
}

// Lock is what Resolve answered, as the host keeps it.
type Lock struct {
	bootsplice.LockFile
	state []byte
}

// Validate gives the generator's findings. The configuration is anything that encoding/json writes.
func (h *Host) Validate(plugin *bootsplice.Plugin, config any) []bootsplice.Diagnostic {
	var found []bootsplice.Diagnostic
	h.within(newRun(pure, h.Limits), func() { found = plugin.Validate(nil, text(config)) })
	return found
}

// Resolve runs the generator's Resolve; previous may be nil.
func (h *Host) Resolve(plugin *bootsplice.Plugin, config any, previous *Lock) (Lock, error) {
	in := h.newRun(resolve, plugin, config)
	var made Lock
	var failed *bootsplice.Error
	h.within(in, func() {
		var former *bootsplice.Locked
		if previous != nil {
			former = locked(in, *previous)
		}
		made.LockFile, failed = plugin.Resolve(h.target(), text(config), former)
		if failed == nil && made.State != nil {
			made.state = made.State.Raw.(*blob).data
		}
	})
	if in.broken != nil {
		return Lock{}, in.broken
	}
	if failed != nil {
		return Lock{}, failed
	}
	return made, nil
}

// Generate runs the generator's Generate. The instance reaches it only where the lock asks for it; it may be nil.
func (h *Host) Generate(plugin *bootsplice.Plugin, config any, lock Lock, instance *bootsplice.Instance) (Step, error) {
	in := h.newRun(generate, plugin, config)
	in.pins = map[string]bootsplice.Pin{}
	pinned := int64(0)
	for _, pin := range lock.Pins {
		in.pins[pin.Digest] = pin
		pinned += int64(pin.Size)
	}
	if instance == nil {
		instance = &bootsplice.Instance{ID: "i-1", Profile: "test"}
	}
	if !lock.NeedsInstance {
		instance = nil
	}
	to := newSink(in)
	var summary bootsplice.Summary
	var failed *bootsplice.Error
	h.within(in, func() {
		summary, failed = plugin.Generate(h.target(), text(config), *locked(in, lock), instance, to)
	})
	if failed != nil {
		return Step{}, failed
	}
	step, err := to.finish()
	if err != nil {
		return Step{}, err
	}
	if wrote := in.used["output-bytes"]; wrote > int64(lock.MaxOutput)+pinned {
		return Step{}, fault("%d bytes were written; the lock file said %d besides the pins", wrote, lock.MaxOutput)
	}
	step.Notes, step.RebootRequired = summary.Notes, summary.RebootRequired
	return step, nil
}

// Launch makes all calls in the host's order.
func (h *Host) Launch(plugin *bootsplice.Plugin, config any) (Step, error) {
	var wrong []bootsplice.Diagnostic
	for _, finding := range h.Validate(plugin, config) {
		if finding.Severity == bootsplice.SeverityError {
			wrong = append(wrong, finding)
		}
	}
	if len(wrong) > 0 {
		return Step{}, bootsplice.Invalid(wrong...)
	}
	lock, err := h.Resolve(plugin, config, nil)
	if err != nil {
		return Step{}, err
	}
	return h.Generate(plugin, config, lock, nil)
}

func (h *Host) newRun(in phase, plugin *bootsplice.Plugin, config any) *run {
	var descriptor bootsplice.Descriptor
	h.within(newRun(pure, h.Limits), func() { descriptor = plugin.Describe() })
	var document any
	if err := json.Unmarshal([]byte(text(config)), &document); err != nil {
		panic(err)
	}
	made := newRun(in, h.Limits)
	grants := h.Grants
	if grants == nil {
		for from := range h.Files {
			grants = append(grants, from)
		}
	}
	for _, grant := range grants {
		for _, wish := range wishes(descriptor.Fetch, document) {
			if met := meet(grant, wish); met != "" {
				made.grants = append(made.grants, met)
			}
		}
	}
	made.granted, made.secrets = map[string]bool{}, map[string]bool{}
	for _, at := range descriptor.Secrets {
		for _, value := range selected(document, at) {
			if name, ok := value.(string); ok {
				made.granted[name], made.secrets[name] = true, true
			}
		}
	}
	for _, value := range stringsIn(document) {
		for _, start := range opening.FindAllStringIndex(value, -1) {
			if found := hole.FindStringSubmatch(value[start[0]:]); found != nil && found[3] != "" {
				made.secrets[found[3]] = true
			}
		}
	}
	return made
}

func (h *Host) target() bootsplice.Target {
	if h.Target.Distro == "" {
		return Target
	}
	return h.Target
}

// within runs a call of the generator on this host.
func (h *Host) within(in *run, call func()) {
	one.Lock()
	defer one.Unlock()
	secrets := map[string]bool{}
	for _, name := range h.Secrets {
		secrets[name] = true
	}
	former := bootsplice.SetHost(&imports{h, in, web{in, h.Files, secrets, &h.Fetched}})
	defer bootsplice.SetHost(former)
	call()
}

func locked(in *run, lock Lock) *bootsplice.Locked {
	made := &bootsplice.Locked{Pins: lock.Pins}
	if lock.State != nil {
		made.State = &bootsplice.Blob{Raw: &blob{run: in, data: lock.state}}
	}
	return made
}

func text(config any) string {
	made, err := json.Marshal(config)
	if err != nil {
		panic(err)
	}
	return string(made)
}

// selected are the values at a pointer whose tokens may be `*`: every member or item.
func selected(document any, pattern string) []any {
	found := []any{document}
	for _, token := range strings.Split(pattern, "/")[1:] {
		name := strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		var below []any
		for _, value := range found {
			switch value := value.(type) {
			case map[string]any:
				if token == "*" {
					for _, item := range value {
						below = append(below, item)
					}
				} else if item, ok := value[name]; ok {
					below = append(below, item)
				}
			case []any:
				if token == "*" {
					below = append(below, value...)
				} else if at, err := strconv.Atoi(name); err == nil && at >= 0 && at < len(value) {
					below = append(below, value[at])
				}
			}
		}
		found = below
	}
	return found
}

// imports are what the generator calls.
type imports struct {
	host *Host
	run  *run
	web  web
}

func (i *imports) Log(level bootsplice.Level, message string, fields [][2]string) {
	cost := len(message)
	named := map[string]string{}
	for _, field := range fields {
		cost += len(field[0]) + len(field[1])
		named[field[0]] = field[1]
	}
	// Past the limit lines are dropped; nothing fails.
	if i.run.used["log-bytes"]+int64(cost) <= i.run.limits["log-bytes"] && len(i.host.Log) < maxLines {
		i.run.used["log-bytes"] += int64(cost)
		i.host.Log = append(i.host.Log, Line{level, message, named})
	}
}

func (i *imports) Progress(string, uint64, *uint64) {}
func (i *imports) IsCancelled() bool                { return false }

func (i *imports) Fetch(requests []bootsplice.Request) []bootsplice.Answer {
	return i.web.fetch(requests)
}

func (i *imports) ReadFile(name string) bootsplice.HostBlob {
	content, ok := i.host.Inventory[name]
	if !ok || i.run.phase != resolve {
		return nil
	}
	return &blob{run: i.run, data: []byte(content)}
}

func (i *imports) ListFiles() []string {
	var names []string
	if i.run.phase == resolve {
		for name := range i.host.Inventory {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (i *imports) Verify(_, _ bootsplice.HostBlob, _ []bootsplice.Keyring) (bootsplice.HostBlob, []bootsplice.Signature, error) {
	return nil, nil, unsupported("the fake host verifies no signatures: test that against a real one")
}

func (i *imports) Seen(string, uint64) (*uint64, error) {
	return nil, unsupported("the fake host verifies no signatures: test that against a real one")
}

func (i *imports) CacheGet(key string) bootsplice.HostBlob {
	content, ok := i.host.Cached[key]
	if !ok || i.run.phase != resolve {
		return nil
	}
	return &blob{run: i.run, data: content}
}

func (i *imports) CachePut(key string, value bootsplice.HostBlob, _ *uint32) error {
	if err := i.run.onlyIn("the cache", resolve); err != nil {
		return err
	}
	if err := i.run.take("cache-bytes", int64(value.Size())); err != nil {
		return err
	}
	if i.host.Cached == nil {
		i.host.Cached = map[string][]byte{}
	}
	i.host.Cached[key] = value.(*blob).data
	return nil
}

func (i *imports) NewBuilder() bootsplice.HostBuilder { return &builder{run: i.run} }
