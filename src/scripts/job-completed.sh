# Stops what a job has left running, with time to free the memory of its GPUs: a process that is killed
# inside a HIP call leaks it. Always 0: a clean-up must not fail a job that is done.
grace=10 # seconds from SIGTERM to SIGKILL
limit=20 # seconds for all of it

command -v docker >/dev/null || exit 0
left=$(timeout 5 docker ps --format '{{.Names}} ({{.Image}})' 2>/dev/null) || exit 0
[ -n "$left" ] || exit 0
printf 'arc-rocm: stopping what the job has left running:\n%s\n' "$left"
docker ps -q | timeout "$limit" xargs -r docker stop -t "$grace" >/dev/null ||
  echo "::warning::arc-rocm: containers of the job did not stop in $limit s"
exit 0
