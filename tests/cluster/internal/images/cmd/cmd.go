// Package cmd holds the commands of the packages registry and images.
package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os/signal"
	"syscall"

	"arc-rocm.dev/tests/cluster/internal/images"
	"arc-rocm.dev/tests/cluster/internal/registry"
)

// Main runs a command until it is done:
//
//	images [--registry ADDR] [--cache DIR]   builds the images, and pushes them when there is a registry
//	registry --listen ADDR --dir DIR         serves a registry until SIGTERM
//
// An unknown command or flag is an error.
func Main(args []string) error {
	if len(args) == 0 {
		return errors.New("no command: images or registry")
	}
	switch args[0] {
	case "images":
		return push(args[1:])
	case "registry":
		return serve(args[1:])
	}
	return fmt.Errorf("no command %q: images or registry", args[0])
}

func push(args []string) error {
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	addr := flags.String("registry", "", "host:port of a registry that speaks plain HTTP (default: build only)")
	cache := flags.String("cache", "", "folder of packages and built images (default: in the user's cache folder)")
	if err := parse(flags, args); err != nil {
		return err
	}
	if *cache == "" {
		dir, err := images.CacheDir()
		if err != nil {
			return err
		}
		*cache = dir
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if *addr == "" {
		_, err := images.BuildAll(ctx, *cache)
		return err
	}
	return images.PushAll(ctx, *cache, *addr)
}

func serve(args []string) error {
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	addr := flags.String("listen", "", "host:port to listen on")
	dir := flags.String("dir", "", "folder of the blobs")
	if err := parse(flags, args, addr, dir); err != nil {
		return err
	}
	return registry.Serve(*addr, *dir)
}

// parse reads args, of which those in required must be given.
func parse(flags *flag.FlagSet, args []string, required ...*string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%s: unexpected %q", flags.Name(), flags.Arg(0))
	}
	for _, value := range required {
		if *value == "" {
			flags.Usage()
			return fmt.Errorf("%s: a flag is missing", flags.Name())
		}
	}
	return nil
}
