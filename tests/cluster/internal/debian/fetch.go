package debian

import (
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

// Fetch brings the archives of packages into cacheDir, except those that are there, and returns
// their paths in the order of packages. An archive appears under its name only when it is
// complete, so several processes may share a cache. When apt cannot fetch one, its lists are
// renewed once, which needs root: lists that are older than the mirror name versions that are gone.
func Fetch(ctx context.Context, cacheDir string, packages []Package) ([]string, error) {
	dir := filepath.Join(cacheDir, "packages")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var paths []string
	var missing []Package
	for _, pkg := range packages {
		path := filepath.Join(dir, pkg.File)
		paths = append(paths, path)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			missing = append(missing, pkg)
		} else if err != nil {
			return nil, err
		}
	}
	if len(missing) == 0 {
		return paths, nil
	}
	err := download(ctx, dir, missing)
	if err != nil {
		if updateErr := update(ctx); updateErr != nil {
			return nil, errors.Join(err, updateErr)
		}
		err = download(ctx, dir, missing)
	}
	return paths, err
}

func download(ctx context.Context, dir string, packages []Package) error {
	temp, err := os.MkdirTemp(dir, ".download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	args := []string{"download"}
	for _, pkg := range packages {
		args = append(args, pkg.Name)
	}
	if _, err := apt(ctx, temp, args...); err != nil {
		return err
	}
	for _, pkg := range packages {
		from := filepath.Join(temp, pkg.File)
		if err := check(from, pkg.Hash); err != nil {
			return err
		}
		if err := os.Rename(from, filepath.Join(dir, pkg.File)); err != nil {
			return err
		}
	}
	return nil
}

// check compares a file with its hash. apt does so as well, but only while it downloads: not when
// it copies from a file:// source.
func check(path, hash string) error {
	want, found := strings.CutPrefix(hash, "SHA256:")
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if !found {
		return nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("debian: %s has SHA-256 %s, apt's lists say %s", filepath.Base(path), got, want)
	}
	return nil
}
