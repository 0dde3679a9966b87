// A generator for Prometheus' node exporter: what it listens on, what it collects, and labels of this very machine.
//
//   - id: metrics
//     use: node-exporter
//     at: base
//     with:
//     labels: {role: web, instance: "{{instance:id}}"}
//     collectors: {enable: [systemd], disable: [wifi]}
//
// It writes what Debian's prometheus-node-exporter reads: /etc/default and the directory of its textfile collector. The step runs late, so
// that the package is there.
package main

import (
	_ "embed"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	bootsplice "github.com/bootsplice/bootsplice/sdk/go"
)

const (
	service   = "prometheus-node-exporter"
	textfiles = "/var/lib/prometheus/node-exporter"
	maxFile   = 4 << 20
)

//go:embed schema.json
var schema string

//go:embed examples/labels.json
var example string

// Config is what the step's `with:` holds.
type Config struct {
	Listen     string            `json:"listen"`
	Labels     map[string]string `json:"labels"`
	Collectors Collectors        `json:"collectors"`
	Metrics    []File            `json:"metrics"`
}

// Collectors that run besides, or not at all.
type Collectors struct {
	Enable  []string `json:"enable"`
	Disable []string `json:"disable"`
}

// File of metrics from elsewhere.
type File struct {
	Name string `json:"name"`
	bootsplice.Source
}

// Exporter is the generator.
type Exporter struct{}

var plugin = bootsplice.New(Exporter{})

func init() { bootsplice.Export(plugin) }

func main() {}

// Describe says what this is.
func (Exporter) Describe() bootsplice.Descriptor {
	return bootsplice.Descriptor{
		ID: "node-exporter", Version: "0.1.0", Title: "Prometheus node exporter",
		Summary: "Labels, collectors and metrics of this machine for Prometheus.",
		Stage:   bootsplice.Late, Schema: schema, Examples: []bootsplice.Example{{Title: "Labels and collectors", Config: example}},
		Fetch: []string{"${config:/metrics/*/url}"}, Secrets: []string{"/metrics/*/credential"},
	}
}

// Validate finds what the schema cannot say.
func (Exporter) Validate(_ *bootsplice.Target, config Config) []bootsplice.Diagnostic {
	var found []bootsplice.Diagnostic
	for _, name := range slices.Sorted(maps.Keys(config.Labels)) {
		if fault := labelFault(name); fault != "" {
			found = append(found, bootsplice.Diagnostic{Pointer: bootsplice.Pointer("labels", name), Message: fault, Code: "invalid-label"})
		}
	}
	for index, name := range config.Collectors.Disable {
		if slices.Contains(config.Collectors.Enable, name) {
			found = append(found, bootsplice.Diagnostic{
				Pointer: bootsplice.Pointer("collectors", "disable", index), Code: "contradiction",
				Message: fmt.Sprintf("`%s` is enabled too", name), Hint: "name a collector in one of the two lists",
			})
		}
	}
	names := map[string]bool{"bootsplice": true}
	for index, file := range config.Metrics {
		if names[file.Name] {
			found = append(found, bootsplice.Diagnostic{
				Pointer: bootsplice.Pointer("metrics", index, "name"), Message: fmt.Sprintf("`%s` is taken", file.Name), Code: "duplicate-name",
			})
		}
		names[file.Name] = true
	}
	return found
}

// Resolve fetches the metrics and reads them once, so that a wrong file is found before anything is written.
func (Exporter) Resolve(_ bootsplice.Target, config Config, _ *bootsplice.Locked) (bootsplice.LockFile, error) {
	var lock bootsplice.LockFile
	for index, file := range config.Metrics {
		pin, content, err := bootsplice.PinSource(file.Name, file.Source)
		if err != nil {
			return lock, err
		}
		text, err := content.Bytes(maxFile)
		if err != nil {
			return lock, err
		}
		samples, err := read(string(text))
		if err != nil {
			return lock, bootsplice.ConfigError(bootsplice.Pointer("metrics", index, "url"), "%s", err)
		}
		bootsplice.Log.Info("read metrics", "file", file.Name, "samples", samples)
		lock.Pins = append(lock.Pins, pin)
	}
	bound, err := bootsplice.MaxOutput(func(sink *bootsplice.Sink) error { return write(config, sink) })
	// A pinned file costs what an entry costs; its bytes are the pin's.
	lock.MaxOutput = bound + 4096*uint64(len(config.Metrics))
	return lock, err
}

// Generate writes everything.
func (Exporter) Generate(_ bootsplice.Target, config Config, locked bootsplice.Locked, _ *bootsplice.Instance, sink *bootsplice.Sink) (bootsplice.Summary, error) {
	for _, file := range config.Metrics {
		content, err := locked.Open(file.Name)
		if err != nil {
			return bootsplice.Summary{}, err
		}
		if err := sink.Blob(fmt.Sprintf("%s/%s.prom", textfiles, file.Name), content); err != nil {
			return bootsplice.Summary{}, err
		}
	}
	note := fmt.Sprintf("%d labels and %d files of metrics", len(config.Labels), len(config.Metrics))
	return bootsplice.Summary{Notes: []string{note}}, write(config, sink)
}

func write(config Config, sink *bootsplice.Sink) error {
	if err := sink.File("/etc/default/"+service, arguments(config)); err != nil {
		return err
	}
	if len(config.Labels) > 0 {
		if err := sink.Template(textfiles+"/bootsplice.prom", labels(config.Labels)); err != nil {
			return err
		}
	}
	return sink.Service(bootsplice.Service{Unit: service + ".service", Enable: true, Start: true})
}

// arguments as Debian's unit reads them.
func arguments(config Config) string {
	listen := config.Listen
	if listen == "" {
		listen = ":9100"
	}
	given := []string{"--web.listen-address=" + listen, "--collector.textfile.directory=" + textfiles}
	for _, name := range config.Collectors.Enable {
		given = append(given, "--collector."+name)
	}
	for _, name := range config.Collectors.Disable {
		given = append(given, "--no-collector."+name)
	}
	return fmt.Sprintf("ARGS=\"%s\"\n", strings.Join(given, " "))
}

// labels as one sample. Its value says nothing; joins of queries take the labels.
func labels(values map[string]string) string {
	var made strings.Builder
	io.WriteString(&made, "# HELP node_labels Labels of this machine, from its launch.\n# TYPE node_labels gauge\nnode_labels{")
	for index, name := range slices.Sorted(maps.Keys(values)) {
		if index > 0 {
			io.WriteString(&made, ",")
		}
		value := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(values[name])
		fmt.Fprintf(&made, `%s="%s"`, name, value)
	}
	io.WriteString(&made, "} 1\n")
	return made.String()
}
