# What is wrong with the runner pods of one scale set: a PodList in,
# {"names": [of the pods], "problems": [sentences]} out.
# Called with --arg gpus N, --arg profile NAME.

def problems:
  . as $pod
  | (.spec.containers[] | select(.name == "runner")) as $runner
  | [(.spec.initContainers // [])[], .spec.containers[]] as $containers
  | ((.metadata.annotations["arc-rocm.dev/status"] // "{}") | fromjson) as $status
  | (
      (select($status.profile != $profile) | "no status annotation of profile \($profile)"),
      (select(any($containers[]; .name == "dind" and .securityContext.privileged == true) | not)
        | "no privileged container dind"),
      (select(any($runner.env[]?; .name == "DOCKER_HOST") | not) | "no DOCKER_HOST in the runner"),
      (select($runner.resources.requests["amd.com/gpu"] != $gpus or $runner.resources.limits["amd.com/gpu"] != $gpus)
        | "not \($gpus) GPUs but \($runner.resources)"),
      (select(any($runner.command[]?; . == "arc-rocm-start") | not) | "no start wrapper"),
      (select(.spec.nodeSelector.pytorch != "yes") | "no nodeSelector pytorch=yes"),
      (select(.spec.restartPolicy != "Never") | "restartPolicy \(.spec.restartPolicy)")
    )
  | "\($pod.metadata.name): \(.)";

{names: [.items[].metadata.name], problems: [.items[] | problems]}
