package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
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

	if err := os.WriteFile(place.path("pid"), []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		return err
	}
	if err := run(place, ended); err != nil {
		// The place stays, with its logs, until the next command: somebody may want to read why.
		return errors.Join(err, removeCgroups(place.name()))
	}
	return place.remove()
}

// namespaces are those that an isolated cluster has of its own.
const namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

// run starts the cluster and returns once none of its processes is left.
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
	} else if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		// Without that, nobody could tell when the last process of a plain cluster is gone.
		return err
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
	command.Env = withoutProxies(os.Environ())
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

	died := over
	if err == nil {
		select {
		case exit := <-over:
			err = fmt.Errorf("the cluster ended by itself: %v", exit)
			died = nil
		case <-ended:
			// While the namespace is there the link is this cluster's: later, its name may be another's.
			if config.Isolated {
				config.Network.leave()
			}
		}
	}
	if died != nil {
		if killErr := command.Process.Kill(); !errors.Is(killErr, os.ErrProcessDone) {
			err = errors.Join(err, killErr)
		}
		<-died
	}
	reap()
	return err
}

// reap waits for what the cluster's first process left behind, which has the signal to end: with
// namespaces there is nothing, without them it is all components.
func reap() {
	for {
		if _, err := syscall.Wait4(-1, nil, 0, nil); err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// withoutProxies drops the variables that send HTTP through a proxy: all that a cluster asks is in it,
// and a proxy cannot reach it.
func withoutProxies(environment []string) []string {
	var kept []string
	for _, variable := range environment {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasSuffix(strings.ToLower(name), "_proxy") {
			kept = append(kept, variable)
		}
	}
	return kept
}
