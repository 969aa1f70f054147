package cluster

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"arc-rocm.dev/tests/cluster/internal/images"
	"arc-rocm.dev/tests/cluster/internal/registry"
)

// startsWithin is how long all of a cluster may take to start: many times what it takes on an idle
// machine with two cores.
const startsWithin = 2 * time.Minute

// Supervise starts all components of the cluster at place and waits for the first that ends.
func Supervise(place Place) error {
	stayOnThread()
	config, err := place.Config()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(place.path("log"), 0o755); err != nil {
		return err
	}
	if err := credentials(place, config.Network); err != nil {
		return err
	}
	rest, err := clientcmd.BuildConfigFromFlags("", place.Kubeconfig())
	if err != nil {
		return err
	}
	// Nodes and images are not to wait for a client's own limit.
	rest.QPS = -1
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return err
	}
	running := &processes{place: place, ended: make(chan error, 16)}
	ctx, cancel := context.WithTimeout(context.Background(), startsWithin)
	defer cancel()
	if err := start(ctx, running, config, client); err != nil {
		return err
	}
	if err := os.WriteFile(place.ready(), nil, 0o644); err != nil {
		return err
	}
	return <-running.ended
}

func start(ctx context.Context, running *processes, config Config, client kubernetes.Interface) error {
	place := running.place
	begin := time.Now()
	said := func(what string) { fmt.Printf("%6.1f s  %s\n", time.Since(begin).Seconds(), what) }

	for _, process := range controlPlane(place, config.Network, client) {
		if err := running.start(ctx, process); err != nil {
			return err
		}
	}
	if err := running.await(ctx, "service account", accountsReady(client)); err != nil {
		return err
	}
	said("control plane")
	if err := running.start(ctx, kwok(place, config)); err != nil {
		return err
	}
	if err := makeKwokNodes(ctx, client, config.KwokNodes); err != nil {
		return err
	}
	nodes := config.KwokNodes
	if config.Isolated {
		if err := startNode(ctx, running, config); err != nil {
			return err
		}
		nodes++
	}
	if err := running.await(ctx, "nodes", nodesReady(client, nodes)); err != nil {
		return err
	}
	said("nodes")
	return writeEnv(place, config)
}

// startNode starts the node that runs pods, and the registry that its images come from.
func startNode(ctx context.Context, running *processes, config Config) error {
	place := running.place
	serve := process{
		name:  "registry",
		args:  []string{"--listen", RegistryAddress, "--dir", place.path("registry")},
		ready: func(ctx context.Context) error { return registry.Ready(ctx, RegistryAddress) },
	}
	if err := running.start(ctx, serve); err != nil {
		return err
	}
	processes, err := node(place, config)
	if err != nil {
		return err
	}
	for _, process := range processes {
		if err := running.start(ctx, process); err != nil {
			return err
		}
	}
	return images.PushAll(ctx, config.Cache, RegistryAddress)
}

// writeEnv writes what a user of the cluster has to know, as shell assignments.
func writeEnv(place Place, config Config) error {
	outside, err := PlaceOf(config.Name)
	if err != nil {
		return err
	}
	return os.WriteFile(place.env(), []byte(envText(outside, config.Network)), 0o644)
}

func envText(outside Place, network Network) string {
	quoted := strings.ReplaceAll(outside.Kubeconfig(), "'", `'\''`)
	return fmt.Sprintf("export KUBECONFIG='%s'\nexport ARC_ROCM_E2E_HOST=%s\n", quoted, network.Host)
}
