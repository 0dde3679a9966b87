package bootsplicetest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strings"

	bootsplice "github.com/bootsplice/bootsplice/sdk/go"
)

type member struct {
	name, text string
	kind       Kind
	mode       uint32
}

// Unpack adds members, refused where the host refuses them. The archive's own root and stripped parents are left out.
func (s *sink) Unpack(prefix string, content bootsplice.HostBlob, options bootsplice.UnpackOptions) (uint32, error) {
	read := readTar
	if options.Zip {
		read = readZip
	}
	members, err := read(content.(*blob).data)
	if err != nil {
		return 0, err
	}
	count := uint32(0)
	for _, each := range members {
		below, err := stripped(each.name, int(options.StripComponents))
		if err != nil {
			return count, err
		}
		if below == "" {
			continue
		}
		mode := each.mode
		if options.Mode != nil {
			mode = *options.Mode
			if each.kind == Dir {
				mode |= mode & 0o444 >> 2
			}
		}
		path := strings.TrimRight(prefix, "/") + "/" + below
		attrs := bootsplice.Attrs{Mode: mode & 0o777, Owner: options.Owner, OnConflict: options.OnConflict}
		switch each.kind {
		case Dir:
			err = s.PutDir(path, attrs)
		case Symlink:
			err = s.PutSymlink(path, each.text)
		default:
			err = s.file(path, attrs, []byte(each.text))
		}
		if err != nil {
			return count, err
		}
		count++
	}
	return count, nil
}

func stripped(name string, components int) (string, error) {
	if strings.HasPrefix(name, "/") {
		return "", denied("%s: an absolute name", name)
	}
	var segments []string
	for _, segment := range strings.Split(name, "/") {
		if segment != "" && segment != "." {
			segments = append(segments, segment)
		}
	}
	for _, segment := range segments[:min(components, len(segments))] {
		if segment == ".." {
			return "", denied("%s: a `..` segment", name)
		}
	}
	return strings.Join(segments[min(components, len(segments)):], "/"), nil
}

func readTar(data []byte) ([]member, error) {
	var members []member
	archive := tar.NewReader(bytes.NewReader(data))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return members, nil
		}
		if err != nil {
			return nil, unsupported("not a readable tar: %s", err)
		}
		made := member{name: header.Name, mode: uint32(header.Mode), text: header.Linkname}
		switch header.Typeflag {
		case tar.TypeReg:
			text, err := io.ReadAll(archive)
			if err != nil {
				return nil, unsupported("not a readable tar: %s", err)
			}
			made.kind, made.text = File, string(text)
		case tar.TypeDir:
			made.kind = Dir
		case tar.TypeSymlink:
			made.kind = Symlink
		default:
			return nil, denied("%s: a member of type %q; only files, directories and symbolic links are unpacked", header.Name, header.Typeflag)
		}
		members = append(members, made)
	}
}

func readZip(data []byte) ([]member, error) {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, unsupported("not a readable zip: %s", err)
	}
	var members []member
	for _, file := range archive.File {
		if strings.Contains(file.Name, `\`) {
			return nil, denied("%s: a backslash in a zip member's name", file.Name)
		}
		made := member{name: file.Name, kind: File, mode: file.ExternalAttrs >> 16}
		if file.Mode().IsDir() {
			made.kind = Dir
		} else if file.Mode()&fs.ModeSymlink != 0 {
			made.kind = Symlink
		}
		if made.mode == 0 {
			made.mode = map[Kind]uint32{File: 0o644, Dir: 0o755}[made.kind]
		}
		content, err := file.Open()
		if err != nil {
			return nil, unsupported("not a readable zip: %s", err)
		}
		text, err := io.ReadAll(content)
		if err != nil {
			return nil, unsupported("not a readable zip: %s", err)
		}
		made.text = string(text)
		members = append(members, made)
	}
	return members, nil
}
