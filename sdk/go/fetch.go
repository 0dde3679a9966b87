package bootsplice

import "strings"

const maxSize = 4 << 30

// Request is one thing to fetch: GET by the host, within the step's grants. In Generate only what the lock file pins.
type Request struct {
	// URLs are tried in order; 1 to 16.
	URLs []string
	// Digest is `sha256:` and 64 lower-case hex digits, or the digits alone. Required in Generate.
	Digest string
	// Size, where it is known.
	Size *uint64
	// MaxSize is 4 GiB when 0.
	MaxSize uint64
	// Credential is the name of a secret granted to the step; the host adds the header.
	Credential string
	// MaxAge, for what is not pinned: the oldest cached copy that will do, in seconds.
	MaxAge *uint32
}

// Response to a request.
type Response struct {
	Content   *Blob
	FinalURL  string
	ETag      string
	FromCache bool
}

// Source is where one artefact comes from, as configurations write it.
type Source struct {
	URL string `json:"url"`
	// SHA256 may be absent: then the digest is pinned when the step is resolved.
	SHA256     string `json:"sha256,omitempty"`
	Credential string `json:"credential,omitempty"`
}

// Fetch fetches one thing.
func Fetch(request Request) (Response, error) {
	responses, err := FetchAll([]Request{request})
	if err != nil {
		return Response{}, err
	}
	return responses[0], nil
}

// FetchAll fetches many things in parallel; answers in the order asked, or the first failure.
func FetchAll(requests []Request) ([]Response, error) {
	asked := make([]Request, len(requests))
	for index, request := range requests {
		request.MaxSize = or(request.MaxSize, maxSize)
		if request.Digest != "" && !strings.Contains(request.Digest, ":") {
			request.Digest = "sha256:" + request.Digest
		}
		asked[index] = request
	}
	responses := make([]Response, 0, len(asked))
	for _, answer := range host.Fetch(asked) {
		if answer.Err != nil {
			return nil, answer.Err
		}
		responses = append(responses, Response{&Blob{answer.Content}, answer.FinalURL, answer.ETag, answer.FromCache})
	}
	return responses, nil
}

// PinSource fetches a source in Resolve: its pin for the lock file, and its bytes.
func PinSource(name string, source Source) (Pin, *Blob, error) {
	response, err := Fetch(Request{URLs: []string{source.URL}, Digest: source.SHA256, Credential: source.Credential})
	if err != nil {
		return Pin{}, nil, err
	}
	pin := Pin{Name: name, URLs: []string{source.URL}, Digest: response.Content.Digest(), Size: uint64(response.Content.Size())}
	if source.Credential != "" {
		pin.Attributes = map[string]string{"credential": source.Credential}
	}
	return pin, response.Content, nil
}

// ReadInventory gives a file of the image that the launch starts from, nil where there is none: "os-release", "passwd". Only in Resolve.
func ReadInventory(name string) *Blob { return known(host.ReadFile(name)) }

// ListInventory names the files that ReadInventory knows.
func ListInventory() []string { return host.ListFiles() }

// CacheGet gives bytes kept by an earlier Resolve, or nil.
func CacheGet(key string) *Blob { return known(host.CacheGet(key)) }

// CachePut keeps bytes for a later Resolve, without a time where ttlSeconds is nil.
func CachePut(key string, value *Blob, ttlSeconds *uint32) error {
	return host.CachePut(key, value.Raw, ttlSeconds)
}

// Keyring is OpenPGP certificates, armoured or binary, and which of them count (empty: all).
type Keyring struct {
	Certificates []byte
	Allowed      []KeyRule
}

// KeyRule allows a key: 40 or 64 hex digits; Exact: only this very key.
type KeyRule struct {
	Fingerprint string
	Exact       bool
}

// Signature by an allowed key.
type Signature struct {
	Fingerprint, Primary string
	// Made is in seconds since 1970.
	Made uint64
}

// Verify checks a clearsigned message, or with detached any content, and gives the signed bytes and no others. Only in Resolve.
func Verify(content, detached *Blob, keyrings []Keyring) (*Blob, []Signature, error) {
	var signature HostBlob
	if detached != nil {
		signature = detached.Raw
	}
	signed, signatures, err := host.Verify(content.Raw, signature, keyrings)
	if err != nil {
		return nil, nil, err
	}
	return &Blob{signed}, signatures, nil
}

// Seen is the highest value known for key, nil where there is none, and raises it to value once this Resolve has answered.
func Seen(key string, value uint64) (*uint64, error) { return host.Seen(key, value) }
