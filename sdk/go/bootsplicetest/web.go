package bootsplicetest

import (
	"net/url"
	"regexp"
	"strings"

	bootsplice "github.com/bootsplice/bootsplice/sdk/go"
)

const maxBatch = 1024

var (
	digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	ports  = map[string]string{"https": "443", "http": "80"}
)

// web is what can be fetched: URL to bytes, or to the error that it gives, behind grants and pins as on a real host.
type web struct {
	run     *run
	files   map[string]any
	secrets map[string]bool
	asked   *[]string
}

func (w web) fetch(requests []bootsplice.Request) []bootsplice.Answer {
	answers := make([]bootsplice.Answer, len(requests))
	for index, request := range requests {
		if index >= maxBatch {
			answers[index].Err = unsupported("at most %d requests in one call", maxBatch)
		} else {
			answers[index] = w.get(request)
		}
	}
	return answers
}

func (w web) get(request bootsplice.Request) bootsplice.Answer {
	failed := func(err error) bootsplice.Answer { return bootsplice.Answer{Err: err} }
	if err := w.run.onlyIn("fetch", resolve, generate); err != nil {
		return failed(err)
	}
	if request.Digest != "" && !digest.MatchString(request.Digest) {
		return failed(unsupported("`%s` is no digest: write sha256: and 64 lower-case hex digits", request.Digest))
	}
	if w.run.phase == generate {
		if request.Digest == "" {
			return failed(denied("in generate a fetch names the digest of a pin"))
		}
		pin, ok := w.run.pins[request.Digest]
		if !ok {
			return failed(denied("%s is not in the lock", request.Digest))
		}
		request.URLs, request.MaxSize = pin.URLs, pin.Size
	}
	if err := w.run.take("fetch-count", 1); err != nil {
		return failed(err)
	}
	if len(request.URLs) < 1 || len(request.URLs) > 16 {
		return failed(unsupported("a fetch names 1 to 16 URLs"))
	}
	var first error
	for _, from := range request.URLs {
		content, err := w.one(from, request)
		if err == nil {
			return bootsplice.Answer{Content: content, FinalURL: from}
		}
		if first == nil {
			first = err
		}
		if w.run.broken != nil {
			return failed(w.run.broken)
		}
	}
	return failed(first)
}

func (w web) one(from string, request bootsplice.Request) (*blob, error) {
	if err := checkURL(from); err != nil {
		return nil, err
	}
	isGranted := false
	for _, prefix := range w.run.grants {
		isGranted = isGranted || covers(prefix, from)
	}
	if !isGranted {
		return nil, denied("%s: no grant of this step covers it", from)
	}
	if name := request.Credential; name != "" {
		if !w.run.granted[name] {
			return nil, denied("secret `%s` is not granted to this step", name)
		}
		if !w.secrets[name] {
			return nil, bootsplice.Errorf(bootsplice.NotFound, "secret `%s`", name)
		}
	}
	*w.asked = append(*w.asked, from)
	var data []byte
	switch found := w.files[from].(type) {
	case string:
		data = []byte(found)
	case []byte:
		data = found
	case error:
		return nil, found
	default:
		return nil, bootsplice.Errorf(bootsplice.NotFound, "%s answered 404", from)
	}
	if uint64(len(data)) > request.MaxSize {
		return nil, w.run.take("fetch-bytes", 1<<62)
	}
	if err := w.run.take("fetch-bytes", int64(len(data))); err != nil {
		return nil, err
	}
	made, err := newBlob(w.run, data)
	if err == nil && request.Digest != "" && made.Digest() != request.Digest {
		return nil, &bootsplice.Error{Code: bootsplice.Integrity, Expected: request.Digest, Actual: made.Digest(), URL: from}
	}
	return made, err
}

// wishes are a descriptor's with `${config:POINTER}` filled in.
func wishes(patterns []string, config any) []string {
	var found []string
	for _, pattern := range patterns {
		if inner, ok := strings.CutPrefix(pattern, "${config:"); ok {
			for _, value := range selected(config, strings.TrimSuffix(inner, "}")) {
				if text, ok := value.(string); ok {
					found = append(found, text)
				}
			}
		} else {
			found = append(found, pattern)
		}
	}
	return found
}

// meet is what of a grant a wish asks for; empty when nothing.
func meet(grant, wish string) string {
	if scheme, _, ok := strings.Cut(wish, "://*/"); ok {
		if strings.HasPrefix(grant, scheme+"://") {
			return grant
		}
		return ""
	}
	switch {
	case checkURL(wish) != nil:
		return ""
	case covers(grant, wish):
		return wish
	case covers(wish, grant):
		return grant
	}
	return ""
}

// covers compares whole path segments of the same origin.
func covers(prefix, from string) bool {
	one, err := url.Parse(prefix)
	if err != nil {
		return false
	}
	two, err := url.Parse(from)
	if err != nil {
		return false
	}
	port := func(of *url.URL) string {
		if of.Port() == "" {
			return ports[of.Scheme]
		}
		return of.Port()
	}
	rest, ok := strings.CutPrefix(two.EscapedPath(), strings.TrimRight(one.EscapedPath(), "/"))
	return ok && one.Scheme == two.Scheme && one.Hostname() == two.Hostname() && port(one) == port(two) && (rest == "" || rest[0] == '/')
}

// checkURL refuses what no host fetches.
func checkURL(from string) error {
	parts, err := url.Parse(from)
	reason := ""
	switch {
	case err != nil:
		reason = "it is no URL"
	case len(from) > 4096:
		reason = "longer than 4096 bytes"
	case !strings.Contains(" https http file s3 gs az ", " "+parts.Scheme+" ") || parts.Scheme == "":
		reason = "use https:, file:, s3:, gs: or az:"
	case parts.Scheme == "file" && parts.Host != "":
		reason = "a file: URL names no host"
	case parts.Scheme != "file" && parts.Hostname() == "":
		reason = "it names no host"
	case parts.User != nil:
		reason = "credentials do not belong in a URL; name a secret"
	case regexp.MustCompile(`(?i)%(2f|5c|00)`).MatchString(parts.EscapedPath()):
		reason = "an encoded `/`, `\\` or NUL in the path"
	default:
		for _, segment := range strings.Split(parts.Path, "/") {
			if segment == "." || segment == ".." {
				reason = "a `.` or `..` segment in the path"
			}
		}
	}
	if reason != "" {
		return denied("`%.200s` cannot be fetched: %s", from, reason)
	}
	return nil
}
