// Package export_bootsplice_generator_generator is what the bindings call. The SDK sets its variables.
package export_bootsplice_generator_generator

import (
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_archive"
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_generator"
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_types"
	"github.com/bootsplice/bootsplice/sdk/go/internal/wit/types"
)

type (
	target   = bootsplice_generator_types.Target
	locked   = bootsplice_generator_generator.Locked
	lockFile = wit_types.Result[bootsplice_generator_generator.LockFile, bootsplice_generator_types.Error]
	instance = wit_types.Option[bootsplice_generator_types.Instance]
	summary  = wit_types.Result[bootsplice_generator_generator.Summary, bootsplice_generator_types.Error]
)

// Answers to the calls below.
var (
	ResolveWith  func(target, string, wit_types.Option[locked]) lockFile
	GenerateWith func(target, string, locked, instance, *bootsplice_generator_archive.Sink) summary
)

// Resolve is an export of the contract.
func Resolve(whom target, config string, previous wit_types.Option[locked]) lockFile {
	return ResolveWith(whom, config, previous)
}

// Generate is an export of the contract.
func Generate(whom target, config string, pinned locked, who instance, dest *bootsplice_generator_archive.Sink) summary {
	return GenerateWith(whom, config, pinned, who, dest)
}
