package bootsplice

import "encoding/json"

// MaxOutput is an upper bound of what write gives to a sink, for the lock file.
func MaxOutput(write func(*Sink) error) (uint64, error) {
	counts := &meter{overhead}
	err := write(&Sink{counts})
	return counts.bytes, err
}

const overhead = 4096

// meter counts what is written instead of writing it.
type meter struct{ bytes uint64 }

func (m *meter) add(count uint64) error {
	m.bytes += count
	return nil
}

func (m *meter) PutBlob(_ string, _ Attrs, content HostBlob) error {
	return m.add(overhead + content.Size())
}

func (m *meter) PutBytes(_ string, _ Attrs, content []byte) error {
	return m.add(overhead + uint64(len(content)))
}

// PutTemplate counts double: filled values are longer than their placeholders.
func (m *meter) PutTemplate(_ string, _ Attrs, text string, _ TemplateFormat) error {
	return m.add(2 * (overhead + uint64(len(text))))
}

func (m *meter) PutDir(string, Attrs) error               { return m.add(overhead) }
func (m *meter) PutSymlink(_, _ string) error             { return m.add(overhead) }
func (m *meter) Write(data []byte) error                  { return m.add(uint64(len(data))) }
func (m *meter) Append(content HostBlob) error            { return m.add(content.Size()) }
func (m *meter) Finish() error                            { return nil }
func (m *meter) Create(string, Attrs) (HostWriter, error) { return m, m.add(overhead) }

// Unpack: a member costs a header beside its bytes; those of the archive have about as many.
func (m *meter) Unpack(_ string, content HostBlob, _ UnpackOptions) (uint32, error) {
	return 0, m.add(overhead + 4*content.Size())
}

// AddAction: JSON escapes may make six characters of one.
func (m *meter) AddAction(action Action) error {
	text, err := json.Marshal(action)
	if err != nil {
		return err
	}
	return m.add(overhead + 6*uint64(len(text)))
}
