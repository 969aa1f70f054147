package images

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"arc-rocm.dev/tests/cluster/internal/debian"
)

// What each image must be able to run, as user and with a part of what it prints.
var starts = map[string][]struct {
	uid        uint32
	line, want string
}{
	"runner": {
		{1001, "docker --version", "Docker version"},
		{1001, "sudo -n id -u", "0"},
		{1001, "id runner", "uid=1001(runner) gid=1001(runner) groups=1001(runner),27(sudo),123(docker)"},
		{1001, "printf '10\\n9\\n' | sort -n | tail -n 1", "10"},
		{1001, "readlink /bin/sh; awk 'BEGIN { print 1 }'", "dash\n1"},
		{1001, "getent group docker | cut -d: -f3; stat -Lc %u:%g /home/runner/run.sh", "123\n1001:123"},
		{1001, "timeout 5 date +%s >/dev/null; find /home -name run.sh | xargs grep -c ARC_ROCM_TEST_JOB", "4"},
		{1001, "tar --version | head -n 1; hostname --version 2>&1", "tar (GNU tar)"},
		{1001, "/home/runner/externals/node20/bin/node --version", "v20"},
		{1001, "HOME=/home/runner ARC_ROCM_TEST_JOB='echo in a job' /home/runner/run.sh", "in a job"},
		{0, "cp -r /home/runner/externals/. /tmp && ls /tmp", "node20"},
	},
	"dind": {
		{0, "docker --version", "Docker version"},
		{0, "dockerd --version", "Docker version"},
		{0, "containerd --version", "containerd"},
		{0, "containerd-shim-runc-v2 -v", "Version"},
		{0, "runc --version", "runc version"},
		{0, "docker-init --version", "tini version"},
		{0, "iptables --version", "nf_tables"},
		{0, "PATH=/usr/local/sbin/.iptables-legacy:$PATH iptables --version", "legacy"},
		{0, "dockerd-entrypoint.sh echo other command", "other command"},
		{0, "printf x | xargs -r echo; sleep 0.1; date +%s | grep -c .", "x\n1"},
	},
	"job":   {{0, "id -u; ls /bin/sh", "0\n/bin/sh"}},
	"pause": {},
}

// TestEveryProgramStarts runs them in the images' files, which finds what the libraries' list
// cannot: plug-ins, accounts, links.
func TestEveryProgramStarts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root, which chroot and the owners of files need")
	}
	ctx := context.Background()
	for _, program := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("SKIPPED: no Debian packages on this machine: ", err)
		}
	}
	if _, err := debian.Resolve(ctx, []string{"docker.io"}); err != nil {
		t.Skip("SKIPPED: apt knows no packages here: ", err)
	}
	cache, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	built, err := BuildAll(ctx, cache)
	if err != nil {
		t.Fatal(err)
	}
	for i, spec := range Stock() {
		t.Run(spec.Name, func(t *testing.T) {
			root := t.TempDir()
			unpack(t, built[i].Image, root)
			for _, start := range starts[spec.Name] {
				out, err := inside(root, start.uid, "/bin/sh", "-c", start.line)
				if err != nil || !strings.Contains(out, start.want) {
					t.Errorf("%s: %v: %s", start.line, err, out)
				}
			}
			if spec.Name == "pause" {
				out, err := inside(root, 65535, append(spec.Config.Entrypoint[:1], "--", "sleep", "0")...)
				if err != nil {
					t.Errorf("pause: %v: %s", err, out)
				}
			}
		})
	}
}

// inside runs a program with root as its root folder.
func inside(root string, uid uint32, args ...string) (string, error) {
	command := exec.Command(args[0], args[1:]...)
	command.Path, command.Err = args[0], nil
	command.Dir = "/"
	command.Env = []string{searchPath}
	command.SysProcAttr = &syscall.SysProcAttr{
		Chroot: root, Credential: &syscall.Credential{Uid: uid, Gid: uid, Groups: []uint32{27, 123}},
	}
	out, err := command.CombinedOutput()
	return string(out), err
}

func unpack(t *testing.T, image v1.Image, root string) {
	t.Helper()
	flat := mutate.Extract(image)
	defer flat.Close()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(flat); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, header.Name)
		switch header.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, 0o755)
		case tar.TypeSymlink:
			err = os.Symlink(header.Linkname, path)
		case tar.TypeLink:
			err = os.Link(filepath.Join(root, header.Linkname), path)
		default:
			var data []byte
			if data, err = io.ReadAll(archive); err == nil {
				err = os.WriteFile(path, data, 0o600)
			}
		}
		if err == nil && header.Typeflag != tar.TypeSymlink {
			// The owner first: a change of owner takes setuid away.
			err = errors.Join(os.Lchown(path, header.Uid, header.Gid), os.Chmod(path, header.FileInfo().Mode()))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// Container engines make it; shells cannot do without.
	if err := os.MkdirAll(filepath.Join(root, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	null := filepath.Join(root, "dev/null")
	if err := syscall.Mknod(null, syscall.S_IFCHR|0o666, 1<<8|3); err != nil {
		t.Skip("SKIPPED: no device can be made here: ", err)
	}
	if err := os.Chmod(null, 0o666); err != nil {
		t.Fatal(err)
	}
}
