// Package command is what a user types.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"arc-rocm.dev/tests/cluster/internal/cluster"
	"arc-rocm.dev/tests/cluster/internal/images"
)

const usage = `usage: cluster COMMAND [--name NAME]

  up      start a cluster, wait until it is ready, and print how to use it
            --plain         a control plane on loopback, without namespaces and without a node
                            that runs pods; needs no root
            --kwok-nodes N  nodes with 8 GPUs that only say that they run pods (default 6)
  down    end it and remove all that it left; also after a crash
  list    the clusters that run
  env     shell assignments of a running cluster, for eval
  logs    the folder with the components' logs
  image   REF FILE: an image under a name that the cluster can pull: FILE is one static program, or what
          docker save has written
  exec    -- COMMAND: run a command inside the cluster's namespaces
  kubectl ARGS: kubectl of the cluster's own version, with KUBECONFIG as it is set
`

// imageUser is nobody on any machine, as in the images of distroless.
const imageUser = "65532:65532"

// arguments is how many each command takes, besides flags; `exec` takes any number.
var arguments = map[string]int{"up": 0, "down": 0, "list": 0, "env": 0, "logs": 0, "image": 2, "help": 0}

// Run runs one command.
func Run(name string, args []string) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	clusterName := flags.String("name", "default", "the cluster's name")
	plain := flags.Bool("plain", false, "")
	kwokNodes := flags.Int("kwok-nodes", 6, "")
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if count, known := arguments[name]; known && flags.NArg() > count {
		// A name without --name, most likely: that would have taken another cluster.
		return fmt.Errorf("unexpected %q; a cluster is named by --name, before all else", flags.Arg(count))
	}
	place, err := cluster.PlaceOf(*clusterName)
	if err != nil {
		return err
	}
	switch name {
	case "up":
		cache, err := images.CacheDir()
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		return cluster.Up(ctx, place, cluster.Config{
			Name:       *clusterName,
			Isolated:   !*plain,
			KwokNodes:  *kwokNodes,
			Containerd: os.Getenv("ARC_ROCM_CLUSTER_CONTAINERD"),
			Kwok:       os.Getenv("ARC_ROCM_CLUSTER_KWOK"),
			KwokStages: os.Getenv("ARC_ROCM_CLUSTER_KWOK_STAGES"),
			Cache:      cache,
		})
	case "down":
		return cluster.Down(place)
	case "list":
		running, err := cluster.List()
		fmt.Print(strings.Join(append(running, ""), "\n"))
		return err
	case "env":
		text, err := cluster.Env(place)
		fmt.Print(text)
		return err
	case "logs":
		fmt.Println(place.Logs())
		return nil
	case "image":
		if flags.NArg() != 2 {
			return errors.New("a reference and a program or an archive are needed")
		}
		return cluster.PushImage(place, flags.Arg(0), flags.Arg(1))
	case "push-image":
		return pushImage(flags.Args())
	case "exec":
		return cluster.Exec(place, flags.Args())
	case "help":
		fmt.Print(usage)
		return nil
	}
	flags.Usage()
	return errors.New("no such command")
}

// pushImage runs inside the cluster's network: REGISTRY REF FILE.
func pushImage(args []string) error {
	if len(args) != 3 {
		return errors.New("a registry, a reference and a program or an archive are needed")
	}
	image, err := images.FromFile(args[1], args[2], imageUser)
	if err != nil {
		return err
	}
	return images.Push(context.Background(), args[0], image)
}
