// Package debian gives programs from Debian packages without installing them: it fetches packages
// through whatever sources apt has on this machine, keeps them in a cache and reads their files.
package debian

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
	"sync"
)

// Package is one version of a package, as apt would fetch it now.
type Package struct {
	// Name as asked for, without version or architecture.
	Name string
	// File is the name of its archive, which holds the version and the architecture.
	File string
	// Hash is what apt's signed lists say about the archive, as ALGORITHM:HEX; empty when they
	// say nothing.
	Hash string
}

// Resolve says which version of each package apt would fetch, ordered by name and without
// duplicates. When apt does not know one of them its lists are renewed once, which needs root. It
// fetches no package.
func Resolve(ctx context.Context, names []string) ([]Package, error) {
	names = sorted(names)
	if len(names) == 0 {
		return nil, errors.New("debian: no packages named")
	}
	packages, err := resolve(ctx, names)
	if err == nil {
		return packages, nil
	}
	if updateErr := update(ctx); updateErr != nil {
		return nil, errors.Join(err, updateErr)
	}
	return resolve(ctx, names)
}

func resolve(ctx context.Context, names []string) ([]Package, error) {
	// In an empty folder: apt is silent about archives that the current one holds.
	empty, err := os.MkdirTemp("", "arc-rocm-resolve-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(empty)
	out, err := apt(ctx, empty, append([]string{"--print-uris", "download"}, names...)...)
	if err != nil {
		return nil, err
	}
	packages, err := parseURIs(out)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		if i >= len(packages) || packages[i].Name != name {
			return nil, fmt.Errorf("debian: apt has nothing to download for %s", name)
		}
	}
	return packages, nil
}

// parseURIs reads lines of the form 'URI' FILE BYTES ALGORITHM:HEX.
func parseURIs(out []byte) ([]Package, error) {
	var packages []Package
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || !strings.HasPrefix(fields[0], "'") {
			continue
		}
		name, _, found := strings.Cut(fields[1], "_")
		if !found || strings.ContainsRune(fields[1], '/') {
			return nil, fmt.Errorf("debian: no package's file name: %q", fields[1])
		}
		hash := ""
		if len(fields) > 3 {
			hash = fields[3]
		}
		packages = append(packages, Package{Name: name, File: fields[1], Hash: hash})
	}
	sort.Slice(packages, func(i, j int) bool { return packages[i].Name < packages[j].Name })
	return packages, lines.Err()
}

var updating sync.Mutex
var updated bool

// update renews apt's lists, once in a process: apt locks them, and what is not known after that
// stays unknown.
func update(ctx context.Context) error {
	updating.Lock()
	defer updating.Unlock()
	if updated {
		return nil
	}
	_, err := apt(ctx, "", "update")
	updated = err == nil
	return err
}

// apt runs apt-get in dir and returns what it prints.
func apt(ctx context.Context, dir string, args ...string) ([]byte, error) {
	// As root, apt fetches as a user of its own, who cannot write in a cache that is ours.
	args = append([]string{"-q", "-o", "APT::Sandbox::User=root"}, args...)
	command := exec.CommandContext(ctx, "apt-get", args...)
	command.Dir = dir
	command.Env = append(command.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("debian: apt-get %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

func sorted(names []string) []string {
	names = append([]string(nil), names...)
	sort.Strings(names)
	distinct := names[:0]
	for i, name := range names {
		if i == 0 || name != names[i-1] {
			distinct = append(distinct, name)
		}
	}
	return distinct
}
