# Prepares a ROCm runner, then becomes the command behind "--".
# Every variable is called arc_*, so that none of the runner's own environment changes.
say() { printf 'arc-rocm: %s\n' "$*" >&2; }
# Always 1: ARC reads 7 from a runner as "version deprecated" and stops the whole scale set.
die() { say "$*, the runner is not started"; exit 1; }

# As process 1 a shell ignores SIGTERM unless it traps it, and the trap runs at once only during `wait`.
trap 'kill "${!:-}" 2>/dev/null; exit 143' TERM INT
interruptibly() { "$@" & wait "$!"; }

unset IFS
arc_gpus=0 arc_wait=0 arc_podinfo=/etc/podinfo arc_root='' arc_flags=''
while [ $# -gt 0 ]; do
  arc_option=$1
  shift
  case $arc_option in
    --) break ;;
    --gpus=*) arc_gpus=${arc_option#*=} ;;
    --group-add=*) arc_flags="$arc_flags --group-add ${arc_option#*=}" ;;
    --wait-for-docker=*) arc_wait=${arc_option#*=} ;;
    --podinfo=*) arc_podinfo=${arc_option#*=} ;;
    --root=*) arc_root=${arc_option#*=} ;; # holds dev/dri: for tests
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

# By number: renderD128 comes before renderD1280.
render_minors() {
  for arc_node in "$arc_root"/dev/dri/renderD*; do
    arc_node=${arc_node##*/renderD}
    case $arc_node in '' | *[!0-9]*) ;; *) printf '%s\n' "$arc_node" ;; esac
  done | sort -n
}

# Jobs splice gha-render-devices into `docker run`: rather no file than an empty or an old one.
rm -f "$arc_podinfo/gha-render-devices"
if [ "$arc_gpus" -gt 0 ]; then
  arc_found=0
  for arc_minor in $(render_minors); do
    arc_node=/dev/dri/renderD$arc_minor
    if (: <>"$arc_root$arc_node"); then
      arc_found=$((arc_found + 1)) arc_flags="$arc_flags --device $arc_node"
    else
      say "cannot open $arc_node: its group is $(stat -Lc %g "$arc_root$arc_node"), this process is in $(id -G)"
    fi
  done
  [ "$arc_found" -ge "$arc_gpus" ] || die "$arc_gpus GPUs requested, $arc_found usable in /dev/dri"
  [ "$arc_found" -eq "$arc_gpus" ] || say "$arc_gpus GPUs requested, all $arc_found of /dev/dri are used (privileged runner?)"
  publish gha-render-devices "${arc_flags# }
"
fi
# A docker env-file that has to exist. No ROCR_VISIBLE_DEVICES: an empty value would hide every GPU.
publish gha-gpu-isolation-settings ''

if [ "$arc_wait" -gt 0 ] && ! command -v docker >/dev/null; then
  say "no docker in PATH, not waiting for it"
elif [ "$arc_wait" -gt 0 ]; then
  arc_try=$((arc_wait < 5 ? arc_wait : 5)) # a daemon may also hang
  arc_begin=$(date +%s) arc_said=-10
  until interruptibly timeout "$arc_try" docker info >/dev/null 2>&1; do
    arc_waited=$(($(date +%s) - arc_begin))
    if [ "$arc_waited" -ge "$arc_wait" ]; then
      arc_error=$(timeout "$arc_try" docker info 2>&1 >/dev/null </dev/null) && break
      die "docker is not ready after $arc_waited s ($(printf %s "${arc_error:-no answer}" | tail -n 1))"
    elif [ "$arc_waited" -ge $((arc_said + 10)) ]; then
      say "waiting for docker ($arc_waited of $arc_wait s)"
      arc_said=$arc_waited
    fi
    interruptibly sleep 1
  done
fi

trap - TERM INT
exec "$@"
