package images

import (
	_ "embed"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"arc-rocm.dev/tests/cluster/internal/debian"
)

//go:embed runner/run.sh
var runnerRun []byte

//go:embed runner/node.sh
var runnerNode []byte

// The user of the public image (images/Dockerfile of actions/runner): its files belong to the
// group docker.
const runnerUID, dockerGID = 1001, 123

// runner has the layout of GitHub's runner image (images/Dockerfile of actions/runner): users,
// groups, sudo, folders, variables, the Docker CLI. In the runner's place it has a run.sh that
// runs the job it is given, see there.
func runner() Spec {
	return Spec{
		Name: "runner",
		Refs: []string{"ghcr.io/actions/actions-runner:latest", "ghcr.io/saienduri/ghascale-rocm-dev:main"},
		Packages: append(all(
			"base-files", "bash", "coreutils", "dash", "debianutils", "diffutils", "findutils", "grep", "gzip",
			"hostname", "libacl1", "libattr1", "libaudit1", "libc-bin", "libc6", "libcap-ng0", "libcap2",
			"libcrypt1", "libgcrypt20", "libgmp10", "libgpg-error0", "liblz4-1", "liblzma5", "libncursesw6",
			"libpam0g", "libpcre2-8-0", "libproc2-0", "libselinux1", "libsystemd0", "libtinfo6", "libzstd1",
			"mawk", "ncurses-base", "netbase", "procps", "sed", "sudo", "tar", "zlib1g",
		),
			only("docker.io", "usr/bin/docker"),
			only("libpam-modules", "usr/lib/"+debian.Triplet()+"/security/pam_permit.so"),
		),
		Files: concat(system(), runnerUser(), runnerHome()),
		Config: v1.Config{
			User:       "runner",
			WorkingDir: "/home/runner",
			Env: []string{
				searchPath, "DEBIAN_FRONTEND=noninteractive", "RUNNER_MANUALLY_TRAP_SIG=1",
				"ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT=1", "ImageOS=ubuntu22",
			},
			Cmd: []string{"/bin/bash"},
		},
	}
}

// runnerUser is the user, with sudo without a password.
func runnerUser() []File {
	pam := []byte("auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n")
	return concat(account(
		"root:x:0:0:root:/root:/bin/bash\n"+
			"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"+
			"runner:x:1001:1001:,,,:/home/runner:/bin/bash\n",
		"root:x:0:\ntty:x:5:\nsudo:x:27:runner\nvideo:x:44:\nstaff:x:50:\nusers:x:100:\n"+
			"docker:x:123:runner\nrunner:x:1001:\nnogroup:x:65534:\n",
	), []File{
		{Path: "etc/sudoers", Mode: 0o440, Data: []byte("%sudo   ALL=(ALL:ALL) NOPASSWD:ALL\n" +
			"Defaults env_keep += \"DEBIAN_FRONTEND\"\n")},
		{Path: "etc/pam.d/sudo", Mode: 0o644, Data: pam},
		{Path: "etc/pam.d/other", Mode: 0o644, Data: pam},
		// Links that Debian's packages leave to their scripts.
		{Path: "usr/bin/sh", Link: "dash"},
		{Path: "usr/bin/awk", Link: "mawk"},
		{Path: "var/lock", Link: "/run/lock"},
	})
}

// runnerHome is the runner's folder. The real one has some 4000 files in externals: programs that
// run actions, here and, copied by an init container, in the containers of jobs.
func runnerHome() []File {
	files := []File{
		{Path: "home/runner", Dir: true, Mode: 0o755},
		{Path: "home/runner/run.sh", Mode: 0o755, Data: runnerRun},
		{Path: "home/runner/externals", Dir: true, Mode: 0o755},
	}
	for _, node := range []string{"node20", "node20_alpine"} {
		dir := "home/runner/externals/" + node
		files = append(files,
			File{Path: dir, Dir: true, Mode: 0o755},
			File{Path: dir + "/LICENSE", Mode: 0o644, Data: []byte("A stand-in for " + node + ".\n")},
			File{Path: dir + "/bin", Dir: true, Mode: 0o755},
			File{Path: dir + "/bin/node", Mode: 0o755, Data: runnerNode},
			File{Path: dir + "/bin/nodejs", Link: "node"},
		)
	}
	for i := range files {
		files[i].UID, files[i].GID = runnerUID, dockerGID
	}
	// The home folder was there before the runner's files were copied into it.
	files[0].GID = runnerUID
	return files
}
