package bootsplicetest

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"

	bootsplice "github.com/bootsplice/bootsplice/sdk/go"
)

const (
	maxRead  = 1 << 20
	maxWrite = 256 << 10
)

// blob is bytes in the test's own memory.
type blob struct {
	run  *run
	data []byte
	gone bool
}

func newBlob(in *run, data []byte) (*blob, error) {
	if err := in.take("handles", 1); err != nil {
		return nil, err
	}
	return &blob{run: in, data: data}, nil
}

func (b *blob) Size() uint64 { return uint64(len(b.data)) }

func (b *blob) Digest() string {
	sum := sha256.Sum256(b.data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (b *blob) Read(offset uint64, length uint32) ([]byte, error) {
	from := min(offset, b.Size())
	return bytes.Clone(b.data[from:min(b.Size(), from+uint64(min(length, maxRead)))]), nil
}

func (b *blob) Decompress(codec bootsplice.Codec, maxSize uint64) (bootsplice.HostBlob, error) {
	if err := b.run.onlyIn("decompress", resolve, generate); err != nil {
		return nil, err
	}
	var from io.Reader
	var err error
	switch codec {
	case bootsplice.Gzip:
		from, err = gzip.NewReader(bytes.NewReader(b.data))
	case bootsplice.Bzip2:
		from = bzip2.NewReader(bytes.NewReader(b.data))
	default:
		return nil, unsupported("the fake host decompresses gzip and bzip2: test %s against a real one", codec)
	}
	var plain []byte
	if err == nil {
		plain, err = io.ReadAll(io.LimitReader(from, int64(min(maxSize, 1<<32))+1))
	}
	if err != nil {
		return nil, unsupported("it is not valid %s: %s", codec, err)
	}
	if uint64(len(plain)) > maxSize {
		return nil, unsupported("it is larger than %d bytes without its compression", maxSize)
	}
	if len(plain) > max(200*len(b.data), 16<<20) {
		return nil, unsupported("it grows more than 200 times when decompressed, past 16777216 bytes")
	}
	if err := b.run.take("scratch", int64(len(plain))); err != nil {
		return nil, err
	}
	return newBlob(b.run, plain)
}

func (b *blob) Slice(offset, length uint64) (bootsplice.HostBlob, error) {
	if offset > b.Size() || length > b.Size()-offset {
		return nil, unsupported("%d bytes from %d are not inside a blob of %d bytes", length, offset, b.Size())
	}
	return newBlob(b.run, b.data[offset:offset+length])
}

func (b *blob) Drop() {
	if !b.gone {
		b.run.used["handles"]--
	}
	b.gone = true
}

// builder of a blob.
type builder struct {
	run   *run
	data  []byte
	spent bool
}

func (b *builder) Write(data []byte) error {
	if err := b.run.onlyIn("blob-builder", resolve, generate); err != nil {
		return err
	}
	if err := checkWrite(data); err != nil {
		return err
	}
	return b.add(data)
}

func (b *builder) Append(content bootsplice.HostBlob) error {
	if err := b.run.onlyIn("blob-builder", resolve, generate); err != nil {
		return err
	}
	return b.add(content.(*blob).data)
}

func (b *builder) Finish() (bootsplice.HostBlob, error) {
	if b.spent {
		return nil, unsupported("the builder is finished already")
	}
	b.spent = true
	return newBlob(b.run, b.data)
}

func (b *builder) add(data []byte) error {
	if b.spent {
		return unsupported("the builder is finished already")
	}
	if err := b.run.take("scratch", int64(len(data))); err != nil {
		return err
	}
	b.data = append(b.data, data...)
	return nil
}

func checkWrite(data []byte) error {
	if len(data) > maxWrite {
		return unsupported("a write of %d bytes; %d are allowed in one call", len(data), maxWrite)
	}
	return nil
}
