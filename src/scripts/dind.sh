# Runs dockerd with the flags in "$@" and ends it in order: containers, dockerd, its data.
# Always 0 after SIGTERM, in less than the 30 s that Kubernetes gives a pod: ARC counts any other
# end of an init container, and that is what a sidecar is, as a failed runner.
CONTAINER_SECONDS=10 # from SIGTERM to SIGKILL for a container: a process killed inside a HIP call leaks VRAM
STOP_SECONDS=12      # for all containers together
DAEMON_SECONDS=8
CLEAN_SECONDS=5

say() { printf 'arc-rocm-dind: %s\n' "$*" >&2; }

host='' data_root='' exec_root=/var/run/docker pidfile=/var/run/docker.pid
for flag in "$@"; do
  case $flag in
    --host=unix://*) host=${host:-${flag#*=}} ;;
    --data-root=*) data_root=${flag#*=} ;;
    --exec-root=*) exec_root=${flag#*=} ;;
    --pidfile=*) pidfile=${flag#*=} ;;
  esac
done

# True once process $1 is gone, false after $2 seconds or at the next signal.
gone_within() {
  hurry=
  end=$(($(date +%s) + $2))
  while kill -0 "$1" 2>/dev/null; do
    if [ -n "$hurry" ] || [ "$(date +%s)" -ge "$end" ]; then return 1; fi
    sleep 0.1 &
    wait "$!"
  done
}

stop_containers() {
  [ -z "$host" ] || export DOCKER_HOST="$host"
  docker ps -q | xargs -r docker stop -t "$CONTAINER_SECONDS"
}

# What is mounted inside (a volume bound to a model cache, say) would be deleted through the mount.
clean() {
  root=$(cd "$1" 2>/dev/null && pwd -P) || return 0
  case $root in / | //* | *[!A-Za-z0-9._/-]*) say "not cleaning data root $1"; return ;; esac
  while read -r _ _ _ _ mount _; do
    case $mount in "$root"/*) say "not cleaning $root: $mount is mounted"; return ;; esac
  done </proc/self/mountinfo
  rm -rf -- "${root:?}"/* "${root:?}"/.[!.]* "${root:?}"/..?*
}

stop() {
  dockerd=$! # the only background process so far
  trap 'hurry=1' TERM INT # each further signal ends the current step
  if kill -0 "$dockerd" 2>/dev/null; then
    stop_containers >/dev/null &
    gone_within "$!" "$STOP_SECONDS" || say "containers did not stop in time"
    kill -TERM "$dockerd"
    # No SIGKILL: the end of process 1 is one, and only an orderly end makes the data safe to delete.
    gone_within "$dockerd" "$DAEMON_SECONDS" || { say "dockerd did not end in time, data root is kept"; exit 0; }
  fi
  case $data_root in /*)
    clean "$data_root" &
    gone_within "$!" "$CLEAN_SECONDS" || say "data root $data_root is not empty yet" ;;
  esac
  exit 0
}
trap stop TERM INT

# /var/run is a volume that outlives this container, and the process ids in it mean other processes now.
rm -f "$pidfile" "$exec_root/containerd/containerd.pid"
# The image's entrypoint picks iptables, moves cgroups and runs docker-init, which here is not process 1.
if command -v dockerd-entrypoint.sh >/dev/null; then
  TINI_SUBREAPER=1 dockerd-entrypoint.sh dockerd "$@" &
else
  dockerd "$@" &
fi
wait "$!"
status=$?
say "dockerd ended by itself with status $status"
[ "$status" -ne 0 ] || status=1
exit "$status"
