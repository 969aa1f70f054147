#!/usr/bin/env bash
# Unchanged ARC on a kind cluster, with the webhook beside it: a stand-in for GitHub tells ARC's listeners of
# jobs, ARC makes runner pods, and each has to be patched. Then the suite of tests/e2e on the same
# cluster. Needs Linux with Docker; deploy/kind/README.md says more.
#
#   deploy/kind/run.sh            everything, and the cluster is deleted
#   KEEP=1 deploy/kind/run.sh     the cluster and the stand-in stay
#   SUITE=0 deploy/kind/run.sh    without the suite
set -euo pipefail
cd "$(dirname "$0")/../.."

# The image belongs to the kind release: v0.33.0 built it.
readonly NODE_IMAGE="${NODE_IMAGE:-kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5}"
readonly CLUSTER="${CLUSTER:-arc-rocm}"
readonly ARC_VERSION="${ARC_VERSION:-0.14.2}"
readonly CHARTS=oci://ghcr.io/actions/actions-runner-controller-charts
# Of the stand-in, on this machine.
readonly PORT="${PORT:-8090}"
readonly GPUS_OF_A_NODE=8
# What is waited for is images that are pulled, at most.
readonly PATIENCE_SECONDS="${PATIENCE_SECONDS:-300}"
LOGS="${LOGS:-target/kind}"
readonly STAND_IN="${STAND_IN:-target/debug/github-stand-in}"
readonly PROFILE=kind
export ARC_ROCM_BIN="${ARC_ROCM_BIN:-$PWD/target/debug/arc-rocm}"

# Scale set, chart, mode, GPUs. The number is in the name as well, where the profile finds it.
readonly SCALE_SETS="
linux.rocm.gpu.kind.2-plain    standard      plain  2
linux.rocm.gpu.kind.1-dind     standard      dind   1
linux.rocm.gpu.kind.2-x-plain  experimental  plain  2
linux.rocm.gpu.kind.1-x-dind   experimental  dind   1
"

step() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Runs the command until it succeeds. Its output is shown only when that takes too long, or when it
# ends with 2: then waiting does not help.
eventually() {
  local what="$1" end=$((SECONDS + PATIENCE_SECONDS)) said code
  shift
  while true; do
    code=0
    said=$("$@" 2>&1) || code=$?
    case "$code" in
      0) break ;;
      2) fail "$what: no: $said" ;;
    esac
    [ "$SECONDS" -lt "$end" ] || fail "$what: not within $PATIENCE_SECONDS s: $said"
    sleep 2
  done
  printf '%s: yes\n' "$what"
}

stand_in_pid=
cluster_is_ours=

# What is worth reading after a failure, as files.
collect() {
  [ -n "$cluster_is_ours" ] || return 0
  kubectl get pods --all-namespaces -o wide >"$LOGS/pods.txt" 2>&1 || true
  kubectl get pods --namespace arc-runners -o yaml >"$LOGS/runners.yaml" 2>&1 || true
  kubectl get ephemeralrunners,autoscalingrunnersets --all-namespaces -o yaml >"$LOGS/arc.yaml" 2>&1 || true
  kubectl get events --all-namespaces --sort-by=.lastTimestamp >"$LOGS/events.txt" 2>&1 || true
  kubectl logs --namespace arc-rocm --selector app.kubernetes.io/name=arc-rocm --tail -1 >"$LOGS/arc-rocm.log" 2>&1 || true
  kubectl logs --namespace arc-systems --selector app.kubernetes.io/part-of=gha-rs-controller --tail -1 >"$LOGS/arc-controller.log" 2>&1 || true
}

