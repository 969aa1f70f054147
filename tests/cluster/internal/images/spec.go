// Package images makes the images of the test cluster from Debian packages and files of its own,
// without a container engine, and pushes them to a registry. They have the names that pods and
// jobs use, so that manifests work unchanged, and the contents that matter to such a pod: nothing
// of a public registry is in them.
package images

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Spec is what an image is made of. It is data, so that its digest tells whether an image that
// was built earlier is still the same.
type Spec struct {
	// Name of the image among these, for messages and the name of its folder.
	Name string
	// Refs are the names under which it is pushed.
	Refs []string
	// Packages of Debian whose files it has.
	Packages []Source
	// Files of our own. They come after those of packages and replace them.
	Files []File
	// Config is how a container of it runs.
	Config v1.Config
}

// packages are the names of the packages, in their order.
func (spec Spec) packages() []string {
	names := make([]string, 0, len(spec.Packages))
	for _, source := range spec.Packages {
		names = append(names, source.Package)
	}
	return names
}

// Source is a package and the part of it that an image takes.
type Source struct {
	Package string
	// Only these paths, and what is below them; everything when empty. Paths are relative, as on a
	// system with a merged /usr.
	Only []string
}

// File is a file, link or folder of our own. Its folders are made as needed.
type File struct {
	// Path is relative to the image's root.
	Path string
	// Link is what a symbolic link points to; a file or folder has none.
	Link string
	// Dir is true for a folder.
	Dir bool
	// Mode holds permission bits and, as in a tar archive, setuid 04000 and sticky 01000.
	Mode     int64
	UID, GID int
	Data     []byte
}

// all are whole packages.
func all(names ...string) []Source {
	sources := make([]Source, 0, len(names))
	for _, name := range names {
		sources = append(sources, Source{Package: name})
	}
	return sources
}

// only is a part of a package.
func only(name string, paths ...string) Source { return Source{Package: name, Only: paths} }

// Stock are the images that a cluster needs, except the webhook's.
func Stock() []Spec { return []Spec{dind(), runner(), job(), pause()} }
