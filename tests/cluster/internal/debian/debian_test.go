package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
)

func TestURIsOfApt(t *testing.T) {
	got, err := parseURIs([]byte("Reading package lists...\n" +
		"'mirror+file:/etc/mirrors pool/t/tini_0.19.deb' tini_0.19.0-1+b3_amd64.deb 267 SHA256:ab\n"))
	if err == nil {
		t.Fatalf("a URI with a blank gave %v", got)
	}
	got, err = parseURIs([]byte("Reading package lists...\n" +
		"'file:/pool/t/tini_0.19.deb' tini_0.19.0-1+b3_amd64.deb 267 SHA256:ab\n" +
		"'file:/pool/d/dash_0.5.deb' dash_2%3a0.5_amd64.deb 9\n"))
	want := []Package{
		{Name: "dash", File: "dash_2%3a0.5_amd64.deb"},
		{Name: "tini", File: "tini_0.19.0-1+b3_amd64.deb", Hash: "SHA256:ab"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, %v", got, err)
	}
}

func TestNamesOfAMergedUsr(t *testing.T) {
	for name, want := range map[string]string{
		"./bin/sh": "usr/bin/sh", "./lib64/": "usr/lib64", "./": ".", "/sbin/init": "usr/sbin/init",
		"./usr/bin/env": "usr/bin/env", "./library/x": "library/x",
	} {
		if got, err := merged(name); err != nil || got != want {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
	if got, err := merged("./a/../../b"); err == nil {
		t.Errorf("a name outside gave %s", got)
	}
}

func TestKeyKnowsVersionsNotOrder(t *testing.T) {
	a, b, newer := Package{File: "a_1.deb"}, Package{File: "b_1.deb"}, Package{File: "b_2.deb"}
	if Key("1", []Package{a, b}) != Key("1", []Package{b, a}) {
		t.Error("the order matters")
	}
	if Key("1", []Package{a, b}) == Key("1", []Package{a, newer}) {
		t.Error("the version does not matter")
	}
}

// archive makes a package by hand, so that the test needs no source of packages.
func archive(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("SKIPPED: no dpkg-deb on this machine")
	}
	root := t.TempDir()
	for name, text := range map[string]string{
		"DEBIAN/control": "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@localhost>\nDescription: x\n",
		"bin/x":          "#!/bin/sh\n", "usr/share/doc/x": "text",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("x", filepath.Join(root, "bin/y")); err != nil {
		t.Fatal(err)
	}
	deb := filepath.Join(t.TempDir(), "x_1_all.deb")
	if out, err := exec.Command("dpkg-deb", "--root-owner-group", "--build", root, deb).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return deb
}

func TestWalkAndExtract(t *testing.T) {
	deb, root := archive(t), t.TempDir()
	err := Walk(context.Background(), deb, func(header *tar.Header, content io.Reader) error {
		return extract(root, header, content)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := mergeLinks(root); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(root, "bin/y")); err != nil || string(text) != "#!/bin/sh\n" {
		t.Errorf("bin/y: %q, %v", text, err)
	}
	info, err := os.Stat(filepath.Join(root, "usr/bin/x"))
	if err != nil || info.Mode() != 0o755 {
		t.Errorf("usr/bin/x: %v, %v", info, err)
	}
}

func TestAFileThatIsNoPackage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.deb")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 100), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Walk(context.Background(), path, nil); err == nil {
		t.Error("no error")
	}
}

func TestTreeIsMadeOnce(t *testing.T) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("SKIPPED: no apt-get on this machine")
	}
	ctx, cache := context.Background(), t.TempDir()
	if _, err := Resolve(ctx, []string{"tini"}); err != nil {
		t.Skip("SKIPPED: apt knows no packages here: ", err)
	}
	root, err := Tree(ctx, cache, "x", []string{"tini", "tini"})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(filepath.Join(root, "usr/bin/tini-static"), "--version").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	mark := filepath.Join(root, "mark")
	if err := os.WriteFile(mark, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if again, err := Tree(ctx, cache, "x", []string{"tini"}); err != nil || again != root {
		t.Errorf("again: %s, %v", again, err)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Error("the tree was made again")
	}
}
