# Runs dockerd with the flags in "$@" and ends it in order: containers, dockerd, its data.
# Always 0 after SIGTERM, in less than the 30 s that Kubernetes gives a pod: ARC counts any other
# end of an init container, such as a sidecar, as a failed runner.
# A pod gets what stands between "# if PART" and "# fi" only where its profile has that part.
START_SECONDS=120 # for dockerd to answer, as long as ARC's chart waits; then it ends with 1
# For dockerd to end. It stops the containers itself: SIGTERM, and SIGKILL 10 s later. A process that
# is killed inside a HIP call leaks VRAM.
STOP_SECONDS=20
# if data
CLEAN_SECONDS=5
# fi

say() { printf 'arc-rocm-dind: %s\n' "$*" >&2; }

host='' config=/etc/docker/daemon.json nested=1
for flag in "$@"; do
  case $flag in
    --config-file=*) config=${flag#*=} ;;
    --cgroup-parent* | --exec-opt*native.cgroupdriver=*) nested='' ;;
    --host=unix://*) host=${host:-${flag#*=}} ;;
    # if data
    --data-root=*) data_root=${flag#*=} ;;
    # fi
  esac
done

# True once process $1, which is a child, is gone, false after $2 seconds. A process is the clock.
gone_within() {
  sleep "$2" &
  while kill -0 "$1" 2>/dev/null; do
    kill -0 "$!" 2>/dev/null || return
    sleep 0.1
  done
  kill "$!" 2>/dev/null
  return 0
}

# A cgroup whose members are processes cannot give controllers to those below: they move to a leaf.
# Probes may start here meanwhile. runc puts later processes where process 1 is.
make_room() {
  mkdir -p "$1/init"
  for _ in 1 2 3 4 5; do
    while read -r pid; do echo "$pid" >"$1/init/cgroup.procs"; done <"$1/cgroup.procs"
    controllers=$(sed 's/[^ ][^ ]*/+&/g' "$1/cgroup.controllers")
    echo "$controllers" >"$1/cgroup.subtree_control" || continue
    # With the kubelet's 1 an OOM kill of a job's process also kills dockerd.
    echo 0 >"$1/memory.oom.group"
    return 0
  done
  return 1
} 2>/dev/null

# The cgroup in which the limits of this container and of the pod bind containers, unless Docker uses
# it anyway: it puts them below the root of what it sees, which is often this cgroup.
cgroup_parent() {
  dir=/sys/fs/cgroup controller='' own='' # none for cgroup v2
  [ -f "$dir/cgroup.controllers" ] || { dir=$dir/memory controller=memory; }
  while IFS=: read -r _ controllers path; do
    case ,$controllers, in *",$controller,"*) own=$path; break ;; esac
  done </proc/self/cgroup
  case $own in '' | / | /..*) return ;; esac
  [ -d "$dir$own" ] || return
  if [ -n "$controller" ] || make_room "$dir$own"; then
    printf %s "$own/docker"
  else
    say "cannot divide the cgroup $own, containers are not bound by the pod's limits"
  fi
}

# if data
# Empties a data root that goes with this pod, though its volume does not: the path behind the mount
# has the pod's name. The kubelet empties what is the pod's own. Data mounted inside, such as a model
# cache, would be deleted through the mount.
clean() {
  root=$(cd "$1" 2>/dev/null && pwd -P) || return 0
  case $root in / | //* | *[!A-Za-z0-9._/-]*) say "not cleaning data root $1"; return ;; esac
  at='' behind=''
  while read -r _ _ _ path mount _; do
    case $mount in "$root"/*) say "not cleaning $root: $mount is mounted"; return ;; esac
    # The nearest mount; of several at one place the last one is seen.
    case $root/ in "${mount%/}"/*) [ "${#mount}" -lt "${#at}" ] || { at=$mount behind=$path; } ;; esac
  done </proc/self/mountinfo
  case $behind in
    *"$POD_NAME"*) rm -rf -- "${root:?}"/* "${root:?}"/.[!.]* "${root:?}"/..?* ;;
    *) say "not cleaning $root: its path on the node has not the pod's name" ;;
  esac
}
# fi

ending='' failed=''
trap 'ending=1' TERM INT

# dockerd refuses a flag that its file has too, and takes slices alone where systemd makes cgroups.
if [ -n "$nested" ] && ! grep -q -e cgroup-parent -e cgroupdriver "$config" 2>/dev/null &&
  [ ! -d /run/systemd/system ]; then
  parent=$(cgroup_parent "")
  [ -z "$parent" ] || set -- "$@" "--cgroup-parent=$parent"
fi
# In this cgroup the kernel kills a job's process before dockerd.
{ echo -500 >/proc/self/oom_score_adj; } 2>/dev/null || :

# /var/run is a volume that outlives this container: the process IDs in it are stale.
rm -f /var/run/docker.pid /var/run/docker/containerd/containerd.pid
# The image's entrypoint picks iptables, moves cgroups and runs docker-init, which here is not process 1.
entrypoint=$(command -v dockerd-entrypoint.sh)
TINI_SUBREAPER=1 $entrypoint dockerd "$@" &
dockerd=$!

[ -z "$host" ] || export DOCKER_HOST="$host"

# One answer is enough: a daemon that a job keeps busy must not end the job.
timeout "$START_SECONDS" sh -c 'until docker info; do sleep 0.5; done' >/dev/null 2>&1 &
asked=$!
# Not one long `wait`: a signal between the look at the variable and the `wait` would be lost.
while [ -z "$ending" ] && kill -0 "$dockerd" 2>/dev/null; do
  if [ -n "$asked" ] && ! kill -0 "$asked" 2>/dev/null; then
    wait "$asked" || [ -n "$ending" ] || {
      say "docker does not answer after $START_SECONDS s, giving up"
      failed=1
      break
    }
    asked=''
  fi
  sleep 1 &
  wait "$!"
done
if [ -z "$ending$failed" ]; then
  wait "$dockerd"
  status=$?
  say "dockerd ended by itself with status $status"
  [ "$status" -ne 0 ] || status=1
  exit "$status"
fi

kill -TERM "$dockerd" 2>/dev/null
# No SIGKILL: the end of process 1 is one, and only an orderly end makes the data safe to delete.
gone_within "$dockerd" "$STOP_SECONDS" || {
  say "dockerd did not end in time"
  exit "${failed:-0}"
}
# if data
case $failed${POD_NAME:+${data_root-}} in /*)
  clean "$data_root" &
  gone_within "$!" "$CLEAN_SECONDS" || say "data root $data_root is not empty yet" ;;
esac
# fi
exit "${failed:-0}"
