// Package command is what a user types.
package command

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"arc-rocm.dev/tests/cluster/internal/cluster"
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
  exec    -- COMMAND: run a command inside the cluster's namespaces
  kubectl ARGS: kubectl of the cluster's own version, with KUBECONFIG as it is set
`

// Run runs one command.
func Run(name string, args []string) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	clusterName := flags.String("name", "default", "the cluster's name")
	plain := flags.Bool("plain", false, "")
	kwokNodes := flags.Int("kwok-nodes", 6, "")
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	if err := flags.Parse(args); err != nil {
		return err
	}
	place, err := cluster.PlaceOf(*clusterName)
	if err != nil {
		return err
	}
	switch name {
	case "up":
		cache, err := os.UserCacheDir()
		if err != nil {
			return err
		}
		return cluster.Up(place, cluster.Config{
			Name:       *clusterName,
			Isolated:   !*plain,
			KwokNodes:  *kwokNodes,
			Kwok:       os.Getenv("ARC_ROCM_CLUSTER_KWOK"),
			KwokStages: os.Getenv("ARC_ROCM_CLUSTER_KWOK_STAGES"),
			Cache:      filepath.Join(cache, "arc-rocm-cluster"),
		})
	case "down":
		return cluster.Down(place)
	case "list":
		running, err := cluster.List()
		fmt.Print(strings.Join(append(running, ""), "\n"))
		return err
	case "env":
		text, err := os.ReadFile(place.Env())
		fmt.Print(string(text))
		return err
	case "logs":
		fmt.Println(place.Logs())
		return nil
	case "exec":
		return cluster.Exec(place, flags.Args())
	case "help":
		fmt.Print(usage)
		return nil
	}
	flags.Usage()
	return fmt.Errorf("no such command")
}
