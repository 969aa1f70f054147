// Package cluster starts, watches and ends clusters. Outside of a cluster's namespaces is its monitor;
// inside are init and the supervisor, which starts the components.
package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
)

// names are kept short and plain, because they become part of a cgroup's and a hostname's name.
var names = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?$`)

// Config is all that a cluster is made from; `up` writes it for the processes that it starts.
type Config struct {
	// Name tells clusters on one machine apart.
	Name string `json:"name"`
	// Isolated clusters live in network, mount and process namespaces of their own and have a node
	// that runs pods; others are a control plane on loopback.
	Isolated bool `json:"isolated"`
	// KwokNodes is the number of nodes that only say that they run pods.
	KwokNodes int `json:"kwokNodes"`
	// Kwok is the program, and KwokStages the folder of its module's stages.
	Kwok       string `json:"kwok"`
	KwokStages string `json:"kwokStages"`
	// Cache is the folder of packages and image layers, shared by all clusters.
	Cache string `json:"cache"`
	// NodeTree is the folder of the packages that the node runs.
	NodeTree string `json:"nodeTree"`
	// Network is set once the cluster has one.
	Network Network `json:"network"`
}

// Place is the folder of one cluster: all its data, and nothing of it is elsewhere.
type Place string

// Root is the folder of all clusters of this user.
func Root() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/arc-rocm-cluster", nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "state", "arc-rocm-cluster"), err
}

// PlaceOf is the place of the cluster called name; an error says that no cluster can have that name.
func PlaceOf(name string) (Place, error) {
	if !names.MatchString(name) {
		return "", fmt.Errorf("%q: a cluster's name is up to 22 letters, digits and hyphens", name)
	}
	root, err := Root()
	return Place(filepath.Join(root, name)), err
}

func (place Place) path(parts ...string) string {
	return filepath.Join(append([]string{string(place)}, parts...)...)
}

// Kubeconfig is the administrator's.
func (place Place) Kubeconfig() string { return place.path("kubeconfig") }

// Env is a file of shell assignments for what uses the cluster.
func (place Place) Env() string { return place.path("env") }

func (place Place) ready() string  { return place.path("ready") }
func (place Place) failed() string { return place.path("failed") }
func (place Place) log(name string) string {
	return place.path("log", name+".log")
}

// lock takes the place, until the file is closed or the process ends, however it does. A nil file
// means that somebody else has it.
func (place Place) lock() (*os.File, error) { return lock(place.path("lock")) }

func lock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, err
	}
	return file, nil
}

func (place Place) write(config Config) error {
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(place.path("config.json"), text, 0o600)
}

// Config reads what the cluster was made from.
func (place Place) Config() (Config, error) {
	var config Config
	text, err := os.ReadFile(place.path("config.json"))
	if err != nil {
		return config, err
	}
	return config, json.Unmarshal(text, &config)
}

// remove deletes all that the cluster left: its processes must be gone.
func (place Place) remove() error {
	err := errors.Join(removeCgroups(filepath.Base(string(place))), os.RemoveAll(string(place)))
	// The last one takes the folder of all clusters with it.
	if removeErr := os.Remove(filepath.Dir(string(place))); removeErr != nil && !errors.Is(removeErr, syscall.ENOTEMPTY) {
		err = errors.Join(err, removeErr)
	}
	return err
}

// Sweep removes what clusters left whose processes are gone without having cleaned up.
func Sweep() error {
	root, err := Root()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		place := Place(filepath.Join(root, entry.Name()))
		held, lockErr := place.lock()
		if errors.Is(lockErr, os.ErrNotExist) {
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
