package bootsplice

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"
)

// Code is a case of the contract's `error`. It is an error itself, for errors.Is(err, bootsplice.NotFound).
type Code string

// Codes of errors.
const (
	// InvalidConfig: the configuration is at fault; shown to the profile's author.
	InvalidConfig Code = "invalid-config"
	// Unsatisfiable: the wishes contradict each other.
	Unsatisfiable Code = "unsatisfiable"
	NotFound      Code = "not-found"
	// Denied: policy said no to a host, a secret, a path or the phase.
	Denied Code = "denied"
	// Integrity: bytes are not what was promised.
	Integrity Code = "integrity"
	// Untrusted: bytes are not signed as they must be.
	Untrusted Code = "untrusted"
	// QuotaExceeded: a limit of the run was reached. The run has failed, whatever is made of this.
	QuotaExceeded Code = "quota-exceeded"
	// Upstream: the network or a repository failed.
	Upstream    Code = "upstream"
	Unsupported Code = "unsupported"
	Cancelled   Code = "cancelled"
	// Fault: the generator itself is at fault.
	Fault Code = "fault"
)

// Error says the code's name.
func (c Code) Error() string { return string(c) }

// Error is what the host answers, and what a generator may answer. Any other error reaches the host as a fault.
type Error struct {
	Code    Code
	Message string
	// Findings of InvalidConfig, at least one.
	Findings []Diagnostic
	// Expected, Actual and URL of Integrity.
	Expected, Actual, URL string
	// Reason of Untrusted, for example "unknown-key"; of QuotaExceeded, for example "output-bytes".
	Reason string
	// RetryAfter of Upstream: when trying again can help; 0: it cannot.
	RetryAfter time.Duration
}

// Error says code and message.
func (e *Error) Error() string {
	switch {
	case e.Message != "":
		return e.Message
	case e.Code == InvalidConfig && len(e.Findings) > 0:
		return fmt.Sprintf("%s: %s", or(e.Findings[0].Pointer, "(document)"), e.Findings[0].Message)
	case e.Code == Integrity:
		return fmt.Sprintf("%s gave %s, but %s was promised", e.URL, e.Actual, e.Expected)
	case e.Code == QuotaExceeded:
		return fmt.Sprintf("the limit on %s was reached", e.Reason)
	}
	return string(e.Code)
}

// Is compares codes.
func (e *Error) Is(target error) bool { return target == e.Code }

// Errorf makes an error with a code. A fault carries the file and line of the caller.
func Errorf(code Code, format string, args ...any) *Error {
	message := fmt.Sprintf(format, args...)
	if code == Fault {
		if _, file, line, ok := runtime.Caller(1); ok {
			message = fmt.Sprintf("%s:%d: %s", filepath.Base(file), line, message)
		}
	}
	return &Error{Code: code, Message: message}
}

// ConfigError says that the configuration is wrong at pointer.
func ConfigError(pointer, format string, args ...any) *Error {
	return Invalid(Diagnostic{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
}

// Invalid says that the configuration is at fault in one or several places.
func Invalid(findings ...Diagnostic) *Error { return &Error{Code: InvalidConfig, Findings: findings} }

// Severity of a finding.
type Severity string

// Severities. Only errors keep a profile from being saved.
const (
	SeverityHint    Severity = "hint"
	SeverityWarning Severity = "warning"
	SeverityError   Severity = "error"
)

// Diagnostic is a finding about the configuration, for the person who wrote it.
type Diagnostic struct {
	// Pointer is a JSON Pointer (RFC 6901); "" is the whole document. See the function Pointer.
	Pointer string
	Message string
	// Code is stable and kebab-case; "invalid-value" when empty.
	Code string
	// Hint says what to do about it; may be empty.
	Hint string
	// Severity is SeverityError when empty.
	Severity Severity
}

// asError is how any error reaches the host.
func asError(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		if known.Code == InvalidConfig && len(known.Findings) == 0 {
			return Invalid(Diagnostic{Message: known.Error()})
		}
		if known != err && known.Message != "" {
			wrapped := *known
			wrapped.Message = err.Error()
			return &wrapped
		}
		return known
	}
	var code Code
	if errors.As(err, &code) {
		return &Error{Code: code, Message: err.Error()}
	}
	return &Error{Code: Fault, Message: err.Error()}
}

func or[T comparable](value, other T) T {
	var zero T
	if value == zero {
		return other
	}
	return value
}
