#!/bin/bash
# Stands where the runner's own run.sh is, and behaves like it towards its caller: what it runs is a
# child in a process group of its own, SIGTERM and SIGINT become SIGINT for that group, and the exit
# code is the child's. In place of the runner it runs the script in ARC_ROCM_TEST_JOB as the runner
# runs a step: by bash -e, from a file below its work folder. Without a job it waits like an idle
# runner, and as the runner does then, it ends with 0 at a signal.

work=$HOME/_work
here=$(dirname "${BASH_SOURCE[0]}")

listen() {
  if [ -z "${ARC_ROCM_TEST_JOB:-}" ]; then
    trap 'kill "${!:-}" 2>/dev/null; exit 0' INT TERM
    echo "Listening for Jobs"
    # In the background it ignores SIGINT, and nothing here runs a trap while it is in the foreground.
    sleep infinity &
    wait "$!"
    exit
  fi
  echo "Running job: test"
  mkdir -p "$work/_temp" "$work/test/test" || exit 1
  step=$work/_temp/$$.sh
  printf '%s\n' "$ARC_ROCM_TEST_JOB" >"$step" || exit 1
  cd "$work/test/test" || exit 1
  # Not in a job's environment, which would show in what it starts.
  unset ARC_ROCM_TEST_JOB
  bash --noprofile --norc -e "$step"
  status=$?
  echo "Job test completed with exit code $status"
  exit "$status"
}

cd "$here" || exit 1
# Job control: the child gets a process group.
set -m
signaled=0
trap 'signaled=1; kill -INT -- "-$child"' INT TERM
listen &
child=$!
wait "$child"
status=$?
# The wait above ended by the signal, with a status of its own.
if [ "$signaled" -eq 1 ]; then
  wait "$child"
  status=$?
fi
echo "Exiting runner..."
exit "$status"
