package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	labelName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	sample    = regexp.MustCompile(`^[A-Za-z_:][A-Za-z0-9_:]*(?:\{(?:[A-Za-z_][A-Za-z0-9_]*="(?:[^"\\]|\\.)*",?)*\})?[ \t]+(\S+)$`)
)

// read counts the samples of a file in Prometheus' text format (version 0.0.4), without times: the textfile collector takes none.
func read(text string) (int, error) {
	if !utf8.ValidString(text) {
		// Nobody could mend that by another configuration. The SDK makes a fault of it, with this line.
		panic("metrics are not UTF-8")
	}
	count := 0
	for index, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		found := sample.FindStringSubmatch(line)
		if found == nil {
			return 0, fmt.Errorf("line %d: `%.60s` is no sample", index+1, line)
		}
		if _, err := strconv.ParseFloat(found[1], 64); err != nil {
			return 0, fmt.Errorf("line %d: `%s` is no number", index+1, found[1])
		}
		count++
	}
	if count > 0 && !strings.HasSuffix(text, "\n") {
		return 0, fmt.Errorf("the last line does not end")
	}
	return count, nil
}

func labelFault(name string) string {
	switch {
	case !labelName.MatchString(name):
		return fmt.Sprintf("`%s` is no label: letters, digits and `_`", name)
	case strings.HasPrefix(name, "__"):
		return "labels that begin with `__` are Prometheus' own"
	}
	return ""
}
