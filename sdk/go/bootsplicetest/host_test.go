package bootsplicetest_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	bootsplice "github.com/bootsplice/bootsplice/sdk/go"
	"github.com/bootsplice/bootsplice/sdk/go/bootsplicetest"
)

const from = "https://a.example/x/file"

type config = map[string]any

// author does what a test wants.
type author struct {
	fetch    string
	resolve  func() (bootsplice.LockFile, error)
	generate func(sink *bootsplice.Sink, locked bootsplice.Locked, instance *bootsplice.Instance) error
	validate func()
}

func (a author) Describe() bootsplice.Descriptor {
	made := bootsplice.Descriptor{ID: "made", Version: "1.0.0", Schema: "{}", Secrets: []string{"/secret"}}
	if a.fetch != "" {
		made.Fetch = []string{a.fetch}
	}
	return made
}

func (a author) Validate(*bootsplice.Target, config) []bootsplice.Diagnostic {
	if a.validate != nil {
		a.validate()
	}
	return nil
}

func (a author) Resolve(bootsplice.Target, config, *bootsplice.Locked) (bootsplice.LockFile, error) {
	if a.resolve != nil {
		return a.resolve()
	}
	return bootsplice.LockFile{MaxOutput: 1 << 20}, nil
}

func (a author) Generate(_ bootsplice.Target, _ config, locked bootsplice.Locked, instance *bootsplice.Instance, sink *bootsplice.Sink) (bootsplice.Summary, error) {
	if a.generate == nil {
		return bootsplice.Summary{}, nil
	}
	return bootsplice.Summary{}, a.generate(sink, locked, instance)
}

func writes(write func(sink *bootsplice.Sink) error) *bootsplice.Plugin {
	return bootsplice.New(author{generate: func(sink *bootsplice.Sink, _ bootsplice.Locked, _ *bootsplice.Instance) error { return write(sink) }})
}

func refused(t *testing.T, err error, code bootsplice.Code, words string) {
	t.Helper()
	if !errors.Is(err, code) || !strings.Contains(err.Error(), words) {
		t.Errorf("%v is not %s with `%s`", err, code, words)
	}
}

func launch(plugin *bootsplice.Plugin) error {
	_, err := (&bootsplicetest.Host{}).Launch(plugin, config{})
	return err
}

func TestAPathHasOneForm(t *testing.T) {
	for _, path := range []string{"etc/motd", "/etc//motd", "/etc/../x", "/etc/.", "/a\nb", "~a b/x", "~ada", "/" + strings.Repeat("a", 256), "/\u202etxt", "/etc/"} {
		refused(t, launch(writes(func(sink *bootsplice.Sink) error { return sink.File(path, "x") })), bootsplice.Denied, "path `")
	}
	good := writes(func(sink *bootsplice.Sink) error {
		return sink.File("~ada/notes.txt", "hi", bootsplice.Owner("ada", "staff"))
	})
	step, err := (&bootsplicetest.Host{}).Launch(good, config{})
	if err != nil || *step.Entries["~ada/notes.txt"].Attrs.Owner != (bootsplice.Ownership{User: "ada", Group: "staff"}) {
		t.Error(step, err)
	}
}

func TestModesAndOwnersAreChecked(t *testing.T) {
	wrong := func(option bootsplice.Option) error {
		return launch(writes(func(sink *bootsplice.Sink) error { return sink.File("/x", "x", option) }))
	}
	refused(t, wrong(bootsplice.Mode(0o4755)), bootsplice.Denied, "4755 has bits beyond 0777")
	refused(t, wrong(bootsplice.Owner("a b", "")), bootsplice.Denied, "no user's or group's name")
}

func TestANameStandsOnceAndNothingLiesBelowAFile(t *testing.T) {
	both := func(first, second string) error {
		return launch(writes(func(sink *bootsplice.Sink) error {
			return errors.Join(sink.File(first, "1"), sink.File(second, "2"))
		}))
	}
	refused(t, both("/a", "/a"), bootsplice.Denied, "already has an entry")
	refused(t, both("/a", "/a/b"), bootsplice.Denied, "below an entry that is no directory")
	refused(t, both("/a/b", "/a"), bootsplice.Denied, "has entries below it")
	link := writes(func(sink *bootsplice.Sink) error { return sink.Symlink("/a", "../../b") })
	refused(t, launch(link), bootsplice.Denied, "leads out of its root")
}

