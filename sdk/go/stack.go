package bootsplice

import (
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

const ourModule = "github.com/bootsplice/bootsplice/sdk/go"

// recovered makes an error of a panic: `metrics.go:42: index out of range`, the innermost line of the author's own code. The whole
// stack goes to the log.
func recovered(value any) *Error {
	words := fmt.Sprint(value)
	if err, ok := value.(error); ok {
		words = strings.TrimPrefix(err.Error(), "runtime error: ")
	}
	host.Log(LevelError, "panic: "+words, nil)
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	own, innermost := "", ""
	isPast := false
	for frame, more := frames.Next(); ; frame, more = frames.Next() {
		if isPast && frame.Function != "" && !strings.HasPrefix(frame.Function, "runtime.") {
			at := fmt.Sprintf("%s:%d", filepath.Base(frame.File), frame.Line)
			host.Log(LevelError, fmt.Sprintf("    at %s (%s)", frame.Function, at), nil)
			innermost = or(innermost, at)
			if isOwn(frame.Function) {
				own = or(own, at)
			}
		}
		// What lies above the panic is the SDK's own handling of it.
		isPast = isPast || frame.Function == "runtime.gopanic"
		if !more {
			break
		}
	}
	if at := or(own, innermost); at != "" {
		words = at + ": " + words
	}
	return &Error{Code: Fault, Message: words}
}

// isOwn tells code of the program's module from that of the SDK, of Go and of other modules.
func isOwn(function string) bool {
	if strings.HasPrefix(function, "main.") {
		return true
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Path == "" {
		return false
	}
	isOurs := strings.HasPrefix(function, ourModule+".") || strings.HasPrefix(function, ourModule+"/")
	return strings.HasPrefix(function, info.Main.Path) && (!isOurs || strings.Contains(function, "_test."))
}
