package images

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestAnImageComesBackFromAnArchive(t *testing.T) {
	const ref = "ghcr.io/arc-rocm/arc-rocm:0.1.0"
	packed, err := FromFile(ref, program(t), "65532:65532")
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "image.tar")
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(archive, tag, packed.Image); err != nil {
		t.Fatal(err)
	}
	read, err := FromFile(ref, archive, "unused")
	if err != nil {
		t.Fatal(err)
	}
	want, _ := packed.Image.ConfigName()
	if got, err := read.Image.ConfigName(); err != nil || got != want || read.Refs[0] != ref {
		t.Errorf("got %v of %v, %v; want %v", got, read.Refs, err, want)
	}
	if _, err := FromFile("ghcr.io/arc-rocm/other:1", archive, ""); err == nil {
		t.Error("an archive gave an image that it does not hold")
	}
}

func TestAFileThatIsNeitherProgramNorArchiveIsRefused(t *testing.T) {
	for _, content := range []string{"", "x", "not an archive"} {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := FromFile("busybox:latest", file, ""); err == nil {
			t.Errorf("%q gave an image", content)
		}
	}
}