func TestAnOutputBombStaysBrokenEvenIfTheGeneratorGoesOn(t *testing.T) {
	stubborn := writes(func(sink *bootsplice.Sink) error {
		_ = sink.Bytes("/big", make([]byte, 100_000))
		return nil
	})
	_, err := (&bootsplicetest.Host{Limits: bootsplicetest.Limits{OutputBytes: 10_000}}).Launch(stubborn, config{})
	refused(t, err, bootsplice.QuotaExceeded, "output-bytes")
	many := writes(func(sink *bootsplice.Sink) error {
		for index := range 9 {
			_ = sink.File(fmt.Sprint("/", index), "")
		}
		return nil
	})
	_, err = (&bootsplicetest.Host{Limits: bootsplicetest.Limits{OutputEntries: 8}}).Launch(many, config{})
	refused(t, err, bootsplice.QuotaExceeded, "output-entries")
}

func TestAWriterIsFinishedAndLargeContentComesWhole(t *testing.T) {
	open := writes(func(sink *bootsplice.Sink) error {
		_, err := sink.Create("/x")
		return err
	})
	refused(t, launch(open), bootsplice.Fault, "never finished")
	large := bootsplice.New(author{
		resolve: func() (bootsplice.LockFile, error) { return bootsplice.LockFile{MaxOutput: 4 << 20}, nil },
		generate: func(sink *bootsplice.Sink, _ bootsplice.Locked, _ *bootsplice.Instance) error {
			return sink.Bytes("/x", make([]byte, 3<<20))
		},
	})
	step, err := (&bootsplicetest.Host{}).Launch(large, config{})
	if err != nil || len(step.Entries["/x"].Text) != 3<<20 {
		t.Error(err)
	}
}

func TestMoreThanTheLockFileSaidIsAFault(t *testing.T) {
	plugin := bootsplice.New(author{
		resolve: func() (bootsplice.LockFile, error) { return bootsplice.LockFile{MaxOutput: 10}, nil },
		generate: func(sink *bootsplice.Sink, _ bootsplice.Locked, _ *bootsplice.Instance) error {
			return sink.File("/x", "x")
		},
	})
	refused(t, launch(plugin), bootsplice.Fault, "the lock file said 10")
}

func TestPlaceholdersAreKnownAndSecretsNamed(t *testing.T) {
	template := func(text string, with config) (bootsplicetest.Step, error) {
		return (&bootsplicetest.Host{}).Launch(writes(func(sink *bootsplice.Sink) error { return sink.Template("/x.json", text) }), with)
	}
	_, err := template("{{instance:ip}}", config{})
	refused(t, err, bootsplice.Unsupported, "is not a placeholder")
	_, err = template("{{secret:key}}", config{})
	refused(t, err, bootsplice.Denied, "secret `key` is not named")
	if _, err = template("{{secret:key}}", config{"secret": "key"}); err != nil {
		t.Error(err)
	}
	step, err := template("{{instance:id}} {{jinja}}", config{})
	if made := step.Entries["/x.json"]; err != nil || made.Kind != bootsplicetest.Template || made.Format != bootsplice.JSON {
		t.Error(made, err)
	}
}

func TestActionsAreChecked(t *testing.T) {
	act := func(add func(*bootsplice.Sink) error, words string) {
		t.Helper()
		refused(t, launch(writes(add)), bootsplice.Unsupported, words)
	}
	act(func(s *bootsplice.Sink) error { return s.Service(bootsplice.Service{Unit: "nginx"}) }, "no unit's name")
	act(func(s *bootsplice.Sink) error { return s.Run(bootsplice.Command{Interpreter: "sh", Text: "x"}) }, "interpreter")
	act(func(s *bootsplice.Sink) error { return s.Run(bootsplice.Command{Text: strings.Repeat("x", 65537)}) }, "65537 bytes")
	act(func(s *bootsplice.Sink) error { return s.Edit(bootsplice.Edit{File: "/x", Format: bootsplice.EditINI}) }, "1 to 10000 changes")
	act(func(s *bootsplice.Sink) error {
		return s.Edit(bootsplice.Edit{File: "/x", Format: bootsplice.EditINI, Changes: []bootsplice.Change{bootsplice.Set("a", 1)}})
	}, "no JSON Pointer")
	act(func(s *bootsplice.Sink) error {
		return s.Edit(bootsplice.Edit{File: "/x", Format: bootsplice.EditINI, Changes: []bootsplice.Change{bootsplice.Set("/a", func() {})}})
	}, "is no JSON")
}

