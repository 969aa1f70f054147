# Prepares a ROCm runner, then becomes the command behind "--".
# Every variable is called arc_*, so that none of the runner's own environment changes.
say() { printf 'arc-rocm: %s\n' "$*" >&2; }
# Always 1: ARC reads 7 from a runner as "version deprecated" and stops the whole scale set.
die() { say "$*, the runner is not started"; exit 1; }

# As process 1 a shell ignores SIGTERM unless it traps it, and the trap runs at once only during `wait`.
trap 'kill "${!:-}" 2>/dev/null; exit 143' TERM INT
interruptibly() { "$@" & wait "$!"; }

arc_gpus=0 arc_wait=0 arc_podinfo=/etc/podinfo arc_root='' arc_login=''
arc_flags='' arc_auto='' arc_rocr='' arc_cpuset='' arc_cpus='' arc_limit='' arc_isolation=''
while [ $# -gt 0 ]; do
  arc_option=$1
  shift
  case $arc_option in
    --) break ;;
    --gpus=*) arc_gpus=${arc_option#*=} ;;
    --group-add=nodes) arc_auto=1 ;;
    --group-add=*) arc_flags="$arc_flags --group-add ${arc_option#*=}" ;;
    --rocr-indices) arc_rocr=1 ;;
    --cpuset) arc_cpuset=1 ;;
    --wait-for-docker=*) arc_wait=${arc_option#*=} ;;
    --podinfo=*) arc_podinfo=${arc_option#*=} ;;
    --docker-config=*) arc_login=${arc_option#*=} ;;
    --root=*) arc_root=${arc_option#*=} ;; # holds dev, etc, proc and sys: for tests
    *) say "unknown option $arc_option, ignored" ;;
  esac
done
[ $# -gt 0 ] || die "no command after --"
case $arc_gpus:$arc_wait in *[!0-9:]* | :* | *:) die "--gpus=$arc_gpus --wait-for-docker=$arc_wait: not numbers" ;; esac

publish() { # FILE TEXT
  arc_new=$arc_podinfo/.$1.new
  { printf '%s' "$2" >"$arc_new" && chmod 0644 "$arc_new" && mv -f "$arc_new" "$arc_podinfo/$1"; } ||
    say "cannot write $arc_podinfo/$1, jobs that read it will miss it"
}

# What follows PREFIX in the names of files, by number: renderD128 comes before renderD1280.
numbers() {
  for arc_name in "$1"*; do
    arc_name=${arc_name#"$1"}
    case $arc_name in '' | *[!0-9]*) ;; *) printf '%s\n' "$arc_name" ;; esac
  done | sort -n
}

# Jobs ask /etc/group for the GID of GROUP; NODE has the real one.
know() { # GROUP NODE
  arc_file=$arc_root/etc/group arc_gid=$(stat -Lc %g "$arc_root$2") arc_line="$1:x:$arc_gid:"
  [ -r "$arc_file" ] || return 0
  while IFS=: read -r arc_name _ arc_has _; do
    [ "$arc_name" = "$1" ] || continue
    [ "$arc_has" = "$arc_gid" ] || say "/etc/group has $1 with GID $arc_has, but $2 is of $arc_gid: jobs that look $1 up get the wrong one"
    return 0
  done <"$arc_file"
  [ -z "$(tail -c 1 "$arc_file")" ] || arc_line="
$arc_line"
  if [ -w "$arc_file" ]; then
    printf '%s\n' "$arc_line" >>"$arc_file"
  else
    printf '%s\n' "$arc_line" | timeout 5 sudo -n tee -a "$arc_file" >/dev/null 2>&1
  fi || say "cannot add $1 (GID $arc_gid) to /etc/group without sudo, jobs that look it up find nothing"
}

# The effective cpuset, whichever version the cgroups have.
[ -z "$arc_cpuset" ] || arc_cpus=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "$arc_root/proc/self/status")

