package bootsplice

import (
	"path"
	"strings"
)

// Sink is where content goes: entries, then actions. The host writes the archive. Paths are "/etc/motd", or "~ada/notes.txt" for what lies
// in a user's home.
type Sink struct{ Raw HostSink }

// Attrs of an entry.
type Attrs struct {
	// Mode is 0 to 0o777.
	Mode uint32
	// Owner is nil for root, or for whose home it is.
	Owner      *Ownership
	OnConflict Conflict
}

// Ownership by names, resolved in the guest.
type Ownership struct{ User, Group string }

// Conflict says what the agent does when the path exists with other content.
type Conflict string

// Answers to a conflict.
const (
	Fail         Conflict = "fail"
	Replace      Conflict = "replace"
	KeepExisting Conflict = "keep-existing"
	Backup       Conflict = "backup"
)

// TemplateFormat is how the host escapes what it fills into a template.
type TemplateFormat string

// Formats of templates.
const (
	Plain TemplateFormat = "plain"
	Shell TemplateFormat = "shell"
	JSON  TemplateFormat = "json"
	YAML  TemplateFormat = "yaml"
	INI   TemplateFormat = "ini"
)

// Option changes an entry's attributes: mode 0644 (directories 0755), no owner, Replace.
type Option func(*entry)

type entry struct {
	attrs  Attrs
	format TemplateFormat
}

// Mode of an entry, 0 to 0o777.
func Mode(mode uint32) Option { return func(made *entry) { made.attrs.Mode = mode } }

// Owner of an entry; an empty group is the user's name.
func Owner(user, group string) Option {
	return func(made *entry) { made.attrs.Owner = &Ownership{or(user, "root"), or(group, user)} }
}

// OnConflict says what happens when the path exists with other content.
func OnConflict(answer Conflict) Option {
	return func(made *entry) { made.attrs.OnConflict = answer }
}

// Format of a template; from the path's ending when absent.
func Format(format TemplateFormat) Option { return func(made *entry) { made.format = format } }

// File adds a file of any size.
func (s *Sink) File(path, content string, options ...Option) error {
	return s.Bytes(path, []byte(content), options...)
}

// Bytes adds a file of any size.
func (s *Sink) Bytes(path string, content []byte, options ...Option) error {
	made := newEntry(0o644, options)
	if len(content) <= mib {
		return s.Raw.PutBytes(path, made.attrs, content)
	}
	writer, err := s.Create(path, options...)
	if err != nil {
		return err
	}
	if _, err := writer.Write(content); err != nil {
		return err
	}
	return writer.Close()
}

// Blob adds a file whose bytes the host has.
func (s *Sink) Blob(path string, content *Blob, options ...Option) error {
	return s.Raw.PutBlob(path, newEntry(0o644, options).attrs, content.Raw)
}

// Template adds text in which the host fills {{instance:id}}, {{instance:profile}}, {{instance:attributes.NAME}} and {{secret:NAME}} per
// launch, escaped for the format. The generator is not run again for it.
func (s *Sink) Template(path, text string, options ...Option) error {
	made := newEntry(0o644, options)
	return s.Raw.PutTemplate(path, made.attrs, text, or(made.format, formatOf(path)))
}

// Dir adds a directory.
func (s *Sink) Dir(path string, options ...Option) error {
	return s.Raw.PutDir(path, newEntry(0o755, options).attrs)
}

// Symlink adds a link; to is relative and stays inside the root or the home.
func (s *Sink) Symlink(path, to string) error { return s.Raw.PutSymlink(path, to) }

// Create adds a file whose content comes piece by piece. It exists once Close succeeded.
func (s *Sink) Create(path string, options ...Option) (*Writer, error) {
	raw, err := s.Raw.Create(path, newEntry(0o644, options).attrs)
	if err != nil {
		return nil, err
	}
	return &Writer{raw}, nil
}

// UnpackOptions say how the members of an archive are unpacked.
type UnpackOptions struct {
	// Zip: the archive is a zip, not a tar.
	Zip bool
	// StripComponents drops leading path segments of each member's name.
	StripComponents uint32
	// Mode for all; from the members where nil.
	Mode       *uint32
	Owner      *Ownership
	OnConflict Conflict
}

// Unpack adds the members of an archive below prefix, and answers how many.
func (s *Sink) Unpack(prefix string, content *Blob, options UnpackOptions) (uint32, error) {
	options.OnConflict = or(options.OnConflict, Replace)
	return s.Raw.Unpack(prefix, content.Raw, options)
}

// Edit changes a structured file that is in the guest.
func (s *Sink) Edit(edit Edit) error {
	for _, change := range edit.Changes {
		if change.err != nil {
			return Errorf(Unsupported, "the value for %s of %s is no JSON: %s", change.Path, edit.File, change.err)
		}
	}
	return s.Raw.AddAction(edit)
}

// Run runs a script in the guest.
func (s *Sink) Run(command Command) error {
	command.Interpreter = or(command.Interpreter, "/bin/sh")
	return s.Raw.AddAction(command)
}

// Service enables and starts a unit.
func (s *Sink) Service(service Service) error { return s.Raw.AddAction(service) }

// Writer takes the content of one entry. Without Close there is no entry, and the step fails.
type Writer struct{ Raw HostWriter }

// Write as io.Writer says.
func (w *Writer) Write(data []byte) (int, error) {
	for done := 0; done < len(data); {
		piece := data[done:min(len(data), done+maxWrite)]
		if err := w.Raw.Write(piece); err != nil {
			return done, err
		}
		done += len(piece)
	}
	return len(data), nil
}

// Append adds bytes that the host has.
func (w *Writer) Append(content *Blob) error { return w.Raw.Append(content.Raw) }

// Close makes the entry.
func (w *Writer) Close() error { return w.Raw.Finish() }

func newEntry(mode uint32, options []Option) entry {
	made := entry{attrs: Attrs{Mode: mode, OnConflict: Replace}}
	for _, option := range options {
		option(&made)
	}
	return made
}

func formatOf(file string) TemplateFormat {
	switch strings.TrimPrefix(path.Ext(file), ".") {
	case "sh", "bash":
		return Shell
	case "json":
		return JSON
	case "yaml", "yml":
		return YAML
	case "ini", "desktop", "service", "socket", "timer", "mount", "network":
		return INI
	}
	return Plain
}
