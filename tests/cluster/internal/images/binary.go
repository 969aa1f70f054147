package images

import (
	"fmt"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Program is where [Binary] puts the program in its image.
const Program = "/usr/local/bin/arc-rocm"

// Binary gives an image called ref that holds nothing but the program at file, as [Program]. It
// runs as user (a number, or two with a colon for the group) with entrypoint, or as the program
// alone when there is none. A program that is not static is refused.
func Binary(ref, file, user string, entrypoint ...string) (Image, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Image{}, err
	}
	alone, err := static(data)
	if err != nil {
		return Image{}, fmt.Errorf("image %s: %s: %w", ref, file, err)
	}
	if !alone {
		return Image{}, fmt.Errorf("image %s: %s is not static and cannot run without its libraries", ref, file)
	}
	if len(entrypoint) == 0 {
		entrypoint = []string{Program}
	}
	files := rootfs{}
	files.put(File{Path: Program[1:], Mode: 0o755, Data: data}, true)
	files.parents(Program[1:])
	made, err := image(files, v1.Config{User: user, Entrypoint: entrypoint, WorkingDir: "/"})
	if err != nil {
		return Image{}, err
	}
	return Image{Refs: []string{ref}, Image: made}, nil
}
