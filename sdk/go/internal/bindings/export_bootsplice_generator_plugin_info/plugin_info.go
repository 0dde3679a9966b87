// Package export_bootsplice_generator_plugin_info is what the bindings call. The SDK sets its variables.
package export_bootsplice_generator_plugin_info

import (
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_plugin_info"
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_types"
	"github.com/bootsplice/bootsplice/sdk/go/internal/wit/types"
)

// Answers to the calls below.
var (
	DescribeWith func() bootsplice_generator_plugin_info.Descriptor
	ValidateWith func(wit_types.Option[bootsplice_generator_types.Target], string) []bootsplice_generator_types.Diagnostic
)

// Describe is an export of the contract.
func Describe() bootsplice_generator_plugin_info.Descriptor { return DescribeWith() }

// Validate is an export of the contract.
func Validate(target wit_types.Option[bootsplice_generator_types.Target], config string) []bootsplice_generator_types.Diagnostic {
	return ValidateWith(target, config)
}
