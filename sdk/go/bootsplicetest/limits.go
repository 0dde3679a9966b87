package bootsplicetest

import (
	"fmt"
	"time"

	bootsplice "github.com/bootsplice/bootsplice/sdk/go"
)

// Limits of a run, as a real host has them. A field that is 0 has the host's own value.
type Limits struct {
	OutputBytes   int64
	OutputEntries int64
	LogBytes      int64
	Fetches       int64
	FetchBytes    int64
	Handles       int64
	// ScratchBytes are those of blobs that the generator makes in all.
	ScratchBytes int64
	CacheBytes   int64
}

// Target that generators run for unless a test says otherwise.
var Target = bootsplice.Target{
	OS: bootsplice.Linux, Distro: "debian", Release: "bookworm", Arch: "amd64", InsertionPoint: "base",
	SourceDateEpoch: time.Unix(1_700_000_000, 0).UTC(), Features: []string{"edit-v1", "user-units"},
}

type phase string

const (
	pure     phase = "Pure"
	resolve  phase = "Resolve"
	generate phase = "Generate"
)

// run is one call of a generator, and what it has used up.
type run struct {
	phase  phase
	limits map[string]int64
	used   map[string]int64
	grants []string
	// secrets that the configuration names; granted are those of them that a fetch may use.
	secrets, granted map[string]bool
	pins             map[string]bootsplice.Pin
	broken           *bootsplice.Error
}

func newRun(in phase, limits Limits) *run {
	or := func(value, other int64) int64 {
		if value == 0 {
			return other
		}
		return value
	}
	return &run{phase: in, used: map[string]int64{}, limits: map[string]int64{
		"output-bytes": or(limits.OutputBytes, 4<<30), "output-entries": or(limits.OutputEntries, 100_000),
		"log-bytes": or(limits.LogBytes, 1<<20), "fetch-count": or(limits.Fetches, 8192), "fetch-bytes": or(limits.FetchBytes, 4<<30),
		"handles": or(limits.Handles, 4096), "scratch": or(limits.ScratchBytes, 8<<30), "cache-bytes": or(limits.CacheBytes, 1<<30),
	}}
}

// take counts an amount against a limit; past it the run has failed, whatever the generator makes of it.
func (r *run) take(limit string, amount int64) error {
	if r.used[limit]+amount > r.limits[limit] {
		quota := limit
		if limit == "scratch" {
			quota = "output-bytes"
		}
		failed := &bootsplice.Error{Code: bootsplice.QuotaExceeded, Reason: quota}
		if r.broken == nil {
			r.broken = failed
		}
		return failed
	}
	r.used[limit] += amount
	return nil
}

func (r *run) onlyIn(what string, phases ...phase) error {
	for _, allowed := range phases {
		if r.phase == allowed {
			return nil
		}
	}
	return denied("%s cannot be used in this phase (%s)", what, r.phase)
}

func denied(format string, args ...any) error {
	return &bootsplice.Error{Code: bootsplice.Denied, Message: fmt.Sprintf(format, args...)}
}

func unsupported(format string, args ...any) error {
	return &bootsplice.Error{Code: bootsplice.Unsupported, Message: fmt.Sprintf(format, args...)}
}

func fault(format string, args ...any) error {
	return &bootsplice.Error{Code: bootsplice.Fault, Message: fmt.Sprintf(format, args...)}
}
