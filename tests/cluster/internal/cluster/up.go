package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"arc-rocm.dev/tests/cluster/internal/debian"
	"arc-rocm.dev/tests/cluster/internal/images"
)

// Up starts a cluster and returns once it is ready. The cluster goes on until `Down`; where ctx ends
// before it is ready, it is ended and removed.
func Up(ctx context.Context, place Place, config Config) error {
	if config.Isolated && os.Geteuid() != 0 {
		return errors.New("a node that runs pods needs root; --plain does without")
	}
	if config.Isolated {
		if err := prepare(ctx, &config); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
	}
	if err := Sweep(); err != nil {
		return err
	}
	held, err := place.take()
	if err != nil {
		return err
	}
	monitor, err := startMonitor(place, config, held)
	// The monitor has the lock as well, and keeps it.
	held.Close()
	if err != nil {
		return errors.Join(err, Sweep())
	}
	ended := make(chan error, 1)
	go func() { ended <- monitor.Wait() }()
	for {
		if _, err := os.Stat(place.ready()); err == nil {
			break
		}
		select {
		case err := <-ended:
			text, _ := os.ReadFile(place.log("cluster"))
			return fmt.Errorf("it did not start (monitor: %v); until the next command, logs are in %s\n%s", err, place.Logs(), text)
		case <-ctx.Done():
			err := monitor.Process.Signal(syscall.SIGTERM)
			<-ended
			return errors.Join(context.Cause(ctx), err, Sweep())
		case <-time.After(pollInterval):
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

// startMonitor starts the monitor of a new cluster, which inherits the lock of its place.
func startMonitor(place Place, config Config, held *os.File) (*exec.Cmd, error) {
	if err := os.Mkdir(place.Logs(), 0o700); err != nil {
		return nil, err
	}
	if err := place.write(config); err != nil {
		return nil, err
	}
	log, err := os.Create(place.log("cluster"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	monitor := exec.Command(program, "monitor", string(place))
	monitor.Stdout, monitor.Stderr = log, log
	monitor.Dir = "/"
	monitor.ExtraFiles = []*os.File{held}
	// It outlives the terminal that it was started from.
	monitor.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return monitor, monitor.Start()
}

// prepare fetches and builds what a node needs while there is a way to the packages: a cluster's own
// network has none.
func prepare(ctx context.Context, config *Config) error {
	tree, err := debian.Tree(ctx, config.Cache, "node", nodePackages)
	if err != nil {
		return err
	}
	config.NodeTree = tree
	_, err = images.BuildAll(ctx, config.Cache)
	return err
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
		taken, takenErr := place.taken()
		if taken {
			names = append(names, place.name())
		}
		err = errors.Join(err, takenErr)
	}
	return names, err
}