# Jobs splice gha-render-devices into `docker run`: no file is better than an empty or old one.
rm -f "$arc_podinfo/gha-render-devices" "$arc_podinfo/gha-docker-cpu-flags"
if [ "$arc_gpus" -gt 0 ]; then
  arc_minors=$( numbers "$arc_root/dev/dri/renderD" ) # a blank, or Kubernetes may take it for a variable
  # ROCr's index of a GPU is its rank among the GPUs of all KFD nodes. Those of other containers count,
  # though the kernel refuses to read them; gpu_id 0 is a CPU.
  arc_kfd=$arc_root/sys/class/kfd/kfd/topology/nodes/ arc_index=0 arc_map=' ' arc_ours=''
  for arc_node in $( numbers "$arc_kfd" ); do
    arc_id=''
    { read -r arc_id <"$arc_kfd$arc_node/gpu_id"; } 2>/dev/null || :
    [ "$arc_id" != 0 ] || continue
    arc_map="$arc_map$(sed -n 's/^drm_render_minor //p' "$arc_kfd$arc_node/properties" 2>/dev/null):$arc_index "
    arc_index=$((arc_index + 1))
  done
  for arc_minor in $arc_minors; do
    case $arc_map in *" $arc_minor:"*) arc_ours=1 ;; esac
  done
  arc_found=0 arc_devices='' arc_used=, arc_first=''
  for arc_minor in $arc_minors; do
    arc_node=/dev/dri/renderD$arc_minor
    # A privileged runner also sees spare nodes of partitions that do not exist.
    case ${arc_ours:+$arc_map} in
      '' | *" $arc_minor:"*) ;;
      *) say "$arc_node is no GPU that KFD knows, not used"; continue ;;
    esac
    arc_gid=$(stat -Lc %g "$arc_root$arc_node")
    if ! (: <>"$arc_root$arc_node"); then
      say "cannot open $arc_node: its group is $arc_gid, this process is in $(id -G) (see groups in the profile)"
      continue
    fi
    arc_found=$((arc_found + 1)) arc_first=${arc_first:-$arc_node}
    arc_devices="$arc_devices --device $arc_node" arc_used=$arc_used$arc_minor,
    case $arc_auto$arc_flags' ' in
      1*" $arc_gid "*) ;;
      1*) arc_flags="$arc_flags --group-add $arc_gid" ;;
    esac
  done
  [ "$arc_found" -ge "$arc_gpus" ] || die "$arc_gpus GPUs requested, $arc_found usable in /dev/dri"
  [ "$arc_found" -eq "$arc_gpus" ] || say "$arc_gpus GPUs requested, all $arc_found of /dev/dri are used (privileged runner?)"
  arc_flags=$arc_flags$arc_devices${arc_cpus:+ --cpuset-cpus $arc_cpus}
  publish gha-render-devices "${arc_flags# }
"
  know render "$arc_first"
  for arc_minor in $( numbers "$arc_root/dev/dri/card" ); do
    know video "/dev/dri/card$arc_minor"
    break
  done
  for arc_node in $arc_map; do
    case $arc_used in *",${arc_node%:*},"*) arc_isolation=$arc_isolation,${arc_node#*:} ;; esac
  done
  if [ -z "$arc_rocr" ] || [ -n "${ROCR_VISIBLE_DEVICES+x}" ]; then
    arc_isolation=''
  elif [ -z "$arc_isolation" ]; then
    say "no KFD topology of these GPUs in /sys: gha-gpu-isolation-settings is empty, jobs that rely on it see every GPU of the node"
  fi
fi
# A docker env-file must exist. No variable is better than an empty one, which hides every GPU.
publish gha-gpu-isolation-settings "${arc_isolation:+ROCR_VISIBLE_DEVICES=${arc_isolation#,}
}"

# Kubernetes says 0 where the runner requests no CPU, and jobs would start 0 threads.
case ${KUBE_CPU_REQUEST-0} in
  0) unset KUBE_CPU_REQUEST ;;
  *[!0-9.]* | *.*.* | . | '') say "KUBE_CPU_REQUEST=$KUBE_CPU_REQUEST is no number of CPUs, there is no --cpus in gha-docker-cpu-flags" ;;
  *) arc_limit="--cpus=$KUBE_CPU_REQUEST" ;;
esac
arc_limit=$arc_limit${arc_cpus:+ --cpuset-cpus=$arc_cpus}
[ -z "$arc_limit" ] || publish gha-docker-cpu-flags "${arc_limit# }
"

# A copy, because jobs log in to more registries. The image's own file stays.
arc_config=${DOCKER_CONFIG:-${HOME:-/home/runner}/.docker}/config.json
if [ -n "$arc_login" ] && [ ! -e "$arc_config" ]; then
  (umask 077 && mkdir -p "${arc_config%/*}" && cat "$arc_login" >"$arc_config") ||
    { rm -f "$arc_config"; say "cannot copy $arc_login to $arc_config, docker is not logged in"; }
fi

arc_look=docker arc_at=info
if [ "$arc_wait" -gt 0 ] && ! command -v docker >/dev/null; then
  # Without the CLI the socket tells: dockerd listens before it is ready, and lets its clients wait.
  case ${DOCKER_HOST-} in
    unix:///*) arc_look=stat arc_at=$arc_root${DOCKER_HOST#unix://} ;;
    *) say "no docker in PATH and no socket in DOCKER_HOST, not waiting for Docker"; arc_wait=0 ;;
  esac
fi
if [ "$arc_wait" -gt 0 ]; then
  arc_try=$((arc_wait < 5 ? arc_wait : 5)) # a daemon may also hang
  arc_begin=$(date +%s) arc_said=0
  until interruptibly timeout "$arc_try" "$arc_look" "$arc_at" >/dev/null 2>&1; do
    arc_waited=$(($(date +%s) - arc_begin))
    if [ "$arc_waited" -ge "$arc_wait" ]; then
      arc_error=$(timeout "$arc_try" "$arc_look" "$arc_at" 2>&1 >/dev/null </dev/null) && break
      die "docker is not ready after $arc_waited s ($(printf %s "${arc_error:-no answer}" | tail -n 1))"
    elif [ "$arc_waited" -ge $((arc_said + 5)) ]; then
      say "waiting for docker ($arc_waited of $arc_wait s)"
      arc_said=$arc_waited
    fi
    # Not every sleep takes a fraction.
    interruptibly sleep 0.2 2>/dev/null || interruptibly sleep 1
  done
fi

# The trap ends here: a new program starts with the default for every signal that was trapped.
exec "$@"
