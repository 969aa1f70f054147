package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"arc-rocm.dev/tests/cluster/internal/debian"
	"arc-rocm.dev/tests/cluster/internal/images"
)

// Logs is the folder of the components' logs.
func (place Place) Logs() string { return place.path("log") }

// Up starts a cluster and returns once it is ready. The cluster goes on until `Down`.
func Up(place Place, config Config) error {
	if config.Isolated && os.Geteuid() != 0 {
		return errors.New("a node that runs pods needs root; --plain does without")
	}
	if err := Sweep(); err != nil {
		return err
	}
	if config.Isolated {
		if err := prepare(&config); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(place.Logs(), 0o700); err != nil {
		return err
	}
	held, err := place.lock()
	if err != nil {
		return err
	}
	if held == nil {
		return fmt.Errorf("cluster %s runs already", config.Name)
	}
	defer held.Close()
	if err := place.write(config); err != nil {
		return err
	}
	log, err := os.Create(place.log("cluster"))
	if err != nil {
		return err
	}
	defer log.Close()
	program, err := os.Executable()
	if err != nil {
		return err
	}
	monitor := exec.Command(program, "monitor", string(place))
	monitor.Stdout, monitor.Stderr = log, log
	monitor.Dir = "/"
	// The lock goes over to it: it is held until both files are closed.
	monitor.ExtraFiles = []*os.File{held}
	// It outlives the terminal that it was started from.
	monitor.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := monitor.Start(); err != nil {
		return err
	}
	if err := os.WriteFile(place.path("pid"), []byte(strconv.Itoa(monitor.Process.Pid)), 0o644); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- monitor.Wait() }()
	for {
		if _, err := os.Stat(place.ready()); err == nil {
			break
		}
		select {
		case <-ended:
			text, _ := os.ReadFile(place.log("cluster"))
			return fmt.Errorf("it did not start; logs are in %s\n%s", place.Logs(), text)
		case <-time.After(50 * time.Millisecond):
		}
	}
	text, err := os.ReadFile(place.log("cluster"))
	if err != nil {
		return err
	}
	fmt.Printf("%s\nUse it:\n  eval \"$(tests/cluster/cluster env --name %s)\"\n  tests/cluster/cluster kubectl get nodes\nEnd it:\n  tests/cluster/cluster down --name %s\n",
		text, config.Name, config.Name)
	return nil
}

// prepare fetches and builds what a node needs while there is a way to the packages: a cluster's own
// network has none.
func prepare(config *Config) error {
	ctx := context.Background()
	tree, err := debian.Tree(ctx, config.Cache, "node", nodePackages)
	if err != nil {
		return err
	}
	config.NodeTree = tree
	_, err = images.BuildAll(ctx, config.Cache)
	return err
}

// Down ends a cluster and returns once nothing of it is left.
func Down(place Place) error {
	text, err := os.ReadFile(place.path("pid"))
	if err == nil {
		held, err := place.lock()
		if err != nil {
			return err
		}
		if held != nil {
			held.Close()
		} else if pid, err := strconv.Atoi(string(text)); err == nil {
			// The lock is held, so the process with this number is still the monitor.
			if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
				return err
			}
			for {
				if _, err := os.Stat(string(place)); errors.Is(err, os.ErrNotExist) {
					return Sweep()
				}
				if held, err := place.lock(); held != nil || err != nil {
					return errors.Join(err, held.Close(), Sweep())
				}
				time.Sleep(50 * time.Millisecond)
			}
		}
	}
	return Sweep()
}

// List has the names of the clusters that run.
func List() ([]string, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(root, "*", "ready"))
	var names []string
	for _, path := range found {
		place := Place(filepath.Dir(path))
		held, lockErr := place.lock()
		if held == nil && lockErr == nil {
			names = append(names, filepath.Base(string(place)))
			continue
		}
		err = errors.Join(err, lockErr, held.Close())
	}
	return names, err
}

// Exec replaces this process by a command inside the cluster's namespaces.
func Exec(place Place, command []string) error {
	return enter(place, []string{"-m", "-n", "-p", "-u", "-i"}, command)
}

// PushBinary gives the cluster's registry an image of one static program, under the name ref.
func PushBinary(place Place, ref, binary string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	// In the cluster's network alone, so that the program's path means what it does out here.
	return enter(place, []string{"-n"}, []string{program, "push-binary", RegistryAddress, ref, binary})
}

func enter(place Place, namespaces, command []string) error {
	if len(command) == 0 {
		return errors.New("no command")
	}
	pid, err := os.ReadFile(place.path("init"))
	if err != nil {
		return err
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return err
	}
	args := append([]string{"nsenter", "-t", string(pid)}, namespaces...)
	return syscall.Exec(nsenter, append(append(args, "--"), command...), os.Environ())
}
