package images

import (
	_ "embed"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

//go:embed dind/dockerd-entrypoint.sh
var dindEntrypoint []byte

//go:embed dind/daemon.json
var dindDaemon []byte

// dind is a Docker daemon with the contract of the image docker:dind: BusyBox's shell and tools,
// dockerd-entrypoint.sh, docker-init, and iptables with nf_tables unless
// DOCKER_IPTABLES_LEGACY is set. Its daemon asks the cluster's registry for images of Docker Hub.
func dind() Spec {
	return Spec{
		Name: "dind",
		Refs: []string{"ghcr.io/saienduri/dind:main", "docker.io/library/docker:dind"},
		Packages: append(all(
			"iptables", "libc6", "libcap2", "libdevmapper1.02.1", "libgcrypt20", "libgpg-error0", "libip4tc2",
			"libip6tc2", "liblz4-1", "liblzma5", "libmnl0", "libnetfilter-conntrack3", "libnfnetlink0",
			"libnftnl11", "libpcre2-8-0", "libseccomp2", "libselinux1", "libsystemd0", "libudev1", "libxtables12",
			"libzstd1", "netbase", "runc",
		),
			only("base-files", "etc/os-release", "usr/lib/os-release"), // docker info names the system
			only("busybox-static", "usr/bin/busybox"),
			only("containerd", "usr/bin/containerd", "usr/bin/containerd-shim-runc-v2", "usr/bin/ctr"),
			only("docker.io", "usr/bin/docker", "usr/bin/docker-init", "usr/sbin/docker-proxy", "usr/sbin/dockerd"),
			only("tini", "usr/bin/tini-static"),
		),
		Files: concat(busybox(), system(), iptables(), account(
			"root:x:0:0:root:/root:/bin/sh\n", "root:x:0:\ndocker:x:2375:\n",
		), []File{
			{Path: "usr/local/bin/dockerd-entrypoint.sh", Mode: 0o755, Data: dindEntrypoint},
			{Path: "etc/docker/daemon.json", Mode: 0o644, Data: dindDaemon},
			{Path: "var/lib/docker", Dir: true, Mode: 0o710},
			{Path: "certs/client", Dir: true, Mode: 0o1777},
		}),
		Config: v1.Config{
			Env:        []string{searchPath, "DOCKER_TLS_CERTDIR=/certs", "DOCKER_VERSION=20.10"},
			Entrypoint: []string{"dockerd-entrypoint.sh"},
			Cmd:        []string{},
			Volumes:    map[string]struct{}{"/var/lib/docker": {}},
		},
	}
}

// iptables are the links that Debian's alternatives would make, and a folder that puts the legacy
// programs first in a PATH that begins with it, as the public image has it.
func iptables() []File {
	var files []File
	for _, name := range []string{"iptables", "ip6tables"} {
		for _, suffix := range []string{"", "-save", "-restore"} {
			files = append(files,
				File{Path: "usr/sbin/" + name + suffix, Link: name + "-nft" + suffix},
				File{Path: "usr/local/sbin/.iptables-legacy/" + name + suffix, Link: "/usr/sbin/" + name + "-legacy" + suffix},
			)
		}
	}
	return files
}
