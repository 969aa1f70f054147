// Package registry is the image registry of the test cluster: the container engines on its nodes
// and in its pods ask it for every image, whatever registry the image's name says, because no
// public registry can be reached.
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

const (
	// Time for a client to send a request's headers: only clients of our own come here, a hung one
	// must not keep a connection for ever.
	headerTimeout = 10 * time.Second
	// Time for running transfers after SIGTERM: the largest layer takes less than a second locally.
	stopTimeout = 2 * time.Second
	// Time between two looks at a registry that is not there yet.
	readyInterval = 20 * time.Millisecond
	// Time for one look.
	readyTimeout = time.Second
)

// Handler answers as a registry, with its blobs in dir, which is made if it is missing. Blobs
// outlive the process, manifests and tags do not: who starts a registry pushes again, which moves
// only what dir does not hold.
func Handler(dir string) (http.Handler, error) {
	blobs := filepath.Join(dir, "blobs")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return nil, err
	}
	return registry.New(
		registry.WithBlobHandler(registry.NewDiskBlobHandler(blobs)),
		registry.Logger(log.New(io.Discard, "", 0)), // a line for each request
	), nil
}

// Serve serves a registry over plain HTTP at addr (host:port), with its blobs in dir, until
// SIGTERM or SIGINT; then it returns nil. It returns an error when it cannot listen or dir cannot
// be written.
func Serve(addr, dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	return ServeOn(ctx, listener, dir)
}

// ServeOn is [Serve] on a listener, which it closes, until ctx ends.
func ServeOn(ctx context.Context, listener net.Listener, dir string) error {
	handler, err := Handler(dir)
	if err != nil {
		_ = listener.Close()
		return fmt.Errorf("registry: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("registry: %w", err)
	case <-ctx.Done():
		ending, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := server.Shutdown(ending); err != nil {
			_ = server.Close()
		}
		return nil
	}
}

// Ready waits until a registry answers at addr (host:port), or returns an error when ctx ends
// before.
func Ready(ctx context.Context, addr string) error {
	client := &http.Client{
		Timeout: readyTimeout,
		// No proxy of the environment: the address exists in the cluster's network namespace alone.
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	for {
		err := answers(ctx, client, addr)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("registry: %s is not ready: %w", addr, errors.Join(ctx.Err(), err))
		case <-time.After(readyInterval):
		}
	}
}

func answers(ctx context.Context, client *http.Client, addr string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/v2/", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", response.Status)
	}
	return nil
}
