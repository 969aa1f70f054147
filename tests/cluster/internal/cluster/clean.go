package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pollInterval is the time between two looks at something that another process is to change.
const pollInterval = 50 * time.Millisecond

// Down ends a cluster and returns once nothing of it is left.
func Down(place Place) error {
	for ; ; time.Sleep(pollInterval) {
		taken, err := place.taken()
		if err != nil {
			return err
		}
		if !taken {
			return Sweep()
		}
		// A cluster that is just about to start has no monitor yet.
		if err := place.signalMonitor(); err != nil {
			return err
		}
	}
}

// signalMonitor tells the monitor, if there is one, to end the cluster.
func (place Place) signalMonitor() error {
	text, err := os.ReadFile(place.path("pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		// It is being written.
		return nil
	}
	// The monitor may have been killed, and its number given to another process.
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.HasSuffix(string(command), "\x00monitor\x00"+string(place)+"\x00") {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end the cluster's monitor, process %d: %w", pid, err)
	}
	return nil
}

// Sweep removes what clusters left whose processes are gone without having cleaned up.
func Sweep() error {
	root, err := Root()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		place := Place(filepath.Join(root, entry.Name()))
		held, lockErr := place.lock()
		if errors.Is(lockErr, fs.ErrNotExist) {
			// Somebody else removed it meanwhile.
			continue
		}
		if held == nil {
			err = errors.Join(err, lockErr)
			continue
		}
		err = errors.Join(err, place.remove())
		held.Close()
	}
	return err
}

// remove deletes all that the cluster left: its processes must be gone, and the caller has its lock.
func (place Place) remove() error {
	if err := removeCgroups(place.name()); err != nil {
		return err
	}
	entries, err := os.ReadDir(string(place))
	for _, entry := range entries {
		// The lock goes last: who finds none could take the place.
		if entry.Name() != "lock" {
			err = errors.Join(err, os.RemoveAll(place.path(entry.Name())))
		}
	}
	err = errors.Join(err, os.RemoveAll(string(place)))
	// The last one takes the folder of all clusters with it.
	removeErr := syscall.Rmdir(filepath.Dir(string(place)))
	if errors.Is(removeErr, fs.ErrExist) || errors.Is(removeErr, fs.ErrNotExist) {
		// Others are there (ENOTEMPTY counts as ErrExist), or one of them was faster.
		return err
	}
	return errors.Join(err, removeErr)
}
