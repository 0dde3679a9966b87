package bootsplice

import (
	"errors"
	"testing"
)

type document struct {
	Names []string       `json:"names"`
	Inner map[string]int `json:"inner"`
	Deep  []struct {
		A int `json:"a~b/c"`
	} `json:"deep"`
}

func TestWhatDoesNotFitTheTypeIsNamedByItsPointer(t *testing.T) {
	for text, pointer := range map[string]string{
		`{"names": ["a", 7]}`:                      "/names/1",
		`{"names": "a"}`:                           "/names",
		`{"inner": {"x": 1, "y": "2"}}`:            "/inner/y",
		`{"deep": [{}, {"a~b/c": true}]}`:          "/deep/1/a~0b~1c",
		`{"deep": [{"a~b/c": 1}], "names": [[]]}`:  "/names/0",
		`{"inner": {"x": [1, 2, {"z": "}]"}, 3]}}`: "/inner/x",
		`[]`:           "",
		`{"other": 1}`: "",
		`{`:            "",
	} {
		_, err := decode[document](text)
		var wrong *Error
		if !errors.As(err, &wrong) || wrong.Code != InvalidConfig {
			t.Errorf("%s: %v", text, err)
		} else if got := wrong.Findings[0].Pointer; got != pointer {
			t.Errorf("%s: %s, not %s", text, got, pointer)
		}
	}
	if _, err := decode[document](`{"names": ["a"], "deep": [{"a~b/c": 1}]}`); err != nil {
		t.Error(err)
	}
}

func TestPointersAreEscaped(t *testing.T) {
	if got := Pointer("a/b", 0, "~"); got != "/a~1b/0/~0" {
		t.Error(got)
	}
}

func TestAMeterBoundsWhatIsWritten(t *testing.T) {
	bound, err := MaxOutput(func(sink *Sink) error {
		return errors.Join(sink.File("/a", "12345"), sink.Template("/b", "{{instance:id}}"), sink.Bytes("/c", make([]byte, 2<<20)))
	})
	if err != nil || bound < 2<<20 || bound > 3<<20 {
		t.Error(bound, err)
	}
}
