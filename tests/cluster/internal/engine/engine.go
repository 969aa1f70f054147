// Package engine runs a command with a Docker daemon of its own, made of Debian's packages: for what
// needs a container engine, such as building an image, on a machine that has none.
package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"arc-rocm.dev/tests/cluster/internal/debian"
)

const (
	// startLimit is how long the daemon may take until it listens; it takes two seconds.
	startLimit = time.Minute
	// stopLimit is how long it may take to end after SIGTERM, before it is killed.
	stopLimit = 20 * time.Second
	// pollInterval is between two looks at its socket.
	pollInterval = 50 * time.Millisecond
	// pluginDir is where containerd looks for plug-ins and makes two folders in which to look. The
	// daemon's own containerd cannot be told otherwise (moby, libcontainerd/supervisor).
	pluginDir = "/opt/containerd"
)

// packages are the daemon and the docker program with their libraries, and what the daemon starts:
// it looks for iptables even where it is to leave it alone.
var packages = []string{
	"containerd", "docker.io", "iptables", "libcap2", "libdevmapper1.02.1", "libgcrypt20",
	"libgpg-error0", "libip4tc2", "libip6tc2", "liblz4-1", "liblzma5", "libmnl0",
	"libnetfilter-conntrack3", "libnfnetlink0", "libnftnl11", "libpcre2-8-0", "libseccomp2",
	"libselinux1", "libsystemd0", "libudev1", "libxtables12", "libzstd1", "runc", "tini",
}

// Run runs the command with DOCKER_HOST set to a daemon that has nothing, and docker in its PATH. The
// daemon and all that it has are gone when the command ends. It has no network, for itself as for what
// it builds, and changes nothing of the machine's: its mounts are in a namespace of its own. It needs
// root. What the command leaves is what it writes elsewhere, such as by `docker save`.
func Run(ctx context.Context, cacheDir string, args []string) error {
	if len(args) == 0 {
		return errors.New("no command")
	}
	tree, err := debian.Tree(ctx, cacheDir, "engine", packages)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "arc-rocm-engine-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// Of the tree the command gets the docker program alone, which needs no library of it.
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join(tree, "usr/bin/docker"), filepath.Join(bin, "docker")); err != nil {
		return err
	}
	if _, err := os.Lstat(pluginDir); errors.Is(err, os.ErrNotExist) {
		defer removePluginDir()
	}
	stop, err := start(ctx, tree, dir)
	if err != nil {
		return err
	}
	defer stop()

	if err := os.Setenv("PATH", bin+":"+os.Getenv("PATH")); err != nil {
		return err
	}
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Env = append(os.Environ(), "DOCKER_HOST=unix://"+socket(dir), "DOCKER_CONFIG="+filepath.Join(dir, "config"))
	// Ctrl-C reaches it as well: it is left to end by itself.
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopLimit
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	return command.Run()
}

// removePluginDir removes containerd's folders, unless somebody has put something into them.
func removePluginDir() {
	for _, path := range []string{"bin", "lib", "."} {
		_ = os.Remove(filepath.Join(pluginDir, path))
	}
}

func socket(dir string) string { return filepath.Join(dir, "docker.sock") }

// daemonArgs keep all that the daemon writes below dir, and its hands off the machine's network.
func daemonArgs(dir string) []string {
	return []string{
		"--data-root=" + filepath.Join(dir, "data"),
		"--exec-root=" + filepath.Join(dir, "exec"),
		"--pidfile=" + filepath.Join(dir, "pid"),
		"--host=unix://" + socket(dir),
		// Overlays cannot be stacked on the overlay that a container has for its /tmp.
		"--storage-driver=vfs",
		"--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
	}
}

// start starts the daemon and waits until it listens. The function that it returns ends it.
func start(ctx context.Context, tree, dir string) (stop func(), err error) {
	path := filepath.Join(dir, "log")
	log, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	daemon := exec.Command(filepath.Join(tree, "usr/sbin/dockerd"), daemonArgs(dir)...)
	daemon.Env = append(os.Environ(),
		"PATH="+filepath.Join(tree, "usr/bin")+":"+filepath.Join(tree, "usr/sbin")+":"+os.Getenv("PATH"),
		"LD_LIBRARY_PATH="+filepath.Join(tree, "usr/lib", debian.Triplet()),
	)
	daemon.Stdout, daemon.Stderr = log, log
	daemon.SysProcAttr = &syscall.SysProcAttr{
		Unshareflags: syscall.CLONE_NEWNS,
		// It ends with us, however we end, and hears of a Ctrl-C by us alone. The signal comes when the
		// thread that started it ends.
		Pdeathsig: syscall.SIGTERM,
		Setpgid:   true,
	}
	runtime.LockOSThread()
	if err := daemon.Start(); err != nil {
		return nil, fmt.Errorf("dockerd: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }()
	stop = func() {
		// An error says that it has ended already.
		_ = daemon.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(stopLimit):
			_ = syscall.Kill(-daemon.Process.Pid, syscall.SIGKILL)
			<-ended
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		if connection, err := net.Dial("unix", socket(dir)); err == nil {
			connection.Close()
			return stop, nil
		}
		select {
		case err := <-ended:
			text, _ := os.ReadFile(path)
			return nil, fmt.Errorf("dockerd ended: %v\n%s", err, text)
		case <-ctx.Done():
			stop()
			text, _ := os.ReadFile(path)
			return nil, fmt.Errorf("dockerd does not listen: %w\n%s", ctx.Err(), text)
		case <-time.After(pollInterval):
		}
	}
}
