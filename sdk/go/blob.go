package bootsplice

import (
	"io"
)

const (
	mib      = 1 << 20
	maxWrite = 256 << 10
)

// Blob is immutable bytes in the host. A generator moves handles, and reads what it must. It is an io.ReaderAt:
// io.NewSectionReader(blob, 0, blob.Size()) reads and seeks.
type Blob struct{ Raw HostBlob }

// Codec is a kind of compression.
type Codec string

// Kinds of compression.
const (
	Gzip  Codec = "gzip"
	Xz    Codec = "xz"
	Zstd  Codec = "zstd"
	Bzip2 Codec = "bzip2"
)

// Size in bytes.
func (b *Blob) Size() int64 { return int64(b.Raw.Size()) }

// Digest is `sha256:` and 64 lower-case hex digits.
func (b *Blob) Digest() string { return b.Raw.Digest() }

// ReadAt reads as io.ReaderAt says.
func (b *Blob) ReadAt(into []byte, offset int64) (int, error) {
	done := 0
	for done < len(into) {
		piece, err := b.Raw.Read(uint64(offset)+uint64(done), uint32(min(len(into)-done, mib)))
		if err != nil {
			return done, err
		}
		if len(piece) == 0 {
			return done, io.EOF
		}
		done += copy(into[done:], piece)
	}
	return done, nil
}

// Reader reads from the beginning.
func (b *Blob) Reader() io.Reader { return io.NewSectionReader(b, 0, b.Size()) }

// Bytes are the whole blob in the guest's memory; Unsupported past limit.
func (b *Blob) Bytes(limit int64) ([]byte, error) {
	size := b.Size()
	if size > limit {
		return nil, Errorf(Unsupported, "%d bytes where at most %d are read at once", size, limit)
	}
	data := make([]byte, size)
	_, err := b.ReadAt(data, 0)
	return data, err
}

// Decompress gives the bytes without their compression, done by the host.
func (b *Blob) Decompress(codec Codec, maxSize int64) (*Blob, error) {
	return wrap(b.Raw.Decompress(codec, uint64(maxSize)))
}

// Slice is a range as a blob of its own, without a copy.
func (b *Blob) Slice(offset, length int64) (*Blob, error) {
	return wrap(b.Raw.Slice(uint64(offset), uint64(length)))
}

// Close gives the handle back early; a generator has at most 4,096. Otherwise the garbage collector does.
func (b *Blob) Close() error {
	b.Raw.Drop()
	return nil
}

// NewBlob makes a blob of any size.
func NewBlob(content io.Reader) (*Blob, error) {
	builder := host.NewBuilder()
	piece := make([]byte, maxWrite)
	for {
		count, err := io.ReadFull(content, piece)
		if count > 0 {
			if err := builder.Write(piece[:count]); err != nil {
				return nil, err
			}
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return wrap(builder.Finish())
		default:
			return nil, err
		}
	}
}

func wrap(raw HostBlob, err error) (*Blob, error) {
	if err != nil {
		return nil, err
	}
	return &Blob{raw}, nil
}

func known(raw HostBlob) *Blob {
	if raw == nil {
		return nil
	}
	return &Blob{raw}
}
