package images

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// CacheDir is the folder for packages and images of somebody who names none:
// $XDG_CACHE_HOME/arc-rocm-cluster, with ~/.cache for a variable that is not set.
func CacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "arc-rocm-cluster"), nil
}

// BuildAll is [Build] for the images of [Stock].
func BuildAll(ctx context.Context, cacheDir string) ([]Image, error) {
	return Build(ctx, cacheDir, Stock()...)
}

// PushAll builds the images of [Stock], or takes them from cacheDir, and pushes them to the
// registry at addr (host:port, plain HTTP). It pushes nothing that is there already. Inside the
// cluster's network namespace, where apt has no network, [BuildAll] must have run before.
func PushAll(ctx context.Context, cacheDir, addr string) error {
	built, err := BuildAll(ctx, cacheDir)
	if err != nil {
		return err
	}
	return each(len(built), func(i int) error { return Push(ctx, addr, built[i]) })
}

// each calls do with 0 to n-1 at once, and joins the errors.
func each(n int, do func(int) error) error {
	failures := make([]error, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { failures[i] = do(i) })
	}
	running.Wait()
	return errors.Join(failures...)
}

// Push pushes an image under each of its names to the registry at addr (host:port, plain HTTP),
// unless the registry has the same image under that name.
func Push(ctx context.Context, addr string, pushed Image) error {
	digest, err := pushed.Image.Digest()
	if err != nil {
		return err
	}
	options := []remote.Option{
		remote.WithContext(ctx), remote.WithAuth(authn.Anonymous),
		// No proxy of the environment: the address exists in the cluster's network namespace alone.
		remote.WithTransport(&http.Transport{}),
	}
	for _, ref := range pushed.Refs {
		target, err := Mirrored(addr, ref)
		if err != nil {
			return err
		}
		if there, err := remote.Head(target, options...); err == nil && there.Digest == digest {
			continue
		}
		if err := remote.Write(target, pushed.Image, options...); err != nil {
			return fmt.Errorf("push of %s: %w", ref, err)
		}
	}
	return nil
}

// Mirrored is where an engine that has the registry at addr (host:port) as its mirror looks for
// the image that is called ref elsewhere: the same repository and tag.
func Mirrored(addr, ref string) (name.Tag, error) {
	tag, err := name.NewTag(ref)
	if err != nil {
		return name.Tag{}, err
	}
	registry, err := name.NewRegistry(addr, name.Insecure)
	if err != nil {
		return name.Tag{}, err
	}
	return registry.Repo(tag.RepositoryStr()).Tag(tag.TagStr()), nil
}