finish() {
  local code=$?
  trap - EXIT
  if [ "$code" -ne 0 ]; then
    step "it failed; what may tell why goes to $LOGS"
    collect
  fi
  if [ "${KEEP:-0}" = 1 ]; then
    printf '\nkept: the cluster (kind delete cluster --name %s)' "$CLUSTER"
    printf ', KUBECONFIG=%s' "${KUBECONFIG:-none}"
    printf ', the stand-in (kill %s)\n' "${stand_in_pid:-none}"
  else
    [ -z "$stand_in_pid" ] || kill "$stand_in_pid" 2>/dev/null || true
    [ -z "$cluster_is_ours" ] || kind delete cluster --name "$CLUSTER" || true
  fi
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step "tools"
missing=()
for tool in docker kind kubectl helm git jq curl cargo; do
  command -v "$tool" >/dev/null || missing+=("$tool")
done
[ "${#missing[@]}" -eq 0 ] || fail "these programs are missing: ${missing[*]}"
docker info >/dev/null 2>&1 || fail "docker has no engine to talk to (docker info)"
! kind get clusters 2>/dev/null | grep -qx "$CLUSTER" \
  || fail "there is a cluster $CLUSTER already: kind delete cluster --name $CLUSTER"
rm -rf "$LOGS"
mkdir -p "$LOGS"
LOGS=$(cd "$LOGS" && pwd)
readonly LOGS

step "the programs of this repository"
cargo build --locked --package arc-rocm --package arc-rocm-e2e --bins

step "the cluster"
KUBECONFIG="$LOGS/kubeconfig"
export KUBECONFIG
cluster_is_ours=yes
kind create cluster --name "$CLUSTER" --image "$NODE_IMAGE" --config deploy/kind/cluster.yaml --wait 180s

step "GPUs that are only counted, $GPUS_OF_A_NODE on each worker"
for node in $(kubectl get nodes --selector pytorch=yes --output name); do
  # The kubelet would bring allocatable into line by itself, some time later.
  kubectl patch "$node" --subresource=status --type=json --patch "[
    {\"op\": \"add\", \"path\": \"/status/capacity/amd.com~1gpu\", \"value\": \"$GPUS_OF_A_NODE\"},
    {\"op\": \"add\", \"path\": \"/status/allocatable/amd.com~1gpu\", \"value\": \"$GPUS_OF_A_NODE\"}
  ]"
done

step "the image, under the name that the chart has"
deploy/release/image "${PROGRAM:-$(deploy/release/program)}" "$LOGS/arc-rocm.tar"
kind load image-archive "$LOGS/arc-rocm.tar" --name "$CLUSTER"

step "the webhook, as deploy/README.md says"
"$ARC_ROCM_BIN" profiles check deploy/kind/profiles.yaml
helm install arc-rocm deploy/helm/arc-rocm --namespace arc-rocm --create-namespace \
  --wait --timeout "${PATIENCE_SECONDS}s"
kubectl apply -f deploy/kind/profiles.yaml
kubectl wait --for=condition=Accepted --timeout "${PATIENCE_SECONDS}s" -f deploy/kind/profiles.yaml

step "the stand-in for GitHub, on the gateway of kind's network"
gateways=$(docker network inspect kind --format '{{range .IPAM.Config}}{{println .Gateway}}{{end}}')
gateway=$(grep -m 1 -E '^[0-9]+(\.[0-9]+){3}$' <<<"$gateways") || fail "the network kind has no IPv4 gateway"
export ARC_ROCM_E2E_HOST="$gateway"
readonly GITHUB="http://$gateway:$PORT"
"$STAND_IN" --listen "$gateway:$PORT" >"$LOGS/github.out" 2>"$LOGS/github.log" &
stand_in_pid=$!
eventually "it answers at $GITHUB" curl -fsS "$GITHUB/control/state"

step "ARC $ARC_VERSION, its charts as they are"
helm install arc "$CHARTS/gha-runner-scale-set-controller" --version "$ARC_VERSION" \
  --namespace arc-systems --create-namespace --wait --timeout "${PATIENCE_SECONDS}s"

# Installs a scale set: name, chart, mode.
install_scale_set() {
  local name="$1" chart="$2" mode="$3"
  local values=()
  case "$chart" in
    standard)
      chart=gha-runner-scale-set
      values+=(--set "githubConfigUrl=$GITHUB/arc-rocm" --set githubConfigSecret.github_token=any)
      values+=(--set minRunners=1 --set maxRunners=2)
      [ "$mode" = plain ] || values+=(--set "containerMode.type=$mode")
      ;;
    experimental)
      chart=gha-runner-scale-set-experimental
      values+=(--set "auth.url=$GITHUB/arc-rocm" --set auth.githubToken=any)
      values+=(--set scaleset.minRunners=1 --set scaleset.maxRunners=2)
      [ "$mode" = plain ] || values+=(--set "runner.mode=$mode")
      ;;
    *) fail "no chart $chart" ;;
  esac
  # The experimental chart looks for no controller: it requires both.
  values+=(--set controllerServiceAccount.namespace=arc-systems --set controllerServiceAccount.name=arc-gha-rs-controller)
  helm install "$name" "$CHARTS/$chart" --version "$ARC_VERSION" \
    --namespace arc-runners --create-namespace "${values[@]}"
}

