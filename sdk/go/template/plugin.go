// A generator for bootsplice: greets whoever logs in.
package main

import (
	_ "embed"
	"strings"

	bootsplice "github.com/bootsplice/bootsplice/sdk/go"
)

//go:embed schema.json
var schema string

// Config is `with:` of a step. The same as in schema.json, by which the host checks it first.
type Config struct {
	Greeting string `json:"greeting"`
}

// Plugin is the generator.
type Plugin struct{}

var plugin = bootsplice.New(Plugin{})

func init() { bootsplice.Export(plugin) }

// main never runs in a component.
func main() {}

// Describe says what this is.
func (Plugin) Describe() bootsplice.Descriptor {
	return bootsplice.Descriptor{
		ID:       "{{name}}",
		Version:  "0.1.0",
		Title:    "Greeting",
		Summary:  "Greets whoever logs in.",
		Schema:   schema,
		Examples: []bootsplice.Example{{Title: "A greeting", Config: `{"greeting": "Welcome to {{instance:id}}"}`}},
	}
}

// Validate finds what the schema cannot say.
func (Plugin) Validate(_ *bootsplice.Target, config Config) []bootsplice.Diagnostic {
	if strings.TrimSpace(config.Greeting) != "" {
		return nil
	}
	return []bootsplice.Diagnostic{{
		Pointer: "/greeting", Code: "blank", Message: "the greeting is blank", Hint: "write one, or drop the step",
	}}
}

// Resolve fetches nothing, so there is nothing to pin.
func (Plugin) Resolve(_ bootsplice.Target, config Config, _ *bootsplice.Locked) (bootsplice.LockFile, error) {
	bound, err := bootsplice.MaxOutput(func(sink *bootsplice.Sink) error { return write(config, sink) })
	return bootsplice.LockFile{MaxOutput: bound}, err
}

// Generate writes the content.
func (Plugin) Generate(_ bootsplice.Target, config Config, _ bootsplice.Locked, _ *bootsplice.Instance, sink *bootsplice.Sink) (bootsplice.Summary, error) {
	return bootsplice.Summary{}, write(config, sink)
}

func write(config Config, sink *bootsplice.Sink) error {
	// The host fills placeholders in per launch.
	return sink.Template("/etc/motd.d/{{name}}", config.Greeting+"\n", bootsplice.Format(bootsplice.Plain))
}
