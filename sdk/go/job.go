package bootsplice

import (
	"context"
	"log/slog"
)

// Level of a line in the log.
type Level string

// Levels.
const (
	LevelTrace Level = "trace"
	LevelDebug Level = "debug"
	LevelInfo  Level = "info"
	LevelWarn  Level = "warn"
	LevelError Level = "error"
)

// Log writes to the step's log: Log.Info("read the table", "users", 12). In a component slog.Info does the same.
var Log = slog.New(handler{})

// Progress tells people how far a stage is; total may be nil.
func Progress(stage string, done uint64, total *uint64) { host.Progress(stage, done, total) }

// IsCancelled allows a tidy stop. The host interrupts anyhow.
func IsCancelled() bool { return host.IsCancelled() }

// handler hands records to the host, which has its own clock.
type handler struct {
	prefix string
	fields [][2]string
}

func (h handler) Enabled(context.Context, slog.Level) bool { return true }

func (h handler) Handle(_ context.Context, record slog.Record) error {
	level := LevelDebug
	switch {
	case record.Level >= slog.LevelError:
		level = LevelError
	case record.Level >= slog.LevelWarn:
		level = LevelWarn
	case record.Level >= slog.LevelInfo:
		level = LevelInfo
	case record.Level < slog.LevelDebug:
		level = LevelTrace
	}
	fields := h.fields[:len(h.fields):len(h.fields)]
	record.Attrs(func(attr slog.Attr) bool {
		fields = append(fields, [2]string{h.prefix + attr.Key, attr.Value.Resolve().String()})
		return true
	})
	host.Log(level, record.Message, fields)
	return nil
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := h.fields[:len(h.fields):len(h.fields)]
	for _, attr := range attrs {
		fields = append(fields, [2]string{h.prefix + attr.Key, attr.Value.Resolve().String()})
	}
	return handler{h.prefix, fields}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.prefix + name + ".", h.fields} }
