# Fails a job at its start, with a reason in its log, if others hold memory of its GPUs: it would run
# out of it later for no visible reason. ARC_ROCM_MAX_USED_VRAM_MIB is what an idle GPU may use,
# ARC_ROCM_GPUS how many the runner asked for. More are in sight of a privileged runner, and not known
# to be its own.
limit=$((${ARC_ROCM_MAX_USED_VRAM_MIB:-1024} * 1048576))
tries=30 # seconds: memory of the job before is still being freed

# rocm-smi reads the same files, but for all GPUs of the node. Partitions have none.
full() { # prints the GPUs above the limit
  for node in /dev/dri/renderD*; do
    used=''
    { read -r used </sys/class/drm/"${node##*/}"/device/mem_info_vram_used; } 2>/dev/null || continue
    case $used in '' | *[!0-9]*) continue ;; esac
    [ "$used" -le "$limit" ] || printf ' %s (%s MiB used)' "${node##*/}" "$((used / 1048576))"
  done
}

set -- /dev/dri/renderD*
[ $# -le "${ARC_ROCM_GPUS:-0}" ] || exit 0
while :; do
  held=$(full "")
  [ -n "$held" ] || exit 0
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || break
  sleep 1
done
echo "::error::arc-rocm: memory of this runner's GPUs is held by others:$held"
exit 1
