# Prepares a ROCm runner, then becomes the command behind "--".
# A pod gets what stands between "# if PART" and "# fi" only where its profile has that part.
say() { printf 'arc-rocm: %s\n' "$*" >&2; }
# Always 1: ARC reads 7 from a runner as "version deprecated" and stops the whole scale set.
die() { say "$*, the runner is not started"; exit 1; }

publish() { # FILE LINE
  new=/etc/podinfo/.$1.new
  { printf %b "${2:+$2\n}" >"$new" && chmod 0644 "$new" && mv -f "$new" "/etc/podinfo/$1"; } ||
    say "cannot write /etc/podinfo/$1, jobs that read it will miss it"
}

# What follows PREFIX in the names of files, by number: renderD128 comes before renderD1280.
numbers() {
  for name in "$1"*; do
    name=${name#"$1"}
    case $name in '' | *[!0-9]*) ;; *) printf '%s\n' "$name" ;; esac
  done | sort -n
}

# Jobs ask /etc/group for the GID of GROUP; NODE has the real one.
know() { # GROUP NODE
  file=/etc/group gid=$(stat -Lc %g "$2") line="$1:x:$gid:"
  [ -r "$file" ] || return 0
  while IFS=: read -r name _ has _; do
    [ "$name" = "$1" ] || continue
    [ "$has" = "$gid" ] || say "/etc/group has $1 with GID $has, but $2 is of $gid: jobs that look $1 up get the wrong one"
    return 0
  done <"$file"
  [ -z "$(tail -c 1 "$file")" ] || line="\n$line"
  if [ -w "$file" ]; then
    printf '%b\n' "$line" >>"$file"
  else
    printf '%b\n' "$line" | timeout 5 sudo -n tee -a "$file" >/dev/null 2>&1
  fi || say "cannot add $1 (GID $gid) to /etc/group without sudo, jobs that look it up find nothing"
}

# Opens NODE as ROCm does; jobs get its group.
usable() { # NODE
  gid=$(stat -Lc %g "$1")
  if ! (: <>"$1"); then
    say "cannot open $1: its group is $gid, this process is in $(id -G) (see groups in the profile)"
    return 1
  fi
  # if groups
  case ${auto-}$flags' ' in
    1*" $gid "*) ;;
    1*) flags="$flags --group-add $gid" ;;
  esac
  # fi
}

