package debian

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// The version of how a tree is laid out: another one makes trees of earlier builds useless.
const treeFormat = "1"

// Hex digits of a tree's key in its folder's name: 48 bits tell a handful of trees apart.
const keyDigits = 12

// Tree makes a folder with the files of the packages, as if they were installed below it on a
// system with a merged /usr, and returns its absolute path. No script of a package is run, and
// nothing is added that is not named: libraries have to be in the list. The folder is made once
// for each set of versions and appears complete or not at all; it is below cacheDir, its last
// element begins with name. As root, files keep their owners.
func Tree(ctx context.Context, cacheDir, name string, packages []string) (root string, err error) {
	cacheDir, err = filepath.Abs(cacheDir)
	if err != nil {
		return "", err
	}
	resolved, err := Resolve(ctx, packages)
	if err != nil {
		return "", err
	}
	trees := filepath.Join(cacheDir, "trees")
	root = filepath.Join(trees, name+"-"+Key(treeFormat, resolved)[:keyDigits])
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	debs, err := Fetch(ctx, cacheDir, resolved)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(trees, 0o755); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(trees, ".new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	if err := os.Chmod(temp, 0o755); err != nil {
		return "", err
	}
	for _, deb := range debs {
		err := Walk(ctx, deb, func(header *tar.Header, content io.Reader) error {
			return extract(temp, header, content)
		})
		if err != nil {
			return "", err
		}
	}
	if err := mergeLinks(temp); err != nil {
		return "", err
	}
	if err := os.Rename(temp, root); err != nil {
		// Another process may have made it meanwhile: then it is as good as this one.
		if _, statErr := os.Stat(root); statErr != nil {
			return "", err
		}
	}
	return root, nil
}

// Key is a hex digest of a format's version and of the packages with their versions, the same in
// any order of them.
func Key(format string, packages []Package) string {
	files := make([]string, 0, len(packages))
	for _, pkg := range packages {
		files = append(files, pkg.File)
	}
	sum := sha256.Sum256([]byte(format + "\n" + strings.Join(sorted(files), "\n")))
	return hex.EncodeToString(sum[:])
}

func extract(root string, header *tar.Header, content io.Reader) error {
	path := filepath.Join(root, header.Name)
	mode := header.FileInfo().Mode()
	switch header.Typeflag {
	case tar.TypeDir:
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	case tar.TypeReg:
		if err := write(path, content); err != nil {
			return err
		}
	case tar.TypeSymlink:
		return os.Symlink(header.Linkname, path)
	case tar.TypeLink:
		return os.Link(filepath.Join(root, header.Linkname), path)
	default:
		return fmt.Errorf("%s: a package with a file of type %q", header.Name, header.Typeflag)
	}
	// The owner first: a change of owner takes setuid away.
	if os.Geteuid() == 0 {
		if err := os.Lchown(path, header.Uid, header.Gid); err != nil {
			return err
		}
	}
	return os.Chmod(path, mode)
}

func write(path string, content io.Reader) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// mergeLinks adds the links of a merged /usr for those folders that the tree has.
func mergeLinks(root string) error {
	for _, dir := range Merged {
		if _, err := os.Stat(filepath.Join(root, "usr", dir)); err != nil {
			continue
		}
		if err := os.Symlink("usr/"+dir, filepath.Join(root, dir)); err != nil {
			return err
		}
	}
	return nil
}
