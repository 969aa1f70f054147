package images

import (
	"archive/tar"
	"os"
	"strings"
	"testing"
)

func TestAnImageWithoutItsLibrariesIsRefused(t *testing.T) {
	shell, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Skip("SKIPPED: no /bin/sh on this machine")
	}
	if alone, err := static(shell); err != nil || alone {
		t.Skip("SKIPPED: /bin/sh of this machine needs no libraries")
	}
	files := rootfs{}
	files.put(File{Path: "usr/bin/sh", Mode: 0o755, Data: shell}, true)
	if err := files.complete(); err == nil || !strings.Contains(err.Error(), "for usr/bin/sh") {
		t.Errorf("got %v", err)
	}
}

func TestFoldersComeFirstAndHardLinksLast(t *testing.T) {
	files := rootfs{}
	files.put(File{Path: "b/c/d", Data: []byte("x")}, true)
	files.parents("b/c/d")
	files["a"] = &entry{header: tar.Header{Typeflag: tar.TypeLink, Name: "a", Linkname: "b/c/d"}}
	if got := strings.Join(files.names(), " "); got != "b b/c b/c/d a" {
		t.Errorf("got %s", got)
	}
}

func TestAFileOfTwoPackagesIsRefused(t *testing.T) {
	files := rootfs{}
	folder := &tar.Header{Typeflag: tar.TypeDir, Name: "usr"}
	file := &tar.Header{Typeflag: tar.TypeReg, Name: "usr/x"}
	for _, header := range []*tar.Header{folder, folder, file} {
		if err := files.fromPackage(Source{}, header, strings.NewReader("")); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.fromPackage(Source{}, file, strings.NewReader("")); err == nil {
		t.Error("no error")
	}
}

func TestBelow(t *testing.T) {
	for name, want := range map[string]bool{"a/b": true, "a/b/c": true, "a/bc": false, "a": false} {
		if below(name, []string{"a/b"}) != want {
			t.Errorf("%s: not %t", name, want)
		}
	}
}
