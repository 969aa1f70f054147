# Runs dockerd with the flags in "$@" and ends it in order: containers, dockerd, its data.
# Always 0 after SIGTERM, in less than the 30 s that Kubernetes gives a pod: ARC counts any other
# end of an init container, such as a sidecar, as a failed runner.
START_SECONDS=120    # for dockerd to answer, as long as ARC's chart waits; then it ends with 1
CONTAINER_SECONDS=10 # from SIGTERM to SIGKILL for a container: a process killed inside a HIP call leaks VRAM
STOP_SECONDS=12      # for all containers together
DAEMON_SECONDS=8
CLEAN_SECONDS=5

say() { printf 'arc-rocm-dind: %s\n' "$*" >&2; }

host='' data_root='' exec_root=/var/run/docker pidfile=/var/run/docker.pid
config=/etc/docker/daemon.json nested=1
for flag in "$@"; do
  case $flag in
    --config-file=*) config=${flag#*=} ;;
    --cgroup-parent*) nested='' ;;
    --exec-opt*native.cgroupdriver=*) nested='' ;;
    --host=unix://*) host=${host:-${flag#*=}} ;;
    --data-root=*) data_root=${flag#*=} ;;
    --exec-root=*) exec_root=${flag#*=} ;;
    --pidfile=*) pidfile=${flag#*=} ;;
  esac
done

# True once process $1 is gone, false after $2 seconds or at a signal since `hurry=`. A process as the
# clock: bash loses its way when a trap comes while it expands a command substitution.
gone_within() {
  sleep "$2" &
  clock=$!
  while kill -0 "$1" 2>/dev/null; do
    if [ -n "$hurry" ] || ! kill -0 "$clock" 2>/dev/null; then
      kill "$clock" 2>/dev/null
      return 1
    fi
    sleep 0.1 &
    wait "$!"
  done
  kill "$clock" 2>/dev/null
  return 0
}

stop_containers() { docker ps -q | xargs -r docker stop -t "$CONTAINER_SECONDS"; }

own_cgroup() { # [CONTROLLER], none for cgroup v2
  while IFS=: read -r _ controllers path; do
    case ,$controllers, in *",$1,"*) printf '%s' "$path"; return ;; esac
  done </proc/self/cgroup
}

# A cgroup whose members are processes cannot give controllers to those below: they move to a leaf.
# Probes may start here meanwhile. runc puts later processes where process 1 is.
make_room() {
  room=''
  mkdir -p "$1/init" || return
  for _ in 1 2 3 4 5; do
    while read -r pid; do echo "$pid" >"$1/init/cgroup.procs"; done <"$1/cgroup.procs"
    read -r all <"$1/cgroup.controllers"
    flags=''
    for controller in $all; do flags="$flags +$controller"; done
    if echo "$flags" >"$1/cgroup.subtree_control"; then room=1; break; fi
  done
  # With the kubelet's 1 an OOM kill of a job's process also kills dockerd.
  echo 0 >"$1/memory.oom.group"
  [ -n "$room" ]
} 2>/dev/null

# The cgroup in which the limits of this container and of the pod bind containers, unless Docker uses
# it anyway: it puts them below the root of what it sees, which is often this cgroup.
cgroup_parent() {
  dir=/sys/fs/cgroup controller=''
  [ -f "$dir/cgroup.controllers" ] || { dir=$dir/memory controller=memory; }
  own=$(own_cgroup "$controller")
  case $own in '' | / | /..*) return ;; esac
  [ -d "$dir$own" ] || return 0
  if [ -n "$controller" ] || make_room "$dir$own"; then
    printf '%s' "$own/docker"
  else
    say "cannot divide the cgroup $own, containers are not bound by the pod's limits"
  fi
}

