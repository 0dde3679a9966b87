package bootsplicetest

import (
	"encoding/json"
	"regexp"
	"strings"

	bootsplice "github.com/bootsplice/bootsplice/sdk/go"
)

const (
	maxInline  = 1 << 20
	maxActions = 1000
	entryCost  = 512
)

var (
	opening = regexp.MustCompile(`\{\{(instance:|secret:)`)
	hole    = regexp.MustCompile(`^\{\{(instance:(id|profile|attributes\.[A-Za-z0-9._-]{1,128})|secret:([A-Za-z0-9._-]{1,128}))\}\}`)
)

// Kind of an entry.
type Kind string

// Kinds of entries.
const (
	File     Kind = "file"
	Template Kind = "template"
	Dir      Kind = "dir"
	Symlink  Kind = "symlink"
)

// Entry is one thing in the archive. Text is a file's or template's content, or a link's target.
type Entry struct {
	Kind   Kind
	Text   string
	Attrs  bootsplice.Attrs
	Format bootsplice.TemplateFormat
}

// Step is what one run of Generate made.
type Step struct {
	Entries        map[string]Entry
	Actions        []bootsplice.Action
	Notes          []string
	RebootRequired bool
}

// sink is the archive in the test's own memory: every entry and action through the host's checks.
type sink struct {
	run  *run
	step Step
	// open holds places set aside for writers that are not finished.
	open map[string]bool
}

func newSink(in *run) *sink {
	return &sink{in, Step{Entries: map[string]Entry{}}, map[string]bool{}}
}

func (s *sink) PutBlob(path string, attrs bootsplice.Attrs, content bootsplice.HostBlob) error {
	return s.file(path, attrs, content.(*blob).data)
}

func (s *sink) PutBytes(path string, attrs bootsplice.Attrs, content []byte) error {
	if err := checkInline("put-bytes", len(content)); err != nil {
		return err
	}
	return s.file(path, attrs, content)
}

func (s *sink) PutTemplate(path string, attrs bootsplice.Attrs, text string, format bootsplice.TemplateFormat) error {
	if err := checkInline("put-template", len(text)); err != nil {
		return err
	}
	if err := s.charge(len(text)); err != nil {
		return err
	}
	hasHoles, err := s.checkText(text, "template "+path+": ")
	if err != nil {
		return err
	}
	if !hasHoles {
		return s.add(path, Entry{File, text, attrs, ""})
	}
	return s.add(path, Entry{Template, text, attrs, format})
}

func (s *sink) PutDir(path string, attrs bootsplice.Attrs) error {
	if held, ok := s.step.Entries[path]; ok && held.Kind == Dir && sameAttrs(held.Attrs, attrs) {
		return nil
	}
	return s.add(path, Entry{Dir, "", attrs, ""})
}

func (s *sink) PutSymlink(path, to string) error {
	if fault := pathFault(path); fault != "" {
		return denied("path `%s`: %s", path, fault)
	}
	if fault := linkFault(path, to); fault != "" {
		return denied("path `%s -> %s`: %s", path, to, fault)
	}
	if err := s.charge(len(to)); err != nil {
		return err
	}
	return s.add(path, Entry{Symlink, to, bootsplice.Attrs{Mode: 0o777, OnConflict: bootsplice.Fail}, ""})
}

func (s *sink) Create(path string, attrs bootsplice.Attrs) (bootsplice.HostWriter, error) {
	if err := s.place(path, attrs, false); err != nil {
		return nil, err
	}
	s.open[path] = true
	return &writer{sink: s, path: path, attrs: attrs}, nil
}

func (s *sink) AddAction(action bootsplice.Action) error {
	if err := s.run.onlyIn("archive", generate); err != nil {
		return err
	}
	if err := checkAction(action); err != nil {
		return err
	}
	if len(s.step.Actions) >= maxActions {
		return s.run.take("output-entries", 1<<62)
	}
	for _, text := range placeholderTexts(action) {
		if _, err := s.checkText(text, ""); err != nil {
			return err
		}
	}
	text, err := json.Marshal(action)
	if err != nil {
		return unsupported("%s", err)
	}
	if err := s.charge(len(text)); err != nil {
		return err
	}
	s.step.Actions = append(s.step.Actions, action)
	return nil
}

// finish gives the step, when no limit was reached and every writer was finished.
func (s *sink) finish() (Step, error) {
	if s.run.broken != nil {
		return Step{}, s.run.broken
	}
	for path := range s.open {
		return Step{}, fault("the writer of %s was never finished", path)
	}
	return s.step, nil
}

