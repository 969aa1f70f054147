package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"runtime"
	"strings"
)

// Merged are the folders that on a system with a merged /usr are links into it. A tree that holds
// files of packages needs the links, as paths in packages (an interpreter, say) go through them.
var Merged = []string{"bin", "sbin", "lib", "lib64"}

// Triplet is Debian's name of this machine's architecture in the paths of libraries.
func Triplet() string {
	if runtime.GOARCH == "arm64" {
		return "aarch64-linux-gnu"
	}
	return "x86_64-linux-gnu"
}

// Walk calls visit for each file, link and folder of the package archive deb, in the order of the
// archive. Names are relative, clean, and those of a system with a merged /usr: usr/bin/sh for
// /bin/sh; of hard links the target as well. The reader is good until visit returns. Walk ends at
// the first error, and returns it.
func Walk(ctx context.Context, deb string, visit func(*tar.Header, io.Reader) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	command := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	if err := walkTar(out, visit); err != nil {
		cancel()
		_ = command.Wait()
		return fmt.Errorf("debian: %s: %w", path.Base(deb), err)
	}
	if err := command.Wait(); err != nil {
		return fmt.Errorf("debian: %s: %w: %s", path.Base(deb), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}

func walkTar(in io.Reader, visit func(*tar.Header, io.Reader) error) error {
	archive := tar.NewReader(in)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			// What follows the end mark is read as well, or dpkg-deb dies of a closed pipe.
			_, err := io.Copy(io.Discard, in)
			return err
		}
		if err != nil {
			return err
		}
		if header.Name, err = merged(header.Name); err != nil {
			return err
		}
		if header.Name == "." {
			continue
		}
		if header.Typeflag == tar.TypeLink {
			if header.Linkname, err = merged(header.Linkname); err != nil {
				return err
			}
		}
		if err := visit(header, archive); err != nil {
			return err
		}
	}
}

// merged is the name of a file of a package on a system with a merged /usr.
func merged(name string) (string, error) {
	clean := path.Clean(strings.TrimPrefix(name, "/"))
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("%q is outside of the package", name)
	}
	top, _, _ := strings.Cut(clean, "/")
	for _, dir := range Merged {
		if top == dir {
			return "usr/" + clean, nil
		}
	}
	return clean, nil
}
