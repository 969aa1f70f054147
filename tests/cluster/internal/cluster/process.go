package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// tailLines is how much of its log an error has of a component that ended.
const tailLines = 8

// process is one component of a cluster.
type process struct {
	name string
	// program is this one where it is empty, whose first argument is then the name.
	program string
	args    []string
	env     []string
	// ready says, without an error, that what needs this component can be started.
	ready func(context.Context) error
}

// processes runs components and tells when one of them ended, which none should.
type processes struct {
	place Place
	ended chan error
}

// start starts a component, with its output in its log, and waits until it is ready.
func (running *processes) start(ctx context.Context, process process) error {
	log, err := os.Create(running.place.log(process.name))
	if err != nil {
		return err
	}
	defer log.Close()
	program, args := process.program, process.args
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return err
		}
		args = append([]string{process.name}, args...)
	}
	command := exec.Command(program, args...)
	command.Env = append(os.Environ(), process.env...)
	command.Stdout, command.Stderr = log, log
	// Nothing outlives the supervisor. The signal comes when the thread that started the process
	// ends, so the caller has to keep to one thread that stays.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", process.name, err)
	}
	go func() {
		err := command.Wait()
		running.ended <- fmt.Errorf("%s ended: %v; its log ends so:\n%s", process.name, err, tail(running.place.log(process.name)))
	}()
	if process.ready == nil {
		return nil
	}
	return running.await(ctx, process.name, process.ready)
}

// await asks again and again until `ready` has no error, a process ended, or the context is done.
func (running *processes) await(ctx context.Context, what string, ready func(context.Context) error) error {
	ticks := time.NewTicker(pollInterval)
	defer ticks.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case ended := <-running.ended:
			return ended
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", what, err)
		case <-ticks.C:
		}
	}
}

// stayOnThread keeps the calling goroutine on its thread for ever: see `start`.
func stayOnThread() { runtime.LockOSThread() }

// listens is ready when something accepts connections at the address.
func listens(network, address string) func(context.Context) error {
	return func(ctx context.Context) error {
		connection, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, address)
		if err == nil {
			connection.Close()
		}
		return err
	}
}

// tail is the end of a log.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