func (s *sink) file(path string, attrs bootsplice.Attrs, data []byte) error {
	if err := s.charge(len(data)); err != nil {
		return err
	}
	return s.add(path, Entry{File, string(data), attrs, ""})
}

func (s *sink) add(path string, entry Entry) error {
	if err := s.place(path, entry.Attrs, entry.Kind == Dir); err != nil {
		return err
	}
	s.step.Entries[path] = entry
	return nil
}

// place checks where an entry goes. Names that differ only in their Unicode form collide on a real host; here they do not, as Go's own
// library has no normal forms.
func (s *sink) place(path string, attrs bootsplice.Attrs, isDir bool) error {
	if err := s.run.onlyIn("archive", generate); err != nil {
		return err
	}
	if fault := pathFault(path); fault != "" {
		return denied("path `%.200s`: %s", path, fault)
	}
	if attrs.Mode > 0o777 {
		return denied("%s: mode %o has bits beyond 0777 (setuid, setgid, sticky)", path, attrs.Mode)
	}
	if attrs.Owner != nil {
		for _, name := range []string{attrs.Owner.User, attrs.Owner.Group} {
			if userFault(name) {
				return denied("%s: `%s` is no user's or group's name", path, name)
			}
		}
	}
	if s.has(path) {
		return denied("%s: the step already has an entry of this name", path)
	}
	for end := strings.LastIndexByte(path, '/'); end > 0; end = strings.LastIndexByte(path[:end], '/') {
		if above := path[:end]; s.has(above) && s.step.Entries[above].Kind != Dir {
			return denied("%s: it lies below an entry that is no directory", path)
		}
	}
	if !isDir {
		for other := range s.step.Entries {
			if strings.HasPrefix(other, path+"/") {
				return denied("%s: the step has entries below it, so it must be a directory", path)
			}
		}
	}
	if err := s.run.take("output-entries", 1); err != nil {
		return err
	}
	return s.charge(entryCost + len(path))
}

func (s *sink) has(path string) bool {
	_, ok := s.step.Entries[path]
	return ok || s.open[path]
}

func (s *sink) charge(count int) error {
	if err := s.run.onlyIn("archive", generate); err != nil {
		return err
	}
	return s.run.take("output-bytes", int64(count))
}

// checkText is true when the text has placeholders. It refuses a misspelt one, and a secret that the configuration does not name.
func (s *sink) checkText(text, what string) (bool, error) {
	starts := opening.FindAllStringIndex(text, -1)
	for _, start := range starts {
		found := hole.FindStringSubmatch(text[start[0]:])
		if found == nil {
			return false, unsupported(
				"%s`%.60s` is not a placeholder: use {{instance:id}}, {{instance:profile}}, {{instance:attributes.NAME}} or {{secret:NAME}}",
				what, text[start[0]:])
		}
		if name := found[3]; name != "" && !s.run.secrets[name] {
			return false, denied("secret `%s` is not named in the step's configuration where its generator says that secrets stand", name)
		}
	}
	return len(starts) > 0, nil
}

// writer of one entry.
type writer struct {
	sink  *sink
	path  string
	attrs bootsplice.Attrs
	data  []byte
	spent bool
}

func (w *writer) Write(data []byte) error {
	if err := checkWrite(data); err != nil {
		return err
	}
	return w.add(data)
}

func (w *writer) Append(content bootsplice.HostBlob) error { return w.add(content.(*blob).data) }

func (w *writer) Finish() error {
	if w.spent {
		return unsupported("the writer is finished already")
	}
	w.spent = true
	delete(w.sink.open, w.path)
	w.sink.step.Entries[w.path] = Entry{File, string(w.data), w.attrs, ""}
	return nil
}

func (w *writer) add(data []byte) error {
	if err := w.sink.charge(len(data)); err != nil {
		return err
	}
	if w.spent {
		return unsupported("the writer is finished already")
	}
	w.data = append(w.data, data...)
	return nil
}

func checkInline(call string, count int) error {
	if count > maxInline {
		return unsupported("%s of %d bytes; %d are allowed, use create or a blob for more", call, count, maxInline)
	}
	return nil
}

func sameAttrs(one, other bootsplice.Attrs) bool {
	sameOwner := one.Owner == other.Owner || one.Owner != nil && other.Owner != nil && *one.Owner == *other.Owner
	return sameOwner && one.Mode == other.Mode && one.OnConflict == other.OnConflict
}
