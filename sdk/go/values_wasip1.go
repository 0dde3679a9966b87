package bootsplice

import (
	"maps"
	"slices"
	"time"

	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_archive"
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_blobs"
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_types"
	"github.com/bootsplice/bootsplice/sdk/go/internal/wit/types"
)

// The contract's enums, in its order.
var (
	osFamilies      = []OSFamily{Linux, Windows, BSD, OtherOS}
	stages          = []Stage{Files, Packages, Late}
	levels          = []Level{LevelTrace, LevelDebug, LevelInfo, LevelWarn, LevelError}
	codecs          = []Codec{Gzip, Xz, Zstd, Bzip2}
	conflicts       = []Conflict{Fail, Replace, KeepExisting, Backup}
	templateFormats = []TemplateFormat{Plain, Shell, JSON, YAML, INI}
	editFormats     = []EditFormat{EditINI, EditJSON, EditYAML, EditTOML, EditKeyValue, EditSystemd}
	verbs           = []Verb{VerbSet, VerbRemove, VerbAppend}
	severities      = []Severity{SeverityHint, SeverityWarning, SeverityError}
	quotas          = []string{"memory", "time", "fetch-count", "fetch-bytes", "output-bytes", "output-entries", "log-bytes", "cache-bytes", "handles"}
	distrusts       = []string{"missing", "unknown-key", "bad", "expired-key", "revoked-key", "weak", "expired", "from-the-future", "unsigned-bytes", "malformed"}
)

func index[T comparable](values []T, value T) uint8 {
	at := slices.Index(values, value)
	if at < 0 {
		panic(Errorf(Fault, "`%v` is none of %v", value, values))
	}
	return uint8(at)
}

func rawOption[T any](value *T) wit_types.Option[T] {
	if value == nil {
		return wit_types.None[T]()
	}
	return wit_types.Some(*value)
}

func rawText(text string) wit_types.Option[string] {
	if text == "" {
		return wit_types.None[string]()
	}
	return wit_types.Some(text)
}

func rawPairs(pairs [][2]string) []wit_types.Tuple2[string, string] {
	var raw []wit_types.Tuple2[string, string]
	for _, pair := range pairs {
		raw = append(raw, wit_types.Tuple2[string, string]{F0: pair[0], F1: pair[1]})
	}
	return raw
}

// rawMap is in the order of the names, as the same inputs give the same bytes.
func rawMap(values map[string]string) []wit_types.Tuple2[string, string] {
	var pairs [][2]string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		pairs = append(pairs, [2]string{name, values[name]})
	}
	return rawPairs(pairs)
}

func ofPairs(raw []wit_types.Tuple2[string, string]) map[string]string {
	values := make(map[string]string, len(raw))
	for _, pair := range raw {
		values[pair.F0] = pair.F1
	}
	return values
}

func ofBlob(raw wit_types.Option[*bootsplice_generator_blobs.Blob]) HostBlob {
	if raw.IsNone() {
		return nil
	}
	return blob{raw.Some()}
}

func newBlob(raw *bootsplice_generator_blobs.Blob, err error) (HostBlob, error) {
	if err != nil {
		return nil, err
	}
	return blob{raw}, nil
}

func handle(content HostBlob) *bootsplice_generator_blobs.Blob { return content.(blob).raw }

func done(result wit_types.Result[wit_types.Unit, bootsplice_generator_types.Error]) error {
	_, err := ofResult(result)
	return err
}

func ofResult[T any](result wit_types.Result[T, bootsplice_generator_types.Error]) (T, error) {
	if result.IsErr() {
		var none T
		return none, ofError(result.Err())
	}
	return result.Ok(), nil
}

func rawOwner(owner *Ownership) wit_types.Option[bootsplice_generator_archive.Ownership] {
	if owner == nil {
		return wit_types.None[bootsplice_generator_archive.Ownership]()
	}
	return wit_types.Some(bootsplice_generator_archive.Ownership{User: owner.User, Group: owner.Group})
}

func rawAttrs(attrs Attrs) bootsplice_generator_archive.EntryAttrs {
	return bootsplice_generator_archive.EntryAttrs{
		Mode: attrs.Mode, Owner: rawOwner(attrs.Owner), OnConflict: index(conflicts, attrs.OnConflict),
	}
}

