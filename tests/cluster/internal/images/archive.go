package images

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// FromFile gives an image called ref: the one that file holds, as `docker save` writes it, or else a
// program, alone in an image that runs as user: see [Binary].
func FromFile(ref, file, user string) (Image, error) {
	program, err := isProgram(file)
	if err != nil {
		return Image{}, err
	}
	if program {
		return Binary(ref, file, user)
	}
	return Archive(ref, file)
}

// Archive gives the image called ref in an archive that `docker save` has written. The archive may
// hold others.
func Archive(ref, file string) (Image, error) {
	tag, err := name.NewTag(ref)
	if err != nil {
		return Image{}, err
	}
	image, err := tarball.ImageFromPath(file, &tag)
	if err != nil {
		return Image{}, fmt.Errorf("image %s in %s: %w", ref, file, err)
	}
	return Image{Refs: []string{ref}, Image: image}, nil
}

// isProgram tells by the first bytes of an ELF file.
func isProgram(path string) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(file, magic); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return bytes.Equal(magic, []byte("\x7fELF")), nil
}