# Empties what goes with this pod: the path behind the mount has its name, or its UID, as that of an
# emptyDir has. The kubelet's /etc/hosts tells the UID. Data mounted inside, such as a model cache,
# would be deleted through the mount.
clean() {
  root=$(cd "$1" 2>/dev/null && pwd -P) || return 0
  case $root in / | //* | *[!A-Za-z0-9._/-]*) say "not cleaning data root $1"; return ;; esac
  uid=/ at='' behind=''
  while read -r _ _ _ path mount _; do
    case $mount:$path in
      "$root"/*) say "not cleaning $root: $mount is mounted"; return ;;
      /etc/hosts:*/pods/*/etc-hosts) uid=${path%/*} uid=${uid##*/} ;;
    esac
    # The nearest mount; of several at one place the last one is seen.
    case $root/ in "${mount%/}"/*) [ "${#mount}" -lt "${#at}" ] || { at=$mount behind=$path; } ;; esac
  done </proc/self/mountinfo
  case $behind in
    *"${POD_NAME:-//}"* | */"$uid"/*) ;;
    *) say "not cleaning $root: it may outlive this pod"; return ;;
  esac
  rm -rf -- "${root:?}"/* "${root:?}"/.[!.]* "${root:?}"/..?*
}

hurry=
# A flag, not the work itself: in dash a second trap inside the first would spoil `$?` of any command.
trap 'hurry=1' TERM INT

# dockerd refuses a flag that its file has too, and takes slices alone where systemd makes cgroups.
if [ -n "$nested" ] && ! grep -q -e cgroup-parent -e cgroupdriver "$config" 2>/dev/null &&
  [ ! -d /run/systemd/system ]; then
  parent=$(cgroup_parent "")
  [ -z "$parent" ] || set -- "$@" "--cgroup-parent=$parent"
fi
# In this cgroup the kernel kills a job's process before dockerd.
{ echo -500 >/proc/self/oom_score_adj; } 2>/dev/null || :

# /var/run is a volume that outlives this container: the process IDs in it are stale.
rm -f "$pidfile" "$exec_root/containerd/containerd.pid"
# The image's entrypoint picks iptables, moves cgroups and runs docker-init, which here is not process 1.
if command -v dockerd-entrypoint.sh >/dev/null; then
  TINI_SUBREAPER=1 dockerd-entrypoint.sh dockerd "$@" &
else
  dockerd "$@" &
fi
dockerd=$!
[ -z "$host" ] || export DOCKER_HOST="$host"

(until docker info >/dev/null 2>&1; do sleep 0.5; done) &
asked=$!
up='' failed=''
sleep "$START_SECONDS" &
deadline=$!
# Not one long `wait`: a signal between the look at the flag and the `wait` would be lost.
while [ -z "$hurry" ] && kill -0 "$dockerd" 2>/dev/null; do
  # After one answer it is not asked again: a daemon that a job keeps busy must not end the job.
  if [ -z "$up" ] && ! kill -0 "$asked" 2>/dev/null; then
    up=1
    kill "$deadline"
  elif [ -z "$up" ] && ! kill -0 "$deadline" 2>/dev/null; then
    say "docker does not answer after $START_SECONDS s, giving up"
    failed=1
    break
  fi
  sleep 1 &
  wait "$!"
done
if [ -z "$hurry$failed" ]; then
  wait "$dockerd"
  status=$?
  say "dockerd ended by itself with status $status"
  [ "$status" -ne 0 ] || status=1
  exit "$status"
fi

if kill -0 "$dockerd" 2>/dev/null; then
  hurry=
  stop_containers >/dev/null &
  gone_within "$!" "$STOP_SECONDS" || say "containers did not stop in time"
  hurry=
  kill -TERM "$dockerd"
  # No SIGKILL: the end of process 1 is one, and only an orderly end makes the data safe to delete.
  gone_within "$dockerd" "$DAEMON_SECONDS" || {
    say "dockerd did not end in time, data root is kept"
    exit "${failed:-0}"
  }
fi
[ -z "$failed" ] || exit 1
case $data_root in /*)
  hurry=
  clean "$data_root" &
  gone_within "$!" "$CLEAN_SECONDS" || say "data root $data_root is not empty yet" ;;
esac
exit 0