prepare() {
  gpus=0 wait=0 flags='' cpus='' limit='' isolation=''
  while [ $# -gt 0 ]; do
    option=$1
    shift
    case $option in
      --) break ;;
      --gpus=*) gpus=${option#*=} ;;
      # if groups
      --group-add=nodes) auto=1 ;;
      # fi
      --group-add=*) flags="$flags --group-add ${option#*=}" ;;
      --wait-for-docker=*) wait=${option#*=} ;;
      # if credentials
      --docker-config=*) login=${option#*=} ;;
      # fi
      # if cpuset
      # The effective one, whichever version the cgroups have.
      --cpuset) cpus=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status) ;;
      # fi
      # if env
      --env=*) extra="${extra-}\n${option#*=}" ;;
      # fi
      # if rocr
      --rocr) rocr=1 ;;
      # fi
      *) say "unknown option $option, ignored" ;;
    esac
  done
  [ $# -gt 0 ] || die "no command after --"
  case $gpus:$wait in *[!0-9:]* | :* | *:) die "--gpus=$gpus --wait-for-docker=$wait: not numbers" ;; esac

  # Jobs splice gha-render-devices into `docker run`: no file is better than an empty or old one.
  rm -f "/etc/podinfo/gha-render-devices" "/etc/podinfo/gha-docker-cpu-flags"
  if [ "$gpus" -gt 0 ]; then
    minors=$( numbers "/dev/dri/renderD" ) # a blank, or Kubernetes may take it for a variable
    # ROCr's index of a GPU is its rank among the GPUs of all KFD nodes. Those of other containers count,
    # though the kernel refuses to read them; gpu_id 0 is a CPU.
    kfd=/sys/class/kfd/kfd/topology/nodes/ index=0 map=' ' ours=''
    for node in $( numbers "$kfd" ); do
      id=''
      { read -r id <"$kfd$node/gpu_id"; } 2>/dev/null || :
      [ "$id" != 0 ] || continue
      map="$map$(sed -n 's/^drm_render_minor //p' "$kfd$node/properties" 2>/dev/null):$index "
      index=$((index + 1))
    done
    for minor in $minors; do
      case $map in *" $minor:"*) ours=1 ;; esac
    done
    found=0 devices='' used=, first=''
    for minor in $minors; do
      node=/dev/dri/renderD$minor
      # A privileged runner also sees spare nodes of partitions that do not exist.
      case ${ours:+$map} in
        '' | *" $minor:"*) ;;
        *) say "$node is no GPU that KFD knows, not used"; continue ;;
      esac
      usable "$node" || continue
      found=$((found + 1)) first=${first:-$node}
      devices="$devices --device $node" used=$used$minor,
    done
    # A redirection would make a file that is not there.
    { [ -e /dev/kfd ] && usable /dev/kfd; } || die "no usable /dev/kfd, which ROCm needs"
    [ "$found" -ge "$gpus" ] || die "$gpus GPUs requested, $found usable in /dev/dri"
    [ "$found" -eq "$gpus" ] || say "$gpus GPUs requested, all $found of /dev/dri are used (privileged runner?)"
    flags=$flags$devices${cpus:+ --cpuset-cpus $cpus}
    publish gha-render-devices "${flags# }"
    know render "$first"
    for minor in $( numbers "/dev/dri/card" ); do
      know video "/dev/dri/card$minor"
      break
    done
    # if rocr
    if [ -z "${rocr-}" ] || [ -n "${ROCR_VISIBLE_DEVICES+x}" ]; then map=''; fi
    for node in $map; do
      case $used in *",${node%:*},"*) isolation=$isolation,${node#*:} ;; esac
    done
    if [ -n "$map" ] && [ -z "$isolation" ]; then
      say "no KFD topology of these GPUs in /sys: gha-gpu-isolation-settings is empty, jobs that rely on it see every GPU of the node"
    fi
    # fi
  fi
  # A docker env-file must exist. No variable is better than an empty one, which hides every GPU.
  isolation=${isolation:+ROCR_VISIBLE_DEVICES=${isolation#,}}
  # if env
  isolation=$isolation${extra-} isolation=${isolation#\\n}
  # fi
  publish gha-gpu-isolation-settings "$isolation"

  # Kubernetes says 0 where the runner requests no CPU, and jobs would start 0 threads.
  case ${KUBE_CPU_REQUEST-0} in
    0) ;;
    *[!0-9.]* | *.*.* | . | '') say "KUBE_CPU_REQUEST=$KUBE_CPU_REQUEST is no number of CPUs, there is no --cpus in gha-docker-cpu-flags" ;;
    *) limit="--cpus=$KUBE_CPU_REQUEST" ;;
  esac
  limit=$limit${cpus:+ --cpuset-cpus=$cpus}
  [ -z "$limit" ] || publish gha-docker-cpu-flags "${limit# }"

  # if credentials
  # A copy, because jobs log in to more registries. The image's own file stays.
  config=${DOCKER_CONFIG:-${HOME:-/home/runner}/.docker}/config.json
  if [ -n "${login-}" ] && [ ! -e "$config" ]; then
    (umask 077 && mkdir -p "${config%/*}" && cat "$login" >"$config") ||
      { rm -f "$config"; say "cannot copy $login to $config, docker is not logged in"; }
  fi
  # fi

  # if docker
  # Without the CLI nothing tells whether dockerd is ready, and a job brings its own later.
  if [ "$wait" -gt 0 ] && command -v docker >/dev/null; then
    try=$((wait < 5 ? wait : 5)) # a daemon may also hang
    begin=$(date +%s) said=0
    until timeout "$try" docker info >/dev/null 2>&1; do
      waited=$(($(date +%s) - begin))
      if [ "$waited" -ge "$wait" ]; then
        error=$(timeout "$try" docker info 2>&1 >/dev/null </dev/null) && break
        die "docker is not ready after $waited s ($(printf %s "${error:-no answer}" | tail -n 1))"
      elif [ "$waited" -ge $((said + 5)) ]; then
        say "waiting for docker ($waited of $wait s)"
        said=$waited
      fi
      sleep 0.2 2>/dev/null || sleep 1 # not every sleep takes a fraction
    done
  fi
  # fi
}

# As process 1 a shell ignores SIGTERM unless it traps it, and the trap runs at once only during `wait`.
# And no variable of the runner's own environment changes.
trap 'kill "${!:-}" 2>/dev/null; exit 143' TERM INT
prepare "$@" &
wait "$!" || exit
until [ "$1" = -- ]; do shift; done
shift
[ "${KUBE_CPU_REQUEST-}" != 0 ] || unset KUBE_CPU_REQUEST
# The trap ends here: a new program starts with the default for every signal that was trapped.
exec "$@"
