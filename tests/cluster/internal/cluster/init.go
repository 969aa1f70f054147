package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// inside is the place of an isolated cluster as it sees it: short, because sockets' paths are limited
// to 107 bytes.
const inside = Place("/run/cluster")

// Init is the first process of a cluster: it prepares the namespaces, starts the supervisor, and
// reaps what containers leave behind.
func Init(place Place) error {
	stayOnThread()
	// Closed by the monitor once this namespace has its link.
	network := os.NewFile(3, "network")
	if _, err := io.Copy(io.Discard, network); err != nil {
		return err
	}
	// What is started from here does not get it.
	network.Close()
	config, err := place.Config()
	if err != nil {
		return err
	}
	if config.Isolated {
		if err := config.Network.settle(); err != nil {
			return err
		}
		if err := mounts(place); err != nil {
			return err
		}
		if err := syscall.Sethostname([]byte(nodeName)); err != nil {
			return fmt.Errorf("set the hostname: %w", err)
		}
		place = inside
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	child, err := syscall.ForkExec(program, []string{program, "supervise", string(place)}, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if pid == child {
			return fmt.Errorf("the supervisor ended with status %d", status.ExitStatus())
		}
	}
}
