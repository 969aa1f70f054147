#!/bin/sh
# What docker:dind's entrypoint promises, as far as a pod relies on it: flags alone start dockerd with
# the default sockets; dockerd runs below docker-init, without process ids of an earlier start, with
# iptables as DOCKER_IPTABLES_LEGACY wants it; any other command runs as it is. Without TLS: nobody in
# the cluster asks for it.
set -eu

if [ "$#" -eq 0 ] || [ "${1#-}" != "$1" ]; then
  set -- dockerd --host="${DOCKER_HOST:-unix:///var/run/docker.sock}" --host=tcp://0.0.0.0:2375 --tls=false "$@"
fi
[ "$1" = dockerd ] || exec "$@"

find /run /var/run -iname 'docker*.pid' -exec rm -f {} + || :

if [ -n "${DOCKER_IPTABLES_LEGACY:-}" ]; then
  export PATH="/usr/local/sbin/.iptables-legacy:$PATH"
fi

# cgroup v2: a cgroup with processes in it cannot give controllers to those below, where dockerd puts
# its containers.
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  mkdir -p /sys/fs/cgroup/init
  # A process may end, and others start, while they move.
  while read -r pid; do echo "$pid" 2>/dev/null >/sys/fs/cgroup/init/cgroup.procs || :; done </sys/fs/cgroup/cgroup.procs
  sed -e 's/ / +/g' -e 's/^/+/' </sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
fi

# Mounts of a container started here are seen by those that share the folder with it.
mount --make-rshared / || :

exec docker-init -- "$@"
