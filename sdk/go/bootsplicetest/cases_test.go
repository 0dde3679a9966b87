package bootsplicetest_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	bootsplice "github.com/bootsplice/bootsplice/sdk/go"
	"github.com/bootsplice/bootsplice/sdk/go/bootsplicetest"
)

type call struct {
	File, Dir                       any
	Template, Symlink, Service, Run string
	Edit, Text, To                  string
	User, Group                     string
	Mode                            *uint32
	Size                            int
	Set                             *struct {
		Path  string
		Value any
	}
}

// name is a text, or some letters `x` behind another.
func name(value any) string {
	if long, ok := value.(map[string]any); ok {
		return long["before"].(string) + strings.Repeat("x", int(long["x"].(float64)))
	}
	return value.(string)
}

func (c call) options() []bootsplice.Option {
	var options []bootsplice.Option
	if c.Mode != nil {
		options = append(options, bootsplice.Mode(*c.Mode))
	}
	if c.User != "" {
		options = append(options, bootsplice.Owner(c.User, c.Group))
	}
	return options
}

func (c call) on(sink *bootsplice.Sink) error {
	text := strings.Repeat("x", c.Size)
	switch {
	case c.File != nil:
		return sink.File(name(c.File), text, c.options()...)
	case c.Dir != nil:
		return sink.Dir(name(c.Dir), c.options()...)
	case c.Template != "":
		return sink.Template(c.Template, c.Text)
	case c.Symlink != "":
		return sink.Symlink(c.Symlink, c.To)
	case c.Service != "":
		return sink.Service(bootsplice.Service{Unit: c.Service})
	case c.Run != "":
		return sink.Run(bootsplice.Command{Interpreter: c.Run, Text: text, User: c.User})
	}
	edit := bootsplice.Edit{File: c.Edit, Format: bootsplice.EditINI}
	if c.Set != nil {
		edit.Changes = []bootsplice.Change{bootsplice.Set(c.Set.Path, c.Set.Value)}
	}
	return sink.Edit(edit)
}

func TestTheSharedCasesEndAsOnARealHost(t *testing.T) {
	var shared struct {
		Config map[string]any
		Limits struct {
			OutputBytes   int64 `json:"output_bytes"`
			OutputEntries int64 `json:"output_entries"`
		}
		Cases []struct {
			Name    string
			Do      []call
			Refused *struct{ Code, Words string }
		}
	}
	text, err := os.ReadFile("../../cases.json")
	if err == nil {
		err = json.Unmarshal(text, &shared)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range shared.Cases {
		host := &bootsplicetest.Host{Limits: bootsplicetest.Limits{OutputBytes: shared.Limits.OutputBytes, OutputEntries: shared.Limits.OutputEntries}}
		_, err := host.Launch(writes(func(sink *bootsplice.Sink) error {
			for _, call := range each.Do {
				if err := call.on(sink); err != nil {
					return err
				}
			}
			return nil
		}), shared.Config)
		if each.Refused == nil {
			if err != nil {
				t.Errorf("%s: %v", each.Name, err)
			}
		} else if !errors.Is(err, bootsplice.Code(each.Refused.Code)) || !strings.Contains(err.Error(), each.Refused.Words) {
			t.Errorf("%s: %v", each.Name, err)
		}
	}
}
