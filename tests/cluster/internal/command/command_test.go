package command

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestArgumentsThatWouldMeanAnotherCluster: `down one` would end the cluster `default`.
func TestArgumentsThatWouldMeanAnotherCluster(t *testing.T) {
	for _, line := range []string{
		"down --name gone one", "env one --name two", "list x", "logs x", "help x", "image a b c",
		"down --name", "down --name UP", "down --name ../x", "up --kwok-nodes many", "no-such-command", "image a",
		"push-binary a",
	} {
		words := strings.Fields(line)
		if err := Run(words[0], words[1:]); err == nil {
			t.Errorf("%s: no error", line)
		}
	}
	if err := Run("up", []string{"--help"}); err != nil {
		t.Errorf("help: %v", err)
	}
}

// TestEachMinorHasItsModules: the script passes a minor's name on to the API server as its version.
func TestEachMinorHasItsModules(t *testing.T) {
	const root = "../.."
	script, err := os.ReadFile(filepath.Join(root, "cluster"))
	if err != nil {
		t.Fatal(err)
	}
	newest := regexp.MustCompile(`KUBERNETES:-([0-9.]+)\}`).FindSubmatch(script)
	if newest == nil {
		t.Fatal("the script names no newest minor")
	}
	files := map[string]string{string(newest[1]): filepath.Join(root, "go.mod")}
	others, err := filepath.Glob(filepath.Join(root, "versions", "*.mod"))
	if err != nil || len(others) == 0 {
		t.Fatal("no other minors: ", err)
	}
	for _, path := range others {
		files[strings.TrimSuffix(filepath.Base(path), ".mod")] = path
	}
	for minor, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`(?m)k8s\.io/kubernetes v([0-9]+\.[0-9]+)\.[0-9]+$`).FindSubmatch(text)
		if found == nil || string(found[1]) != minor {
			t.Errorf("%s, for %s, has %q", path, minor, found)
		}
	}
}

func TestAMinorWithoutModulesIsRefused(t *testing.T) {
	command := exec.Command("../../cluster", "help")
	command.Env = append(os.Environ(), "KUBERNETES=1.2", "ARC_ROCM_CLUSTER_BIN="+t.TempDir())
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "1.2") {
		t.Errorf("%v: %s", err, out)
	}
}
