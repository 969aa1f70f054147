package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// mounts gives the cluster a /proc, a /run and a /dev of its own, and what it writes in /var/lib and
// /var/log stays in it. Nothing of it is seen outside, and none of the machine's own sockets in /run is
// seen inside.
func mounts(place Place) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	// Held open, because the place itself may be below what is mounted over.
	own, err := os.Open(string(place))
	if err != nil {
		return err
	}
	defer own.Close()
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	if err := os.Mkdir(string(inside), 0o700); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", own.Fd()), string(inside), "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", place, err)
	}
	// The kubelet wants to see mounts that containers make in volumes.
	if err := unix.Mount("", string(inside), "", unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share %s: %w", inside, err)
	}
	// In /var/log the kubelet makes links to the logs of containers, and no flag puts them elsewhere.
	for _, folder := range []string{"/var/lib", "/var/log"} {
		if err := shield(folder); err != nil {
			return err
		}
	}
	if err := kubeletFolder(); err != nil {
		return err
	}
	return devices()
}

// shield takes what is written in a folder to memory, in a layer of the cluster's own above it.
func shield(folder string) error {
	layer := "/run" + strings.ReplaceAll(folder, "/", "-")
	for _, part := range []string{layer + "/upper", layer + "/work"} {
		if err := os.MkdirAll(part, 0o755); err != nil {
			return err
		}
	}
	layers := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", folder, layer, layer)
	if err := unix.Mount("overlay", folder, "overlay", 0, layers); err != nil {
		return fmt.Errorf("mount an overlay on %s: %w", folder, err)
	}
	return nil
}

// kubeletFolder makes the kubelet's default folder, in which device plugins have to look for it
// whatever its --root-dir says.
func kubeletFolder() error {
	own := inside.path("kubelet")
	for _, folder := range []string{own, kubeletRoot} {
		if err := os.MkdirAll(folder, 0o750); err != nil {
			return err
		}
	}
	if err := unix.Mount(own, kubeletRoot, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", kubeletRoot, err)
	}
	return nil
}

// devices replaces /dev by one with the same devices but GPUs, to which fake ones can be added.
func devices() error {
	const fresh = "/run/dev"
	if err := os.Mkdir(fresh, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", fresh, "tmpfs", unix.MS_NOSUID, "mode=755"); err != nil {
		return fmt.Errorf("mount /dev: %w", err)
	}
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	err := filepath.WalkDir("/dev", func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || path == "/dev" {
			return nil
		}
		if err != nil {
			return err
		}
		// A real GPU's nodes would be in the fake ones' places.
		if path == "/dev/kfd" || path == "/dev/dri" {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		target := fresh + strings.TrimPrefix(path, "/dev")
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		switch info.Mode().Type() {
		case fs.ModeDir:
			if err := os.Mkdir(target, info.Mode().Perm()); err != nil {
				return err
			}
			if path == "/dev/pts" || path == "/dev/shm" || path == "/dev/mqueue" || path == "/dev/hugepages" {
				return fs.SkipDir
			}
			return nil
		case fs.ModeSymlink:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case fs.ModeDevice, fs.ModeDevice | fs.ModeCharDevice:
			if err := unix.Mknod(target, stat.Mode, int(stat.Rdev)); err != nil {
				return fmt.Errorf("make %s: %w", path, err)
			}
			return os.Chown(target, int(stat.Uid), int(stat.Gid))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for folder, kind := range map[string]string{"/pts": "devpts", "/shm": "tmpfs"} {
		if err := os.MkdirAll(fresh+folder, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(kind, fresh+folder, kind, unix.MS_NOSUID, options[kind]); err != nil {
			return fmt.Errorf("mount /dev%s: %w", folder, err)
		}
	}
	if err := unix.Mount(fresh, "/dev", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move /dev: %w", err)
	}
	return os.Remove(fresh)
}

var options = map[string]string{"devpts": "newinstance,ptmxmode=0666,mode=620,gid=5", "tmpfs": "mode=1777"}
