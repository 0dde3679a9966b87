package bootsplice

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Pointer makes a JSON Pointer: Pointer("files", 0, "path") is "/files/0/path". `~` and `/` inside a token are escaped.
func Pointer(tokens ...any) string {
	var made strings.Builder
	for _, token := range tokens {
		var text string
		switch token := token.(type) {
		case string:
			text = token
		case int:
			text = strconv.Itoa(token)
		}
		made.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(text))
	}
	return made.String()
}

// decode reads a configuration. What does not fit the type is an error at its place.
func decode[C any](text string) (config C, err error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(&config)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return config, ConfigError(pointerAt(text, wrong.Offset), "a %s where %s is expected", wrong.Value, wrong.Type)
	}
	if err != nil {
		return config, ConfigError("", "%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return config, nil
}

// pointerAt names the value that ends at an offset of a document, or holds it.
func pointerAt(text string, offset int64) string {
	type level struct {
		key   string
		index int
		isMap bool
		isKey bool
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	levels := []level{}
	name := func() string {
		made := ""
		for _, at := range levels {
			if at.isMap {
				made += Pointer(at.key)
			} else {
				made += Pointer(at.index)
			}
		}
		return made
	}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) || err != nil {
			return ""
		}
		top := len(levels) - 1
		delim, isDelim := token.(json.Delim)
		isEnd := isDelim && (delim == '}' || delim == ']')
		if isEnd {
			levels = levels[:top]
		} else if top >= 0 && levels[top].isMap && levels[top].isKey {
			levels[top].key, _ = token.(string)
			levels[top].isKey = false
			continue
		}
		if decoder.InputOffset() >= offset {
			return name()
		}
		if isDelim && !isEnd {
			levels = append(levels, level{isMap: delim == '{', isKey: delim == '{'})
			continue
		}
		if top = len(levels) - 1; top >= 0 {
			levels[top].isKey = levels[top].isMap
			if !levels[top].isMap {
				levels[top].index++
			}
		}
	}
}
