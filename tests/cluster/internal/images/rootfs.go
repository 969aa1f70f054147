package images

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"path"
	"sort"
	"strings"

	"arc-rocm.dev/tests/cluster/internal/debian"
)

// Folders of packages that no program of an image reads: half of the files, a tenth of the bytes.
var unused = []string{
	"etc/apparmor.d", "etc/init.d", "etc/update-motd.d", "usr/include", "usr/lib/systemd", "usr/lib/udev",
	"usr/share/bash-completion", "usr/share/bug", "usr/share/doc", "usr/share/doc-base", "usr/share/fish",
	"usr/share/info", "usr/share/lintian", "usr/share/locale", "usr/share/man", "usr/share/zsh",
}

// rootfs is an image's files by their paths.
type rootfs map[string]*entry

type entry struct {
	header tar.Header
	data   []byte
}

// assemble puts the files of packages and those of spec together. archives are the packages'
// archives in the order of spec.Packages.
func assemble(ctx context.Context, spec Spec, archives []string) (rootfs, error) {
	files := rootfs{}
	for i, source := range spec.Packages {
		err := debian.Walk(ctx, archives[i], func(header *tar.Header, content io.Reader) error {
			return files.fromPackage(source, header, content)
		})
		if err != nil {
			return nil, err
		}
	}
	for _, file := range spec.Files {
		files.put(file, true)
	}
	for name := range files {
		files.parents(name)
	}
	for _, dir := range debian.Merged {
		if _, found := files["usr/"+dir]; found {
			files.put(File{Path: dir, Link: "usr/" + dir}, false)
		}
	}
	return files, files.complete()
}

func (files rootfs) fromPackage(source Source, header *tar.Header, content io.Reader) error {
	if below(header.Name, unused) || len(source.Only) > 0 && !below(header.Name, source.Only) {
		return nil
	}
	data, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	if old, found := files[header.Name]; found && (header.Typeflag != tar.TypeDir || old.header.Typeflag != tar.TypeDir) {
		return fmt.Errorf("%s is in two packages", header.Name)
	}
	files[header.Name] = &entry{data: data, header: tar.Header{
		Typeflag: header.Typeflag, Name: header.Name, Linkname: header.Linkname,
		Mode: header.Mode, Uid: header.Uid, Gid: header.Gid, Size: int64(len(data)),
	}}
	return nil
}

// put adds a file of our own; one that is there stays unless replace is true.
func (files rootfs) put(file File, replace bool) {
	if _, found := files[file.Path]; found && !replace {
		return
	}
	header := tar.Header{
		Typeflag: tar.TypeReg, Name: file.Path, Mode: file.Mode, Uid: file.UID, Gid: file.GID,
		Size: int64(len(file.Data)),
	}
	switch {
	case file.Dir:
		header.Typeflag = tar.TypeDir
	case file.Link != "":
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, file.Link, 0o777
	}
	files[file.Path] = &entry{header: header, data: file.Data}
}

// parents adds the folders above name that nobody described.
func (files rootfs) parents(name string) {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		files.put(File{Path: dir, Dir: true, Mode: 0o755}, false)
	}
}

// names are the paths in an order in which each folder comes before its files, and the target of
// a hard link before the link.
func (files rootfs) names() []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := files[names[i]], files[names[j]]
		if hardI, hardJ := a.header.Typeflag == tar.TypeLink, b.header.Typeflag == tar.TypeLink; hardI != hardJ {
			return hardJ
		}
		return names[i] < names[j]
	})
	return names
}

// below tells whether name is one of dirs or in one of them.
func below(name string, dirs []string) bool {
	for _, dir := range dirs {
		if name == dir || strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}
