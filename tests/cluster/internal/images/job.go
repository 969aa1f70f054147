package images

import v1 "github.com/google/go-containerregistry/pkg/v1"

// The value that public images have.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// job is what jobs start with `docker run`: a BusyBox, and under the name of an image that real
// jobs use.
func job() Spec {
	return Spec{
		Name:     "job",
		Refs:     []string{"docker.io/library/busybox:latest", "docker.io/rocm/pytorch:latest"},
		Packages: []Source{only("busybox-static", "usr/bin/busybox")},
		Files: concat(busybox(), system(), account(
			"root:x:0:0:root:/root:/bin/sh\n", "root:x:0:\nvideo:x:44:\n",
		)),
		Config: v1.Config{Env: []string{searchPath}, Cmd: []string{"sh"}},
	}
}

// Pause is the name of the image that holds a pod's namespaces.
const Pause = "registry.k8s.io/pause:3.10"

// pause is the image that holds a pod's namespaces: its process 1 reaps what becomes an orphan
// where a pod shares its process ids, and ends at SIGTERM.
func pause() Spec {
	return Spec{
		Name:     "pause",
		Refs:     []string{Pause},
		Packages: []Source{only("busybox-static", "usr/bin/busybox"), only("tini", "usr/bin/tini-static")},
		Files: []File{
			{Path: "pause", Link: "usr/bin/tini-static"},
			{Path: "usr/bin/sleep", Link: "busybox"},
		},
		Config: v1.Config{
			User: "65535:65535", Env: []string{searchPath}, Entrypoint: []string{"/pause", "--", "sleep", "infinity"},
		},
	}
}

func concat(lists ...[]File) []File {
	var files []File
	for _, list := range lists {
		files = append(files, list...)
	}
	return files
}