func rawAction(action Action) bootsplice_generator_archive.Action {
	switch action := action.(type) {
	case Edit:
		raw := bootsplice_generator_archive.FileEdit{
			File: action.File, Format: index(editFormats, action.Format), Create: action.Create, OnChange: action.OnChange,
		}
		for _, change := range action.Changes {
			raw.Changes = append(raw.Changes, bootsplice_generator_archive.Change{
				Verb: index(verbs, change.Verb), Path: change.Path, Value: rawText(string(change.Value)), Expected: rawText(string(change.Expected)),
			})
		}
		return bootsplice_generator_archive.MakeActionEdit(raw)
	case Command:
		return bootsplice_generator_archive.MakeActionRun(bootsplice_generator_archive.Command{
			Interpreter: action.Interpreter, Text: action.Text, Arguments: action.Arguments, Environment: rawPairs(action.Environment),
			User: rawText(action.User), WorkingDirectory: rawText(action.WorkingDirectory),
		})
	case Service:
		return bootsplice_generator_archive.MakeActionService(bootsplice_generator_archive.Service{
			Unit: action.Unit, User: rawText(action.User), Enable: action.Enable, Start: action.Start,
		})
	}
	panic("an action is an Edit, a Command or a Service")
}

func rawFindings(found []Diagnostic) []bootsplice_generator_types.Diagnostic {
	var raw []bootsplice_generator_types.Diagnostic
	for _, finding := range found {
		raw = append(raw, bootsplice_generator_types.Diagnostic{
			Severity: index(severities, or(finding.Severity, SeverityError)), Pointer: finding.Pointer,
			Code: or(finding.Code, "invalid-value"), Message: finding.Message, Hint: rawText(finding.Hint),
		})
	}
	return raw
}

func rawError(err *Error) bootsplice_generator_types.Error {
	text := err.Error()
	switch err.Code {
	case InvalidConfig:
		return bootsplice_generator_types.MakeErrorInvalidConfig(rawFindings(err.Findings))
	case Unsatisfiable:
		return bootsplice_generator_types.MakeErrorUnsatisfiable(text)
	case NotFound:
		return bootsplice_generator_types.MakeErrorNotFound(text)
	case Denied:
		return bootsplice_generator_types.MakeErrorDenied(text)
	case Integrity:
		return bootsplice_generator_types.MakeErrorIntegrity(bootsplice_generator_types.Mismatch{Expected: err.Expected, Actual: err.Actual, Url: err.URL})
	case Untrusted:
		return bootsplice_generator_types.MakeErrorUntrusted(bootsplice_generator_types.Rejection{Reason: index(distrusts, err.Reason), Message: text})
	case QuotaExceeded:
		return bootsplice_generator_types.MakeErrorQuotaExceeded(index(quotas, err.Reason))
	case Upstream:
		after := wit_types.None[uint32]()
		if err.RetryAfter > 0 {
			after = wit_types.Some(uint32(err.RetryAfter.Milliseconds()))
		}
		return bootsplice_generator_types.MakeErrorUpstream(bootsplice_generator_types.Failure{Message: text, RetryAfterMs: after})
	case Unsupported:
		return bootsplice_generator_types.MakeErrorUnsupported(text)
	case Cancelled:
		return bootsplice_generator_types.MakeErrorCancelled()
	}
	return bootsplice_generator_types.MakeErrorFault(text)
}

func ofError(raw bootsplice_generator_types.Error) *Error {
	switch raw.Tag() {
	case bootsplice_generator_types.ErrorInvalidConfig:
		made := &Error{Code: InvalidConfig}
		for _, finding := range raw.InvalidConfig() {
			made.Findings = append(made.Findings, Diagnostic{
				finding.Pointer, finding.Message, finding.Code, finding.Hint.SomeOr(""), severities[finding.Severity],
			})
		}
		return made
	case bootsplice_generator_types.ErrorUnsatisfiable:
		return &Error{Code: Unsatisfiable, Message: raw.Unsatisfiable()}
	case bootsplice_generator_types.ErrorNotFound:
		return &Error{Code: NotFound, Message: raw.NotFound()}
	case bootsplice_generator_types.ErrorDenied:
		return &Error{Code: Denied, Message: raw.Denied()}
	case bootsplice_generator_types.ErrorIntegrity:
		mismatch := raw.Integrity()
		return &Error{Code: Integrity, Expected: mismatch.Expected, Actual: mismatch.Actual, URL: mismatch.Url}
	case bootsplice_generator_types.ErrorUntrusted:
		rejection := raw.Untrusted()
		return &Error{Code: Untrusted, Message: rejection.Message, Reason: distrusts[rejection.Reason]}
	case bootsplice_generator_types.ErrorQuotaExceeded:
		return &Error{Code: QuotaExceeded, Reason: quotas[raw.QuotaExceeded()]}
	case bootsplice_generator_types.ErrorUpstream:
		failure := raw.Upstream()
		after := time.Duration(failure.RetryAfterMs.SomeOr(0)) * time.Millisecond
		return &Error{Code: Upstream, Message: failure.Message, RetryAfter: after}
	case bootsplice_generator_types.ErrorUnsupported:
		return &Error{Code: Unsupported, Message: raw.Unsupported()}
	case bootsplice_generator_types.ErrorCancelled:
		return &Error{Code: Cancelled}
	}
	return &Error{Code: Fault, Message: raw.Fault()}
}
