// A Kubernetes cluster for tests, on one machine, without a container engine: etcd, the control
// plane's components and a kubelet in one program, made of the modules that Kubernetes' releases are
// made of. README.md tells how to use it.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"arc-rocm.dev/tests/cluster/internal/cluster"
	"arc-rocm.dev/tests/cluster/internal/command"
	"arc-rocm.dev/tests/cluster/internal/components"
	"arc-rocm.dev/tests/cluster/internal/deviceplugin"
	imagescmd "arc-rocm.dev/tests/cluster/internal/images/cmd"
)

func main() {
	name, args := "help", []string{}
	if len(os.Args) > 1 {
		name, args = os.Args[1], os.Args[2:]
	}
	if components.Run(name, args) {
		return
	}
	if err := run(name, args); err != nil {
		fmt.Fprintf(os.Stderr, "cluster %s: %v\n", name, err)
		os.Exit(1)
	}
}

func run(name string, args []string) error {
	// The processes of a cluster, which `up` starts; the argument is its place.
	if len(args) == 1 {
		place := cluster.Place(args[0])
		switch name {
		case "monitor":
			return cluster.Monitor(place)
		case "init":
			return cluster.Init(place)
		case "supervise":
			return cluster.Supervise(place)
		}
	}
	if name == "device-plugin" && len(args) == 2 {
		count, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return deviceplugin.Serve(context.Background(), args[0], count)
	}
	if name == "registry" || name == "images" {
		return imagescmd.Main(os.Args[1:])
	}
	return command.Run(name, args)
}
