package bootsplice

import "log/slog"

// Plugin is a generator for any configuration: typed configurations are read from JSON, panics and errors become the contract's.
type Plugin struct {
	describe func() Descriptor
	validate func(*Target, string) ([]Diagnostic, error)
	resolve  func(Target, string, *Locked) (LockFile, error)
	generate func(Target, string, Locked, *Instance, *Sink) (Summary, error)
}

var exported *Plugin

// New makes a plugin of a generator.
func New[C any](author Generator[C]) *Plugin {
	return &Plugin{
		describe: author.Describe,
		validate: func(target *Target, text string) ([]Diagnostic, error) {
			config, err := decode[C](text)
			if err != nil {
				return nil, err
			}
			return author.Validate(target, config), nil
		},
		resolve: func(target Target, text string, previous *Locked) (LockFile, error) {
			config, err := accept(author, target, text)
			if err != nil {
				return LockFile{}, err
			}
			return author.Resolve(target, config, previous)
		},
		generate: func(target Target, text string, locked Locked, instance *Instance, sink *Sink) (Summary, error) {
			config, err := accept(author, target, text)
			if err != nil {
				return Summary{}, err
			}
			return author.Generate(target, config, locked, instance, sink)
		},
	}
}

// Export makes a plugin the component's. Call it in an init function: main never runs in a component.
func Export(plugin *Plugin) {
	if exported != nil {
		panic("bootsplice.Export: a component has one generator")
	}
	exported = plugin
	slog.SetDefault(Log)
}

// Describe calls the generator. A panic is logged and goes on: describe has no error to answer.
func (p *Plugin) Describe() Descriptor {
	defer func() {
		if value := recover(); value != nil {
			panic(recovered(value).Message)
		}
	}()
	made := p.describe()
	if len(made.OSFamilies) == 0 {
		made.OSFamilies = []OSFamily{Linux}
	}
	made.Stage = or(made.Stage, Files)
	return made
}

// Validate calls the generator. Errors become findings.
func (p *Plugin) Validate(target *Target, config string) []Diagnostic {
	var found []Diagnostic
	err := guarded(func() (err error) {
		found, err = p.validate(target, config)
		return err
	})
	if err != nil {
		found = err.Findings
		if err.Code != InvalidConfig {
			found = []Diagnostic{{Message: err.Error(), Code: "generator-fault"}}
		}
	}
	for index := range found {
		found[index].Code = or(found[index].Code, "invalid-value")
		found[index].Severity = or(found[index].Severity, SeverityError)
	}
	return found
}

// Resolve calls the generator.
func (p *Plugin) Resolve(target Target, config string, previous *Locked) (LockFile, *Error) {
	var made LockFile
	err := guarded(func() (err error) {
		made, err = p.resolve(target, config, previous)
		return err
	})
	return made, err
}

// Generate calls the generator.
func (p *Plugin) Generate(target Target, config string, locked Locked, instance *Instance, sink HostSink) (Summary, *Error) {
	var made Summary
	err := guarded(func() (err error) {
		made, err = p.generate(target, config, locked, instance, &Sink{sink})
		return err
	})
	return made, err
}

// accept reads a configuration, and refuses one that the generator finds errors in.
func accept[C any](author Generator[C], target Target, text string) (C, error) {
	config, err := decode[C](text)
	if err != nil {
		return config, err
	}
	var wrong []Diagnostic
	for _, finding := range author.Validate(&target, config) {
		if or(finding.Severity, SeverityError) == SeverityError {
			wrong = append(wrong, finding)
		}
	}
	if len(wrong) > 0 {
		return config, Invalid(wrong...)
	}
	return config, nil
}

func guarded(work func() error) (failed *Error) {
	defer func() {
		if value := recover(); value != nil {
			failed = recovered(value)
		}
	}()
	if err := work(); err != nil {
		return asError(err)
	}
	return nil
}
