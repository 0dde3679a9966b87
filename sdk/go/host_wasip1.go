package bootsplice

import (
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_archive"
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_blobs"
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_cache"
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_fetch"
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_inventory"
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_job"
	"github.com/bootsplice/bootsplice/sdk/go/internal/bindings/bootsplice_generator_trust"
	"github.com/bootsplice/bootsplice/sdk/go/internal/wit/types"
)

// contract is the real host.
type contract struct{}

type blob struct {
	raw *bootsplice_generator_blobs.Blob
}
type builder struct {
	raw *bootsplice_generator_blobs.BlobBuilder
}
type sink struct {
	raw *bootsplice_generator_archive.Sink
}
type writer struct {
	raw *bootsplice_generator_archive.EntryWriter
}

func (contract) Log(level Level, message string, fields [][2]string) {
	bootsplice_generator_job.Log(index(levels, level), message, rawPairs(fields))
}

func (contract) Progress(stage string, done uint64, total *uint64) {
	bootsplice_generator_job.Progress(stage, done, rawOption(total))
}

func (contract) IsCancelled() bool { return bootsplice_generator_job.IsCancelled() }

func (contract) Fetch(requests []Request) []Answer {
	var raw []bootsplice_generator_fetch.Request
	for _, request := range requests {
		raw = append(raw, bootsplice_generator_fetch.Request{
			Urls: request.URLs, Digest: rawText(request.Digest), Size: rawOption(request.Size), MaxSize: request.MaxSize,
			Credential: rawText(request.Credential), MaxAge: rawOption(request.MaxAge),
		})
	}
	var answers []Answer
	for _, answer := range bootsplice_generator_fetch.GetAll(raw) {
		if answer.IsErr() {
			answers = append(answers, Answer{Err: ofError(answer.Err())})
			continue
		}
		found := answer.Ok()
		answers = append(answers, Answer{
			Content: blob{found.Content}, FinalURL: found.FinalUrl, ETag: found.Etag.SomeOr(""), FromCache: found.FromCache,
		})
	}
	return answers
}

func (contract) ReadFile(name string) HostBlob {
	return ofBlob(bootsplice_generator_inventory.ReadFile(name))
}

func (contract) ListFiles() []string { return bootsplice_generator_inventory.ListFiles() }

func (contract) Verify(content, detached HostBlob, keyrings []Keyring) (HostBlob, []Signature, error) {
	var rings []bootsplice_generator_trust.Keyring
	for _, keyring := range keyrings {
		ring := bootsplice_generator_trust.Keyring{Certificates: keyring.Certificates}
		for _, rule := range keyring.Allowed {
			ring.Allowed = append(ring.Allowed, bootsplice_generator_trust.KeyRule{Fingerprint: rule.Fingerprint, Exact: rule.Exact})
		}
		rings = append(rings, ring)
	}
	signature := wit_types.None[*bootsplice_generator_blobs.Blob]()
	if detached != nil {
		signature = wit_types.Some(handle(detached))
	}
	answer, err := ofResult(bootsplice_generator_trust.Verify(handle(content), signature, rings))
	if err != nil {
		return nil, nil, err
	}
	var signatures []Signature
	for _, raw := range answer.Signatures {
		signatures = append(signatures, Signature{raw.Fingerprint, raw.Primary, raw.Made})
	}
	return blob{answer.Content}, signatures, nil
}

func (contract) Seen(key string, value uint64) (*uint64, error) {
	answer, err := ofResult(bootsplice_generator_trust.Seen(key, value))
	if err != nil || answer.IsNone() {
		return nil, err
	}
	highest := answer.Some()
	return &highest, nil
}

func (contract) CacheGet(key string) HostBlob { return ofBlob(bootsplice_generator_cache.Get(key)) }

func (contract) CachePut(key string, value HostBlob, ttlSeconds *uint32) error {
	return done(bootsplice_generator_cache.Put(key, handle(value), rawOption(ttlSeconds)))
}

func (contract) NewBuilder() HostBuilder {
	return builder{bootsplice_generator_blobs.MakeBlobBuilder()}
}

func (b blob) Size() uint64   { return b.raw.Size() }
func (b blob) Digest() string { return b.raw.Digest() }
func (b blob) Drop()          { b.raw.Drop() }

func (b blob) Read(offset uint64, length uint32) ([]byte, error) {
	return ofResult(b.raw.Read(offset, length))
}

func (b blob) Decompress(codec Codec, maxSize uint64) (HostBlob, error) {
	return newBlob(ofResult(b.raw.Decompress(index(codecs, codec), maxSize)))
}

func (b blob) Slice(offset, length uint64) (HostBlob, error) {
	return newBlob(ofResult(b.raw.Slice(offset, length)))
}

func (b builder) Write(data []byte) error       { return done(b.raw.Write(data)) }
func (b builder) Append(content HostBlob) error { return done(b.raw.Append(handle(content))) }
func (b builder) Finish() (HostBlob, error)     { return newBlob(ofResult(b.raw.Finish())) }
func (w writer) Write(data []byte) error        { return done(w.raw.Write(data)) }
func (w writer) Append(content HostBlob) error  { return done(w.raw.Append(handle(content))) }
func (w writer) Finish() error                  { return done(w.raw.Finish()) }
func (s sink) PutSymlink(path, to string) error { return done(s.raw.PutSymlink(path, to)) }
func (s sink) PutDir(path string, attrs Attrs) error {
	return done(s.raw.PutDir(path, rawAttrs(attrs)))
}

func (s sink) PutBlob(path string, attrs Attrs, content HostBlob) error {
	return done(s.raw.PutBlob(path, rawAttrs(attrs), handle(content)))
}

func (s sink) PutBytes(path string, attrs Attrs, content []byte) error {
	return done(s.raw.PutBytes(path, rawAttrs(attrs), content))
}

func (s sink) PutTemplate(path string, attrs Attrs, text string, format TemplateFormat) error {
	return done(s.raw.PutTemplate(path, rawAttrs(attrs), text, index(templateFormats, format)))
}

func (s sink) Create(path string, attrs Attrs) (HostWriter, error) {
	raw, err := ofResult(s.raw.Create(path, rawAttrs(attrs)))
	if err != nil {
		return nil, err
	}
	return writer{raw}, nil
}

func (s sink) Unpack(prefix string, content HostBlob, options UnpackOptions) (uint32, error) {
	raw := bootsplice_generator_archive.UnpackOptions{
		StripComponents: options.StripComponents, Mode: rawOption(options.Mode), Owner: rawOwner(options.Owner),
		OnConflict: index(conflicts, options.OnConflict),
	}
	if options.Zip {
		raw.Format = bootsplice_generator_archive.UnpackFormatZip
	}
	return ofResult(s.raw.Unpack(prefix, handle(content), raw))
}

func (s sink) AddAction(action Action) error { return done(s.raw.AddAction(rawAction(action))) }
