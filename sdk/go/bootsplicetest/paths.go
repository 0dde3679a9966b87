package bootsplicetest

import (
	"regexp"
	"strings"
	"unicode"
)

var userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?$`)

// pathFault says what is wrong with `/etc/motd` or `~ada/notes.txt`; nothing when it is good.
func pathFault(text string) string {
	var below string
	switch {
	case len(text) > 4096:
		return "longer than 4096 bytes"
	case strings.HasPrefix(text, "~"):
		user, rest, found := strings.Cut(text[1:], "/")
		if !found {
			return "a home is `~user/…`"
		}
		if userFault(user) {
			return "the user's name after `~` is not valid"
		}
		below = rest
	case strings.HasPrefix(text, "/"):
		below = text[1:]
	default:
		return "start it with `/` or `~user/`"
	}
	for _, segment := range strings.Split(below, "/") {
		if fault := segmentFault(segment); fault != "" {
			return fault
		}
	}
	return ""
}

// linkFault says what is wrong with a symbolic link's target: relative, inside the root or the home that the link is in.
func linkFault(link, to string) string {
	if to == "" || len(to) >= 4096 {
		return "a link's target has 1 to 4095 bytes"
	}
	if to[0] == '/' || to[0] == '~' {
		return "a link's target is relative"
	}
	depth := strings.Count(link, "/") - 1
	for _, segment := range strings.Split(to, "/") {
		switch segment {
		case "..":
			if depth--; depth < 0 {
				return "it leads out of its root"
			}
		case "", ".":
		default:
			if fault := segmentFault(segment); fault != "" {
				return fault
			}
			depth++
		}
	}
	return ""
}

func userFault(name string) bool { return len(name) > 32 || !userName.MatchString(name) }

func segmentFault(segment string) string {
	switch {
	case segment == "":
		return "an empty segment (`//`, or a `/` at the end)"
	case segment == "." || segment == "..":
		return "a `.` or `..` segment"
	case len(segment) > 255:
		return "a segment longer than 255 bytes"
	case strings.ContainsFunc(segment, unicode.IsControl):
		return "a control character"
	case strings.ContainsFunc(segment, isDirection):
		return "a character that reverses the direction of text"
	}
	return ""
}

func isDirection(letter rune) bool {
	return letter >= 0x202a && letter <= 0x202e || letter >= 0x2066 && letter <= 0x2069 || letter == 0x200e || letter == 0x200f
}
