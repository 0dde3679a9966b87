// Package bootsplice turns a type with four methods into a generator: a WebAssembly component that any bootsplice host runs.
//
//	type Config struct {
//		Greeting string `json:"greeting"`
//	}
//
//	type Motd struct{}
//
//	func (Motd) Describe() bootsplice.Descriptor { … }
//	func (Motd) Validate(target *bootsplice.Target, config Config) []bootsplice.Diagnostic { return nil }
//	func (m Motd) Resolve(target bootsplice.Target, config Config, previous *bootsplice.Locked) (bootsplice.LockFile, error) { … }
//	func (m Motd) Generate(target bootsplice.Target, config Config, locked bootsplice.Locked, instance *bootsplice.Instance, sink *bootsplice.Sink) (bootsplice.Summary, error) {
//		return bootsplice.Summary{}, sink.File("/etc/motd", config.Greeting+"\n")
//	}
//
//	var plugin = bootsplice.New(Motd{})
//
//	func init() { bootsplice.Export(plugin) }
//	func main() {}
//
// Package bootsplicetest is a host for `go test`.
package bootsplice
