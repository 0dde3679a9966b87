package bootsplice

// Host is what a component imports. In a component it is the contract's; package bootsplicetest has another, for tests. Generators call the
// functions and types around it, which are easier to use.
type Host interface {
	Log(level Level, message string, fields [][2]string)
	Progress(stage string, done uint64, total *uint64)
	IsCancelled() bool
	// Fetch answers in the order asked.
	Fetch(requests []Request) []Answer
	// ReadFile answers nil where there is no such file.
	ReadFile(name string) HostBlob
	ListFiles() []string
	Verify(content, detached HostBlob, keyrings []Keyring) (HostBlob, []Signature, error)
	Seen(key string, value uint64) (*uint64, error)
	// CacheGet answers nil where nothing is kept.
	CacheGet(key string) HostBlob
	CachePut(key string, value HostBlob, ttlSeconds *uint32) error
	NewBuilder() HostBuilder
}

// Answer to one request: bytes, or an error.
type Answer struct {
	Content   HostBlob
	FinalURL  string
	ETag      string
	FromCache bool
	Err       error
}

// HostBlob is a blob by its handle.
type HostBlob interface {
	Size() uint64
	Digest() string
	Read(offset uint64, length uint32) ([]byte, error)
	Decompress(codec Codec, maxSize uint64) (HostBlob, error)
	Slice(offset, length uint64) (HostBlob, error)
	Drop()
}

// HostBuilder makes a blob from pieces.
type HostBuilder interface {
	Write(data []byte) error
	Append(content HostBlob) error
	Finish() (HostBlob, error)
}

// HostSink takes entries and actions.
type HostSink interface {
	PutBlob(path string, attrs Attrs, content HostBlob) error
	PutBytes(path string, attrs Attrs, content []byte) error
	PutTemplate(path string, attrs Attrs, text string, format TemplateFormat) error
	PutDir(path string, attrs Attrs) error
	PutSymlink(path, to string) error
	Create(path string, attrs Attrs) (HostWriter, error)
	Unpack(prefix string, content HostBlob, options UnpackOptions) (uint32, error)
	AddAction(action Action) error
}

// HostWriter takes the content of one entry.
type HostWriter interface {
	Write(data []byte) error
	Append(content HostBlob) error
	Finish() error
}

var host Host = nowhere{}

// SetHost puts a host in the place of the present one, which it answers. For bootsplicetest.
func SetHost(other Host) Host {
	former := host
	host = other
	return former
}

// nowhere is the host outside of components and tests.
type nowhere struct{ Host }

func (nowhere) Log(Level, string, [][2]string) {}
