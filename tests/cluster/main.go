package main

import (
	"fmt"
	"os"

	"arc-rocm.dev/tests/cluster/internal/components"
)

func main() {
	if len(os.Args) < 2 || !components.Run(os.Args[1], os.Args[2:]) {
		fmt.Fprintln(os.Stderr, "usage")
		os.Exit(2)
	}
}