func TestMembersOfAnArchivePassTheSameChecks(t *testing.T) {
	unpack := func(kind byte, name string) (bootsplicetest.Step, error) {
		var packed bytes.Buffer
		out := tar.NewWriter(&packed)
		if err := out.WriteHeader(&tar.Header{Name: name, Typeflag: kind, Linkname: "y", Mode: 0o4755}); err != nil {
			t.Fatal(err)
		}
		out.Close()
		return (&bootsplicetest.Host{}).Launch(writes(func(sink *bootsplice.Sink) error {
			content, err := bootsplice.NewBlob(&packed)
			if err != nil {
				return err
			}
			_, err = sink.Unpack("/opt", content, bootsplice.UnpackOptions{StripComponents: 1})
			return err
		}), config{})
	}
	step, err := unpack(tar.TypeReg, "d/x")
	if err != nil || step.Entries["/opt/x"].Attrs.Mode != 0o755 {
		t.Error(step, err)
	}
	_, err = unpack(tar.TypeLink, "d/x")
	refused(t, err, bootsplice.Denied, "only files")
	_, err = unpack(tar.TypeReg, "../x")
	refused(t, err, bootsplice.Denied, "`..` segment")
}

func resolves(host *bootsplicetest.Host, wish string, get func() error) error {
	plugin := bootsplice.New(author{fetch: wish, resolve: func() (bootsplice.LockFile, error) { return bootsplice.LockFile{}, get() }})
	_, err := host.Resolve(plugin, config{}, nil)
	return err
}

func TestAGrantCoversWholeSegmentsAndWhatTheDescriptorAsksFor(t *testing.T) {
	get := func() error {
		_, err := bootsplice.Fetch(bootsplice.Request{URLs: []string{from}})
		return err
	}
	files := map[string]any{from: "bytes"}
	for _, good := range []struct{ grant, wish string }{{from, "https://a.example/"}, {"https://a.example/x", "https://a.example/"}, {"https://a.example/", "https://*/"}} {
		if err := resolves(&bootsplicetest.Host{Files: files, Grants: []string{good.grant}}, good.wish, get); err != nil {
			t.Error(good, err)
		}
	}
	for _, wrong := range []struct{ grant, wish string }{{"https://a.example/xy", "https://a.example/"}, {from, "https://b.example/"}, {"http://a.example/", from}} {
		err := resolves(&bootsplicetest.Host{Files: files, Grants: []string{wrong.grant}}, wrong.wish, get)
		refused(t, err, bootsplice.Denied, "no grant of this step covers it")
	}
	dots := func() error {
		_, err := bootsplice.Fetch(bootsplice.Request{URLs: []string{"https://a.example/x/%2e%2e/y"}})
		return err
	}
	refused(t, resolves(&bootsplicetest.Host{Files: files}, "https://a.example/", dots), bootsplice.Denied, "segment in the path")
}

func TestBytesAreWhatWasPromised(t *testing.T) {
	get := func(request bootsplice.Request, limits bootsplicetest.Limits) error {
		host := &bootsplicetest.Host{Files: map[string]any{from: "bytes"}, Limits: limits}
		request.URLs = []string{from}
		return resolves(host, "https://a.example/", func() error {
			_, err := bootsplice.FetchAll([]bootsplice.Request{request, request, request})
			return err
		})
	}
	none := bootsplicetest.Limits{}
	refused(t, get(bootsplice.Request{Digest: strings.Repeat("0", 64)}, none), bootsplice.Integrity, "was promised")
	refused(t, get(bootsplice.Request{MaxSize: 3}, none), bootsplice.QuotaExceeded, "fetch-bytes")
	refused(t, get(bootsplice.Request{}, bootsplicetest.Limits{Fetches: 2}), bootsplice.QuotaExceeded, "fetch-count")
	refused(t, get(bootsplice.Request{Credential: "token"}, none), bootsplice.Denied, "secret `token` is not granted")
}

func TestGenerateFetchesOnlyWhatIsPinned(t *testing.T) {
	run := func(generate func(sink *bootsplice.Sink, locked bootsplice.Locked, _ *bootsplice.Instance) error) (bootsplicetest.Step, error) {
		plugin := bootsplice.New(author{fetch: from, generate: generate, resolve: func() (bootsplice.LockFile, error) {
			pin, _, err := bootsplice.PinSource("it", bootsplice.Source{URL: from})
			return bootsplice.LockFile{Pins: []bootsplice.Pin{pin}, MaxOutput: 4096}, err
		}})
		return (&bootsplicetest.Host{Files: map[string]any{from: "bytes"}}).Launch(plugin, config{})
	}
	step, err := run(func(sink *bootsplice.Sink, locked bootsplice.Locked, _ *bootsplice.Instance) error {
		content, err := locked.Open("it")
		if err != nil {
			return err
		}
		return sink.Blob("/x", content)
	})
	if err != nil || step.Entries["/x"].Text != "bytes" {
		t.Error(step, err)
	}
	loose := func(digest string) error {
		_, err := run(func(*bootsplice.Sink, bootsplice.Locked, *bootsplice.Instance) error {
			_, err := bootsplice.Fetch(bootsplice.Request{URLs: []string{from}, Digest: digest})
			return err
		})
		return err
	}
	refused(t, loose(""), bootsplice.Denied, "names the digest of a pin")
	refused(t, loose(strings.Repeat("0", 64)), bootsplice.Denied, "is not in the lock")
}

