package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
)

// Monitor is the one process of a cluster outside of its namespaces. It starts the cluster at
// place, waits for SIGTERM or the cluster's end, and removes all that is left. When it is killed
// itself, the kernel ends the cluster with it, and the next command removes the rest (Sweep).
func Monitor(place Place) error {
	stayOnThread()
	// `up` hands its lock of the place over, so that there is no moment without one.
	defer os.NewFile(3, "lock").Close()
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)

	if err := run(place, ended); err != nil {
		// The place stays, with its logs, until somebody has read why.
		return errors.Join(err, os.WriteFile(place.failed(), []byte(err.Error()), 0o644))
	}
	return place.remove()
}

// namespaces are those that an isolated cluster has of its own.
const namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

func run(place Place, ended <-chan os.Signal) error {
	config, err := place.Config()
	if err != nil {
		return err
	}
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if config.Isolated {
		if err := makeCgroups(config.Name); err != nil {
			return err
		}
		// With the first process of a PID namespace all others of it end, and with them the
		// namespaces, their mounts and links: pods, containers and daemons cannot be left behind.
		attributes.Cloneflags = namespaces
	}

	// The cluster waits for its network until the pipe is closed.
	waits, tied, err := os.Pipe()
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.Command(program, "init", string(place))
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.ExtraFiles = []*os.File{waits}
	command.SysProcAttr = attributes
	if err := command.Start(); err != nil {
		return fmt.Errorf("start the cluster: %w", err)
	}
	over := make(chan error, 1)
	go func() { over <- command.Wait() }()
	waits.Close()
	pid := command.Process.Pid
	err = os.WriteFile(place.path("init"), []byte(strconv.Itoa(pid)), 0o644)
	if err == nil {
		if config.Isolated {
			config.Network, err = join(pid)
		} else {
			config.Network, err = loopback()
		}
	}
	if err == nil {
		err = place.write(config)
	}
	tied.Close()

	if err == nil {
		select {
		case err := <-over:
			return fmt.Errorf("the cluster ended by itself: %v", err)
		case <-ended:
		}
	}
	return errors.Join(err, command.Process.Kill(), ignoreExit(<-over))
}

// ignoreExit drops the error that says how a process ended.
func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}
