//! The shell scripts that a patched pod carries in its own spec.
//!
//! Start wrapper and dind are run as `["/bin/sh", "-c", SCRIPT, NAME, ARGUMENTS...]`: no image has to hold them, and
//! a pod that was patched by an older build keeps the script it was patched with. They are POSIX
//! sh, because `/bin/sh` is dash in the runner's image and busybox ash in `docker:dind`.

/// Prepares a runner container, then becomes the runner.
///
/// Arguments: options, `--`, the runner's command. Without a command it ends with 1.
///
/// | option | meaning |
/// |---|---|
/// | `--gpus=N` | GPUs the container asked for; fewer usable render nodes end the script with 1 |
/// | `--group-add=GID` | first words of `gha-render-devices`, may be given several times |
/// | `--group-add=nodes` | the same with the GIDs that the render nodes have |
/// | `--rocr-indices` | `ROCR_VISIBLE_DEVICES` in `gha-gpu-isolation-settings`, from KFD's topology |
/// | `--cpuset` | the runner's own cpuset in `gha-render-devices` and `gha-docker-cpu-flags` |
/// | `--wait-for-docker=SECONDS` | longest wait for `docker info`, then 1; 0 does not wait |
/// | `--docker-config=FILE` | registry credentials, copied to the docker CLI's own file if it has none |
/// | `--podinfo=DIR` | where the `gha-*` files go, `/etc/podinfo` unless given |
/// | `--root=DIR` | what stands before `/dev`, `/etc/group`, `/proc` and `/sys`, for tests |
///
/// Of the environment it reads `KUBE_CPU_REQUEST`, a number of CPUs, and takes it away where it is 0;
/// `ROCR_VISIBLE_DEVICES`, beside which it writes no other; `DOCKER_CONFIG` and `HOME`.
///
/// Any other option is reported and ignored. The script never ends with 7, which ARC would take
/// for a deprecated runner; the command's own exit code is the container's.
pub const START: &str = include_str!("start.sh");

/// `$0` of [`START`].
pub const START_NAME: &str = "arc-rocm-start";

/// Runs dockerd in the dind sidecar and ends it in order on SIGTERM: containers, dockerd, data.
///
/// Arguments: dockerd's flags, passed on unchanged. The script itself reads `--host=unix://...`,
/// `--data-root=`, `--exec-root=` and `--pidfile=`, each only in the form with `=`.
pub const DIND: &str = include_str!("dind.sh");

/// `$0` of [`DIND`].
pub const DIND_NAME: &str = "arc-rocm-dind";

/// Puts the two scripts of job hooks where the runner finds them; run by an init container.
///
/// Arguments: the folder, what it writes to `job-started.sh`, and to `job-completed.sh`. The
/// runner wants the ending (`ScriptHandler`, actions/runner).
pub const WRITE_HOOKS: &str =
    "printf %s \"$2\" >\"$1/job-started.sh\" && printf %s \"$3\" >\"$1/job-completed.sh\"";

/// `$0` of [`WRITE_HOOKS`].
pub const WRITE_HOOKS_NAME: &str = "arc-rocm-job-hooks";

/// `ACTIONS_RUNNER_HOOK_JOB_STARTED`: 1 when a GPU has more memory in use than
/// `ARC_ROCM_MAX_USED_VRAM_MIB` (in MiB), which fails the job, else 0. Waits up to 30 s for it.
pub const JOB_STARTED: &str = include_str!("job-started.sh");

/// `ACTIONS_RUNNER_HOOK_JOB_COMPLETED`: stops containers that the job has left. Always 0.
pub const JOB_COMPLETED: &str = include_str!("job-completed.sh");

#[cfg(test)]
mod tests {
    use super::*;

    /// Kubernetes replaces `$(NAME)` in a command by the variable NAME and `$$` by `$`
    /// (`third_party/forked/golang/expansion`), before any shell sees it.
    #[test]
    fn kubernetes_own_expansion_leaves_the_scripts_alone() {
        for script in [START, DIND, WRITE_HOOKS, JOB_STARTED, JOB_COMPLETED] {
            assert!(!script.contains("$$"));
            for (start, _) in script.match_indices("$(") {
                let name = script[start + 2..].split(')').next().unwrap();
                assert!(name.contains(' '), "$({name}) could be a variable");
            }
        }
    }
}
