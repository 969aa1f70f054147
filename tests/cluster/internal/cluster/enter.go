package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Exec replaces this process by a command inside the cluster's namespaces.
func Exec(place Place, command []string) error {
	return enter(place, []string{"-m", "-n", "-p", "-u", "-i"}, command)
}

// PushImage gives the cluster's registry the image in a file, under the name ref: see images.FromFile.
func PushImage(place Place, ref, file string) error {
	config, err := place.Config()
	if err == nil && !config.Isolated {
		return errors.New("a plain cluster has no registry")
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	// In the cluster's network alone, so that the file's path means what it does out here.
	return enter(place, []string{"-n"}, []string{program, "push-image", RegistryAddress, ref, file})
}

// Env is the shell assignments of a running cluster.
func Env(place Place) (string, error) {
	if err := place.mustRun(); err != nil {
		return "", err
	}
	text, err := os.ReadFile(place.env())
	return string(text), err
}

// mustRun fails unless the cluster is there and ready.
func (place Place) mustRun() error {
	taken, err := place.taken()
	if err != nil {
		return err
	}
	if _, err := os.Stat(place.ready()); err != nil || !taken {
		return fmt.Errorf("cluster %s does not run; to start it: tests/cluster/cluster up --name %s", place.name(), place.name())
	}
	return nil
}

// enter replaces this process by a command in some namespaces of the cluster's first process.
func enter(place Place, namespaces, command []string) error {
	if len(command) == 0 {
		return errors.New("no command")
	}
	if err := place.mustRun(); err != nil {
		return err
	}
	pid, err := os.ReadFile(place.path("init"))
	if err != nil {
		return err
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return fmt.Errorf("the package util-linux is needed: %w", err)
	}
	args := append([]string{"nsenter", "-t", string(pid)}, namespaces...)
	return syscall.Exec(nsenter, append(append(args, "--"), command...), os.Environ())
}
