// Checks a dashboard with Grafana's own types: no field that it does not know, panels, targets and
// units of the plugins that they name, and what its schema asks for.
//
//	dashboard FILE
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func check(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	plugins.RegisterDefaultPlugins()
	var board dashboard.Dashboard
	// It returns an empty list of errors for none, which is no nil.
	var problems cog.BuildErrors
	if err := board.UnmarshalJSONStrict(raw); !errors.As(err, &problems) || len(problems) > 0 {
		return err
	}
	if len(board.Panels) == 0 {
		return fmt.Errorf("no panels")
	}
	return board.Validate()
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: dashboard FILE")
		os.Exit(2)
	}
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}
