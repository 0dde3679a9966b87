package bootsplicetest

import (
	"encoding/json"
	"regexp"
	"strings"

	bootsplice "github.com/bootsplice/bootsplice/sdk/go"
)

const (
	maxScript  = 64 << 10
	maxChanges = 10_000
)

var (
	unitName     = regexp.MustCompile(`^[A-Za-z0-9:_\\][A-Za-z0-9:_.\\@-]*\.(service|socket|timer|path|mount|automount|target|slice)$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// checkAction refuses what no agent could run, as the host does.
func checkAction(action bootsplice.Action) error {
	switch action := action.(type) {
	case bootsplice.Edit:
		return checkEdit(action)
	case bootsplice.Command:
		return checkCommand(action)
	case bootsplice.Service:
		if len(action.Unit) > 255 || !unitName.MatchString(action.Unit) {
			return unsupported("`%s` is no unit's name; expected one such as `nginx.service`", action.Unit)
		}
		return checkUser(action.User)
	}
	return unsupported("an action is an Edit, a Command or a Service")
}

// placeholderTexts are the texts of an action in which placeholders are filled.
func placeholderTexts(action bootsplice.Action) []string {
	var texts []string
	switch action := action.(type) {
	case bootsplice.Edit:
		for _, change := range action.Changes {
			var value any
			if json.Unmarshal(change.Value, &value) == nil {
				texts = append(texts, stringsIn(value)...)
			}
		}
	case bootsplice.Command:
		for _, pair := range action.Environment {
			texts = append(texts, pair[1])
		}
	}
	return texts
}

func checkEdit(edit bootsplice.Edit) error {
	if fault := pathFault(edit.File); fault != "" {
		return unsupported("path `%s`: %s", edit.File, fault)
	}
	if len(edit.Changes) < 1 || len(edit.Changes) > maxChanges {
		return unsupported("an edit of %s has 1 to %d changes", edit.File, maxChanges)
	}
	for _, change := range edit.Changes {
		if !strings.HasPrefix(change.Path, "/") || len(change.Path) > 4096 {
			return unsupported("`%s` is no JSON Pointer below the root of %s", change.Path, edit.File)
		}
		if change.Verb != bootsplice.VerbRemove && change.Value == nil {
			return unsupported("%s of %s needs a value", change.Verb, change.Path)
		}
	}
	for _, command := range edit.OnChange {
		if len(command) == 0 || command[0] == "" || strings.ContainsRune(strings.Join(command, ""), 0) {
			return unsupported("an on-change command is a program and its arguments")
		}
	}
	return nil
}

func checkCommand(command bootsplice.Command) error {
	isAbsolute := strings.HasPrefix(command.Interpreter, "/") || command.Interpreter == "powershell"
	if !isAbsolute || strings.ContainsRune(command.Interpreter, 0) {
		return unsupported("`%s` is not the absolute path of an interpreter", command.Interpreter)
	}
	if len(command.Text) > maxScript {
		return unsupported("the script has %d bytes; %d are allowed", len(command.Text), maxScript)
	}
	if strings.ContainsRune(strings.Join(command.Arguments, ""), 0) {
		return unsupported("an argument holds NUL")
	}
	for _, pair := range command.Environment {
		if !variableName.MatchString(pair[0]) {
			return unsupported("`%s` is no name of an environment variable", pair[0])
		}
	}
	if at := command.WorkingDirectory; at != "" && (at[0] != '/' && at[0] != '~' || strings.ContainsRune(at, 0)) {
		return unsupported("working directory `%s` is not absolute", at)
	}
	return checkUser(command.User)
}

func checkUser(name string) error {
	if name != "" && userFault(name) {
		return unsupported("`%s` is no user's name", name)
	}
	return nil
}

func stringsIn(value any) []string {
	var texts []string
	switch value := value.(type) {
	case string:
		texts = append(texts, value)
	case []any:
		for _, item := range value {
			texts = append(texts, stringsIn(item)...)
		}
	case map[string]any:
		for _, item := range value {
			texts = append(texts, stringsIn(item)...)
		}
	}
	return texts
}
