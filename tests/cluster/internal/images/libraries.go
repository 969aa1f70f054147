package images

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"path"
	"sort"
	"strings"
)

// complete reports the libraries that a program or library of the image needs and the image does
// not have: such a program does not start, which would show in a test as something else. Libraries
// opened at run time (plug-ins of PAM, sudo, iptables) are not known here, what they need is.
func (files rootfs) complete() error {
	libraries := map[string]bool{}
	for name := range files {
		if base := path.Base(name); strings.HasPrefix(name, "usr/lib") && strings.Contains(base, ".so") {
			libraries[base] = true
		}
	}
	missing := map[string]string{}
	for name, file := range files {
		if file.header.Typeflag != tar.TypeReg || !bytes.HasPrefix(file.data, []byte(elf.ELFMAG)) {
			continue
		}
		program, err := elf.NewFile(bytes.NewReader(file.data))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		needed, err := program.ImportedLibraries()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, library := range needed {
			if !libraries[library] {
				missing[library] = name
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	lines := make([]string, 0, len(missing))
	for library, name := range missing {
		lines = append(lines, fmt.Sprintf("%s, for %s", library, name))
	}
	sort.Strings(lines)
	return errors.New("libraries are missing: " + strings.Join(lines, "; "))
}

// static tells whether the program in data needs no loader and so runs in an empty image.
func static(data []byte) (bool, error) {
	program, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return false, err
	}
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			return false, nil
		}
	}
	return true, nil
}
