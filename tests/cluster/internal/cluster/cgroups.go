package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupMount is where the hierarchies are: one of version 2, or a folder for each of version 1.
const cgroupMount = "/sys/fs/cgroup"

// killedWithin is how long the kernel is given to end processes that were killed.
const killedWithin = 20 * time.Second

// cgroupOf is the group under which the kubelet of a cluster puts its pods, from the mount's root.
func cgroupOf(name string) string { return "/arc-rocm-cluster-" + name }

func isCgroupV2() bool {
	var stat unix.Statfs_t
	return unix.Statfs(cgroupMount, &stat) == nil && stat.Type == unix.CGROUP2_SUPER_MAGIC
}

// hierarchies are the folders that have cgroups in them.
func hierarchies() ([]string, error) {
	if isCgroupV2() {
		return []string{cgroupMount}, nil
	}
	entries, err := os.ReadDir(cgroupMount)
	if errors.Is(err, fs.ErrNotExist) {
		// A machine without cgroups can have a plain cluster.
		return nil, nil
	}
	var found []string
	for _, entry := range entries {
		path := filepath.Join(cgroupMount, entry.Name())
		// Links are second names, as `cpu` of `cpu,cpuacct`.
		if _, err := os.Stat(filepath.Join(path, "cgroup.procs")); err == nil && entry.IsDir() {
			found = append(found, path)
		}
	}
	return found, err
}

// makeCgroups makes the kubelet's group in every hierarchy: it refuses to start under one that is
// missing anywhere.
func makeCgroups(name string) error {
	folders, err := hierarchies()
	for _, folder := range folders {
		group := filepath.Join(folder, cgroupOf(name))
		if makeErr := os.MkdirAll(group, 0o755); makeErr != nil {
			err = errors.Join(err, makeErr)
			continue
		}
		// A cpuset of version 1 starts empty and then takes no process.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			text, readErr := os.ReadFile(filepath.Join(folder, file))
			if readErr != nil || isCgroupV2() {
				continue
			}
			err = errors.Join(err, os.WriteFile(filepath.Join(group, file), text, 0o644))
		}
	}
	if isCgroupV2() {
		controllers, readErr := os.ReadFile(filepath.Join(cgroupMount, "cgroup.controllers"))
		err = errors.Join(err, readErr)
		for _, controller := range needed(string(controllers)) {
			for _, group := range []string{"/", cgroupOf(name)} {
				file := filepath.Join(cgroupMount, group, "cgroup.subtree_control")
				err = errors.Join(err, os.WriteFile(file, []byte("+"+controller), 0o644))
			}
		}
	}
	return err
}

// needed are those of a machine's controllers, of version 2, that the kubelet wants its group to have
// (kubelet/cm, getSupportedUnifiedControllers). Others may refuse to be enabled.
func needed(controllers string) []string {
	return slices.DeleteFunc(strings.Fields(controllers), func(name string) bool {
		return !slices.Contains([]string{"cpu", "cpuset", "memory", "hugetlb", "pids"}, name)
	})
}

// removeCgroups removes the groups of the cluster called name, from the leaves up, once the kernel
// has ended what was in them.
func removeCgroups(name string) error {
	folders, err := hierarchies()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(killedWithin)
	for _, folder := range folders {
		for {
			err := removeGroup(filepath.Join(folder, cgroupOf(name)))
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("cgroups of %s: %w", name, err)
			}
			time.Sleep(pollInterval)
		}
	}
	return nil
}

func removeGroup(group string) error {
	var folders []string
	err := filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			folders = append(folders, path)
		}
		return err
	})
	for _, folder := range slices.Backward(folders) {
		if removeErr := os.Remove(folder); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}
	return err
}
