package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// takenWithin is how long the last holder of a place is given to end: a sweep, or the monitor of a
// cluster that is being removed.
const takenWithin = 2 * time.Second

// take makes the place and takes it, for a new cluster.
func (place Place) take() (*os.File, error) {
	for deadline := time.Now().Add(takenWithin); ; time.Sleep(pollInterval) {
		if err := os.MkdirAll(filepath.Dir(string(place)), 0o700); err != nil {
			return nil, err
		}
		// What is there already is a cluster that runs, or the rest of one that a sweep is at.
		err := os.Mkdir(string(place), 0o700)
		if err == nil {
			var held *os.File
			if held, err = place.lock(); held != nil {
				return held, nil
			}
		}
		// Another command may have removed the folder meanwhile, as nobody had it.
		if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("cluster %s runs already", place.name())
		}
	}
}

// lock takes the place, until the file is closed or the process ends, however it does. A nil file
// means that somebody else has it.
func (place Place) lock() (*os.File, error) {
	return place.flock(os.O_CREATE|os.O_RDWR, syscall.LOCK_EX)
}

// taken tells whether somebody has the place: the cluster runs, or is about to start or to be removed.
func (place Place) taken() (bool, error) {
	// Nothing is made: the place may be on its way out. And two who ask do not see each other.
	held, err := place.flock(os.O_RDWR, syscall.LOCK_SH)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if held != nil {
		held.Close()
	}
	return held == nil, err
}

func (place Place) flock(flags, kind int) (*os.File, error) {
	file, err := os.OpenFile(place.path("lock"), flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err = syscall.Flock(int(file.Fd()), kind|syscall.LOCK_NB); err == nil {
		err = place.hasLock(file)
	}
	if err == nil {
		return file, nil
	}
	file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, err
}

// hasLock fails where file is the lock of a place that was removed between open and flock.
func (place Place) hasLock(file *os.File) error {
	opened, err := file.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(file.Name())
	if err != nil {
		return err
	}
	if !os.SameFile(opened, there) {
		return fmt.Errorf("%s was made anew: %w", file.Name(), fs.ErrNotExist)
	}
	return nil
}