# Whether so many different runner pods of a scale set have been seen: name, number, GPUs. A pod that
# is not patched ends it at once. Pods come and go meanwhile: their runners find no GPU and no GitHub,
# and ARC makes them anew, each time a little later.
patched() {
  local name="$1" wanted="$2" verdict problems count
  verdict=$(kubectl --namespace arc-runners get pods \
    --selector "actions-ephemeral-runner=True,actions.github.com/scale-set-name=$name" --output json \
    | jq -c --arg gpus "$3" --arg profile "$PROFILE" -f deploy/kind/patched.jq) || return 1
  problems=$(jq -r '.problems[]' <<<"$verdict")
  if [ -n "$problems" ]; then
    printf '%s\n' "$problems"
    return 2
  fi
  jq -r '.names[]' <<<"$verdict" >>"$LOGS/seen-$name"
  count=$(sort -u "$LOGS/seen-$name" | wc -l)
  printf '%s pods of %s\n' "$count" "$wanted"
  [ "$count" -ge "$wanted" ]
}

# Whether ARC wants so many runners in a scale set: name, number.
runners() {
  local count
  count=$(kubectl --namespace arc-runners get ephemeralrunners \
    --selector "actions.github.com/scale-set-name=$1" --output name | wc -l)
  printf '%s runners of %s\n' "$count" "$2"
  [ "$count" -eq "$2" ]
}

# Whether nothing of ARC's is left to clean up by its controller.
no_scale_set() {
  local left
  left=$(kubectl get autoscalingrunnersets,ephemeralrunners --all-namespaces --output name) || return 1
  printf '%s\n' "$left"
  [ -z "$left" ]
}

# The stand-in's number of a scale set whose listener has come.
listening() {
  curl -fsS "$GITHUB/control/state" \
    | jq -er --arg name "$1" '.scaleSets[] | select(.name == $name and .listener != null) | .id'
}

while read -r name chart mode _ <&3; do
  [ -n "$name" ] || continue
  step "scale set $name: $chart chart, mode $mode"
  install_scale_set "$name" "$chart" "$mode"
done 3<<<"$SCALE_SETS"

step "ARC's runner pods are patched"
while read -r name _ _ gpus <&3; do
  [ -n "$name" ] || continue
  eventually "$name has its idle runner, patched" patched "$name" 1 "$gpus"
done 3<<<"$SCALE_SETS"

step "a job for each scale set: ARC's listeners ask for one more runner, and that is patched too"
while read -r name _ _ gpus <&3; do
  [ -n "$name" ] || continue
  eventually "$name has a listener" listening "$name"
  curl -fsS --data '{"count": 1}' "$GITHUB/control/scale-sets/$(listening "$name")/jobs"
  printf '\n'
  eventually "$name has two runners" runners "$name" 2
  eventually "two pods of $name were patched" patched "$name" 2 "$gpus"
done 3<<<"$SCALE_SETS"

step "no runner was refused"
kubectl get ephemeralrunners --all-namespaces
failed=$(kubectl get ephemeralrunners --all-namespaces --output json \
  | jq -r '.items[] | select(.status.reason == "InvalidPod") | .metadata.name')
[ -z "$failed" ] || fail "the API server refused the pods of: $failed"

[ "${SUITE:-1}" = 1 ] || { step "done, without the suite"; exit 0; }

step "an empty cluster for the suite: scale sets, ARC and the webhook go"
while read -r name _ <&3; do
  [ -n "$name" ] || continue
  helm uninstall "$name" --namespace arc-runners --wait --timeout "${PATIENCE_SECONDS}s"
done 3<<<"$SCALE_SETS"
eventually "no scale set is left" no_scale_set
helm uninstall arc --namespace arc-systems --wait --timeout "${PATIENCE_SECONDS}s"
# Helm leaves a chart's own CRDs where they are; the suite has its own.
kubectl get customresourcedefinitions --output name | grep 'actions\.github\.com$' \
  | xargs --no-run-if-empty kubectl delete --wait
kubectl delete mutatingwebhookconfiguration arc-rocm
helm uninstall arc-rocm --namespace arc-rocm --wait --timeout "${PATIENCE_SECONDS}s"
kubectl delete namespace arc-rocm arc-runners arc-systems

step "the suite"
export ARC_ROCM_E2E_REPORT="${ARC_ROCM_E2E_REPORT:-$LOGS/report.md}"
cargo test --locked --package arc-rocm-e2e --test e2e

step "done"
