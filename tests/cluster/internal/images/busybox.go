package images

import "strings"

// The commands that an image with BusyBox offers, of the 260 that Debian's static build can be:
// those that scripts of the webhook, of the images and of tests may use.
var applets = strings.Fields(`
	ash awk basename cat chgrp chmod chown cp cut date dd df dirname du echo env expr false find free
	getopt grep gzip gunzip head hostname id ifconfig ip kill killall ln logger ls md5sum mkdir mkfifo
	mknod mktemp mount mv nc nproc nslookup od pgrep pidof ping pkill printf ps pwd readlink realpath
	rev rm rmdir route sed seq sha256sum sh sleep sort stat stty sync tac tail tar tee test timeout
	top touch tr true tty umount uname uniq unshare uptime vi wc wget which whoami xargs yes [`)

// busybox are links for its commands, as in the images that are made of it.
func busybox() []File {
	files := make([]File, 0, len(applets))
	for _, applet := range applets {
		files = append(files, File{Path: "usr/bin/" + applet, Link: "busybox"})
	}
	return files
}

// account are the files that give numbers of users and groups their names. Entries are separated
// by newlines.
func account(passwd, group string) []File {
	return []File{
		{Path: "etc/passwd", Mode: 0o644, Data: []byte(passwd)},
		{Path: "etc/group", Mode: 0o644, Data: []byte(group)},
		{Path: "etc/nsswitch.conf", Mode: 0o644, Data: []byte("passwd: files\ngroup: files\nhosts: files dns\n")},
	}
}

// system are folders that every system has, and that a container finds even when no volume is
// there.
func system() []File {
	return []File{
		{Path: "tmp", Dir: true, Mode: 0o1777},
		{Path: "var/tmp", Dir: true, Mode: 0o1777},
		{Path: "root", Dir: true, Mode: 0o700},
		{Path: "run", Dir: true, Mode: 0o755},
		// As in the public images: a volume at /var/run is mounted at /run.
		{Path: "var/run", Link: "/run"},
		{Path: "proc", Dir: true, Mode: 0o555},
		{Path: "sys", Dir: true, Mode: 0o555},
		{Path: "dev", Dir: true, Mode: 0o755},
	}
}