func TestNothingIsFetchedWhileValidating(t *testing.T) {
	var err error
	(&bootsplicetest.Host{}).Validate(bootsplice.New(author{validate: func() { _, err = bootsplice.Fetch(bootsplice.Request{URLs: []string{from}}) }}), config{})
	refused(t, err, bootsplice.Denied, "cannot be used in this phase")
}

func TestAPanicIsAFaultWithFileAndLine(t *testing.T) {
	host := &bootsplicetest.Host{}
	_, err := host.Launch(writes(func(*bootsplice.Sink) error {
		var none []int
		return fmt.Errorf("%d", none[len(host.Files)])
	}), config{})
	if !errors.Is(err, bootsplice.Fault) || !regexp.MustCompile(`^host_test\.go:\d+: index out of range \[0\] with length 0$`).MatchString(err.Error()) {
		t.Error(err)
	}
	if !strings.Contains(host.Log[1].Message, "host_test.go:") {
		t.Errorf("%+v", host.Log)
	}
}

func TestErrorsKeepTheirCodeAndPlace(t *testing.T) {
	answers := func(err error) error { return launch(writes(func(*bootsplice.Sink) error { return err })) }
	wrapped := answers(fmt.Errorf("reading: %w", bootsplice.Errorf(bootsplice.NotFound, "no such thing")))
	refused(t, wrapped, bootsplice.NotFound, "reading: no such thing")
	refused(t, answers(errors.New("odd")), bootsplice.Fault, "odd")
	refused(t, answers(bootsplice.Errorf(bootsplice.Fault, "odd")), bootsplice.Fault, "host_test.go:")
	var wrong *bootsplice.Error
	if err := answers(bootsplice.ConfigError("/a/0", "wrong")); !errors.As(err, &wrong) || wrong.Findings[0].Pointer != "/a/0" {
		t.Error(err)
	}
	down := &bootsplice.Error{Code: bootsplice.Upstream, Message: "down", RetryAfter: time.Second}
	err := resolves(&bootsplicetest.Host{Files: map[string]any{from: down}}, from, func() error {
		_, err := bootsplice.Fetch(bootsplice.Request{URLs: []string{from}})
		return err
	})
	if !errors.As(err, &wrong) || wrong.RetryAfter != time.Second {
		t.Error(err)
	}
}

func TestTheLogIsBoundedAndBlocksNothing(t *testing.T) {
	host := &bootsplicetest.Host{Limits: bootsplicetest.Limits{LogBytes: 100}}
	_, err := host.Launch(writes(func(*bootsplice.Sink) error {
		for range 5 {
			bootsplice.Log.With("a", 1).WithGroup("g").Info(strings.Repeat("x", 60), "b", true)
		}
		return nil
	}), config{})
	if err != nil || len(host.Log) != 1 || host.Log[0].Fields["g.b"] != "true" || host.Log[0].Fields["a"] != "1" {
		t.Errorf("%v %+v", err, host.Log)
	}
}

func TestTheInstanceComesWhereTheLockFileAsks(t *testing.T) {
	for _, needs := range []bool{false, true} {
		var seen *bootsplice.Instance
		plugin := bootsplice.New(author{
			resolve: func() (bootsplice.LockFile, error) { return bootsplice.LockFile{NeedsInstance: needs}, nil },
			generate: func(_ *bootsplice.Sink, _ bootsplice.Locked, instance *bootsplice.Instance) error {
				seen = instance
				return nil
			},
		})
		host := &bootsplicetest.Host{}
		lock, err := host.Resolve(plugin, config{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := host.Generate(plugin, config{}, lock, &bootsplice.Instance{ID: "i-7"}); err != nil {
			t.Fatal(err)
		}
		if (seen != nil) != needs || needs && seen.ID != "i-7" {
			t.Error(needs, seen)
		}
	}
}

func TestStateComesBackAndBlobsAreReadInPieces(t *testing.T) {
	text := strings.Repeat("0123456789", 300_000)
	var read []byte
	plugin := bootsplice.New(author{
		resolve: func() (bootsplice.LockFile, error) {
			state, err := bootsplice.NewBlob(strings.NewReader(text))
			return bootsplice.LockFile{State: state}, err
		},
		generate: func(_ *bootsplice.Sink, locked bootsplice.Locked, _ *bootsplice.Instance) (err error) {
			read, err = locked.State.Bytes(4 << 20)
			return err
		},
	})
	if err := launch(plugin); err != nil || string(read) != text {
		t.Error(err, len(read))
	}
}
