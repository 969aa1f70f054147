package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"arc-rocm.dev/tests/cluster/internal/debian"
)

// The version of how a spec becomes an image: another one makes images of earlier builds useless.
const buildFormat = "2"

// Hex digits of an image's key in its folder's name: 48 bits tell some images apart.
const keyDigits = 12

// Image is an image and the names it is pushed under.
type Image struct {
	Refs  []string
	Image v1.Image
}

// Build gives the images of specs, in their order. Each is made once for each content of its spec
// and each set of package versions, then read from cacheDir, where it appears complete or not at
// all. To make one takes the network that apt needs, if the packages are not in cacheDir yet.
func Build(ctx context.Context, cacheDir string, specs ...Spec) ([]Image, error) {
	var names []string
	for _, spec := range specs {
		names = append(names, spec.packages()...)
	}
	// Once for all: most of the time of a start with a full cache is apt's.
	packages, err := debian.Resolve(ctx, names)
	if err != nil {
		return nil, err
	}
	versions := map[string]debian.Package{}
	for _, pkg := range packages {
		versions[pkg.Name] = pkg
	}
	images := make([]Image, len(specs))
	err = each(len(specs), func(i int) error {
		built, err := build(ctx, cacheDir, specs[i], versions)
		if err != nil {
			return fmt.Errorf("image %s: %w", specs[i].Name, err)
		}
		images[i] = Image{Refs: specs[i].Refs, Image: built}
		return nil
	})
	return images, err
}

func build(ctx context.Context, cacheDir string, spec Spec, versions map[string]debian.Package) (v1.Image, error) {
	var packages []debian.Package
	for _, name := range spec.packages() {
		packages = append(packages, versions[name])
	}
	recipe, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append(recipe, debian.Key(buildFormat, packages)...))
	path := filepath.Join(cacheDir, "images", spec.Name+"-"+hex.EncodeToString(sum[:])[:keyDigits])
	if built, err := load(path); !errors.Is(err, os.ErrNotExist) {
		return built, err
	}

	archives, err := debian.Fetch(ctx, cacheDir, packages)
	if err != nil {
		return nil, err
	}
	files, err := assemble(ctx, spec, archives)
	if err != nil {
		return nil, err
	}
	made, err := image(files, spec.Config)
	if err != nil {
		return nil, err
	}
	if err := save(made, path); err != nil {
		return nil, err
	}
	// What is read from disk instead of what is in memory: the latter holds every file.
	return load(path)
}

func load(path string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(path)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("%s holds %d images", path, len(manifest.Manifests))
	}
	return index.Image(manifest.Manifests[0].Digest)
}

func save(made v1.Image, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	target, err := layout.Write(temp, empty.Index)
	if err != nil {
		return err
	}
	if err := target.AppendImage(made); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		// Another process may have made it meanwhile: then it is as good as this one.
		if _, statErr := os.Stat(path); statErr != nil {
			return err
		}
	}
	return nil
}
