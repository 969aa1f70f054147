// Package cluster starts, watches and ends clusters. Outside of a cluster's namespaces is its monitor;
// inside are init and the supervisor, which starts the components.
package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// names are kept short and plain, because they become part of a cgroup's name and of paths.
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
	// Containerd is the program; its shim is in the same folder.
	Containerd string `json:"containerd"`
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
		return "", fmt.Errorf("%q: a cluster's name has up to 22 lower-case letters, digits and hyphens, with no hyphen at an end", name)
	}
	root, err := Root()
	return Place(filepath.Join(root, name)), err
}

// name is the cluster's name.
func (place Place) name() string { return filepath.Base(string(place)) }

func (place Place) path(parts ...string) string {
	return filepath.Join(append([]string{string(place)}, parts...)...)
}

// Kubeconfig is the administrator's.
func (place Place) Kubeconfig() string { return place.path("kubeconfig") }

// Logs is the folder of the components' logs.
func (place Place) Logs() string { return place.path("log") }

// env is a file of shell assignments for what uses the cluster.
func (place Place) env() string { return place.path("env") }

// ready is a file that is there once the cluster is ready.
func (place Place) ready() string { return place.path("ready") }
func (place Place) log(name string) string {
	return place.path("log", name+".log")
}

// write writes what the cluster is made from.
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
