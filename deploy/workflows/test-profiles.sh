#!/usr/bin/env bash
# Tests the profiles of this repository without a cluster. To copy to tests/run.sh; what it reads is
# described in docs/testing-profiles.md of arc-rocm. Needs arc-rocm and jq.
#
#   tests/run.sh              tests
#   UPDATE=1 tests/run.sh     writes tests/golden anew; look at the difference before it is committed
set -euo pipefail
cd "$(dirname "$0")/.."

failures=0
fault() {
  printf 'FAULT: %s\n' "$*" >&2
  failures=$((failures + 1))
}

# Each problem with file, line and column. Nothing else makes sense before these are gone.
arc-rocm profiles check profiles/

# tests/scale-sets.txt: which profile and how many GPUs a plain runner of a scale set gets.
while read -r scale_set profile gpus; do
  case "$scale_set" in '' | '#'*) continue ;; esac
  if explained=$(arc-rocm explain --profiles profiles/ --scale-set "$scale_set" --output json); then
    got=$(jq -r '"\(.profile // .reason) \(.gpus // 0)"' <<<"$explained")
    [ "$got" = "$profile $gpus" ] || fault "$scale_set: expected $profile $gpus, got $got"
  else
    # There is something to look at, and explain says what.
    arc-rocm explain --profiles profiles/ --scale-set "$scale_set" >&2 || true
    fault "$scale_set: see above"
  fi
done <tests/scale-sets.txt

# tests/pods: pods as they are before the webhook. tests/golden: the same afterwards. The status
# annotation is left out, because its digest changes with every change of a profile.
mkdir -p tests/golden
for pod in tests/pods/*.yaml; do
  name=$(basename "$pod")
  if ! injected=$(arc-rocm inject --profiles profiles/ --filename "$pod"); then
    fault "$pod is skipped"
    continue
  fi
  injected=$(sed '/^ *arc-rocm\.dev\/status:/d' <<<"$injected")
  if [ "${UPDATE:-0}" = 1 ]; then
    printf '%s\n' "$injected" >"tests/golden/$name"
  else
    diff -u "tests/golden/$name" - <<<"$injected" || fault "$pod: not as in tests/golden/$name"
  fi
done

if [ "$failures" -gt 0 ]; then
  printf '%s faults\n' "$failures" >&2
  exit 1
fi
printf 'all as expected\n'
