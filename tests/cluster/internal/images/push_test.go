package images

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"arc-rocm.dev/tests/cluster/internal/registry"
)

func TestNamesInTheMirror(t *testing.T) {
	for ref, want := range map[string]string{
		"ghcr.io/actions/actions-runner:latest": "10.0.0.1:5000/actions/actions-runner:latest",
		"docker.io/library/docker:dind":         "10.0.0.1:5000/library/docker:dind",
		"busybox":                               "10.0.0.1:5000/library/busybox:latest",
		"docker.io/rocm/pytorch:latest":         "10.0.0.1:5000/rocm/pytorch:latest",
	} {
		got, err := Mirrored("10.0.0.1:5000", ref)
		if err != nil || got.String() != want || got.Scheme() != "http" {
			t.Errorf("%s: got %s over %s, %v", ref, got, got.Scheme(), err)
		}
	}
}

func TestRefsOfStockDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, spec := range Stock() {
		for _, ref := range spec.Refs {
			target, err := Mirrored("10.0.0.1:5000", ref)
			if err != nil {
				t.Fatal(err)
			}
			if other, found := seen[target.String()]; found {
				t.Errorf("%s and %s are one in a mirror", ref, other)
			}
			seen[target.String()] = ref
		}
	}
}

// program builds a program for an image, with or without a loader in it.
func program(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source, file := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", "build", "-o", file, source)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

func TestABinarysImage(t *testing.T) {
	file := program(t)
	made, err := Binary("ghcr.io/x/y:1", file, "65532")
	if err != nil {
		t.Fatal(err)
	}
	again, err := Binary("ghcr.io/x/y:1", file, "65532")
	if err != nil {
		t.Fatal(err)
	}
	digest, _ := made.Image.Digest()
	if other, _ := again.Image.Digest(); other != digest {
		t.Errorf("the same program gave %s and %s", digest, other)
	}
	config, err := made.Image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532" || config.Config.Entrypoint[0] != Program {
		t.Errorf("%+v", config.Config)
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Binary("x:1", text, "1"); err == nil {
		t.Error("a script was taken")
	}
}

func TestAPushMovesOnlyWhatIsMissing(t *testing.T) {
	handler, err := registry.Handler(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var writes atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			writes.Add(1)
		}
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")
	made, err := Binary("ghcr.io/x/y:1", program(t), "65532")
	if err != nil {
		t.Fatal(err)
	}
	made.Refs = append(made.Refs, "docker.io/x/z:2")
	ctx := context.Background()
	if err := Push(ctx, addr, made); err != nil {
		t.Fatal(err)
	}
	for _, ref := range made.Refs {
		target, _ := Mirrored(addr, ref)
		pulled, err := remote.Image(target)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := made.Image.Digest()
		if got, _ := pulled.Digest(); got != want {
			t.Errorf("%s: got %s, pushed %s", ref, got, want)
		}
	}
	before := writes.Load()
	if err := Push(ctx, addr, made); err != nil {
		t.Fatal(err)
	}
	if before == 0 || writes.Load() != before {
		t.Errorf("%d writes, then %d more", before, writes.Load()-before)
	}
}
