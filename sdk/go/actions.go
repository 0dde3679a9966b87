package bootsplice

import "encoding/json"

// Action is an Edit, a Command or a Service.
type Action interface{ isAction() }

// EditFormat is the structure of a file that is edited.
type EditFormat string

// Formats of edited files.
const (
	EditINI      EditFormat = "ini"
	EditJSON     EditFormat = "json"
	EditYAML     EditFormat = "yaml"
	EditTOML     EditFormat = "toml"
	EditKeyValue EditFormat = "key-value"
	EditSystemd  EditFormat = "systemd"
)

// Edit is a change of a structured file. Applied twice it changes nothing.
type Edit struct {
	File    string
	Format  EditFormat
	Changes []Change
	// Create makes the file when it does not exist.
	Create bool
	// OnChange lists commands (program and arguments) to run when something changed.
	OnChange [][]string
}

// Verb of a change.
type Verb string

// Verbs of changes.
const (
	VerbSet    Verb = "set"
	VerbRemove Verb = "remove"
	VerbAppend Verb = "append"
)

// Change is one change, made by Set, Append or Remove.
type Change struct {
	Verb Verb
	// Path is a JSON Pointer into the file's structure.
	Path string
	// Value is JSON, nil where there is none.
	Value json.RawMessage
	// Expected is JSON: when the present value is another, the edit is refused. Nil: any.
	Expected json.RawMessage
	err      error
}

// Set sets what is at path.
func Set(path string, value any) Change { return change(VerbSet, path, value) }

// Append adds value to the list at path.
func Append(path string, value any) Change { return change(VerbAppend, path, value) }

// Remove removes what is at path.
func Remove(path string) Change { return Change{Verb: VerbRemove, Path: path} }

func change(verb Verb, path string, value any) Change {
	text, err := json.Marshal(value)
	return Change{Verb: verb, Path: path, Value: text, err: err}
}

// Command is a script for the guest.
type Command struct {
	// Interpreter is /bin/sh when empty.
	Interpreter string
	// Text is at most 64 KiB and no template.
	Text      string
	Arguments []string
	// Environment holds what varies: its values may hold placeholders.
	Environment [][2]string
	// User is root when empty.
	User             string
	WorkingDirectory string
}

// Service is a unit of systemd.
type Service struct {
	// Unit is for example "nginx.service".
	Unit string
	// User names whose manager it belongs to; the system's when empty.
	User          string
	Enable, Start bool
}

func (Edit) isAction()    {}
func (Command) isAction() {}
func (Service) isAction() {}
