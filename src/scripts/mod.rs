//! The shell scripts that a patched pod carries in its own spec.
//!
//! Start wrapper and dind are run as `["/bin/sh", "-c", SCRIPT, NAME, ARGUMENTS...]`: no image has to hold them, and
//! a pod that was patched by an older build keeps the script it was patched with. They are POSIX
//! sh, because `/bin/sh` is dash in the runner's image and busybox ash in `docker:dind`.
//!
//! A pod gets them without comments and indentation: every byte of them is in each pod, each watch of
//! it and in etcd. Their first line names the version and the page that explains them.

/// The script of a file, as a pod gets it.
macro_rules! stripped {
    ($file:literal, $page:literal) => {{
        const SOURCE: &str = include_str!($file);
        const TITLE: &str = concat!("# arc-rocm ", env!("CARGO_PKG_VERSION"), ", ", $page, "\n");
        const LENGTH: usize = strip::<0>(TITLE, SOURCE).1;
        const BYTES: [u8; LENGTH] = strip::<LENGTH>(TITLE, SOURCE).0;
        match std::str::from_utf8(&BYTES) {
            Ok(text) => text,
            Err(_) => "",
        }
    }};
}

/// `title`, and `source` without indentation, empty lines and comments: what begins with `#`, or with
/// ` # ` after a command. Returns as many bytes as fit, and how many there are.
#[expect(clippy::indexing_slicing, reason = "a wrong index fails the build")]
const fn strip<const LENGTH: usize>(title: &str, source: &str) -> ([u8; LENGTH], usize) {
    let (title, source) = (title.as_bytes(), source.as_bytes());
    let (mut out, mut length) = ([0; LENGTH], 0);
    while length < title.len() {
        if length < LENGTH {
            out[length] = title[length];
        }
        length += 1;
    }
    let mut at = 0;
    while at < source.len() {
        while at < source.len() && source[at] == b' ' {
            at += 1;
        }
        let start = at;
        let mut end = at;
        let mut is_comment = false;
        while at < source.len() && source[at] != b'\n' {
            let is_first = at == start || at > 0 && source[at - 1] == b' ';
            let is_last = at == start || at + 1 < source.len() && source[at + 1] == b' ';
            is_comment |= source[at] == b'#' && is_first && is_last;
            if !is_comment && source[at] != b' ' {
                end = at + 1;
            }
            at += 1;
        }
        at += 1;
        let mut copied = start;
        while end > start && copied <= end {
            if length < LENGTH {
                out[length] = if copied == end { b'\n' } else { source[copied] };
            }
            length += 1;
            copied += 1;
        }
    }
    (out, length)
}

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
pub const START: &str = stripped!("start.sh", "docs/what-a-job-sees.md");

/// `$0` of [`START`].
pub const START_NAME: &str = "arc-rocm-start";

/// Runs dockerd in the dind sidecar and ends it in order on SIGTERM: containers, dockerd, data.
///
/// Arguments: dockerd's flags, passed on unchanged. The script itself reads `--host=unix://...`,
/// `--data-root=`, `--exec-root=` and `--pidfile=`, each only in the form with `=`.
pub const DIND: &str = stripped!("dind.sh", "docs/profiles.md");

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
pub const JOB_STARTED: &str = stripped!("job-started.sh", "docs/profiles.md");

/// `ACTIONS_RUNNER_HOOK_JOB_COMPLETED`: stops containers that the job has left. Always 0.
pub const JOB_COMPLETED: &str = stripped!("job-completed.sh", "docs/profiles.md");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_lose_comments_and_indentation_only() {
        const SOURCE: &str = "# About\n\nif a; then # why\n    b '#'  $#\n  # more\nfi\n";
        const STRIPPED: &str = "#!\nif a; then\nb '#'  $#\nfi\n";
        let (bytes, length) = strip::<{ STRIPPED.len() }>("#!\n", SOURCE);
        assert_eq!((bytes.as_slice(), length), (STRIPPED.as_bytes(), STRIPPED.len()));
    }

    #[test]
    fn scripts_begin_with_version_and_page() {
        for script in [START, DIND, JOB_STARTED, JOB_COMPLETED] {
            let (first, rest) = script.split_once('\n').unwrap();
            let page = first.strip_prefix(&format!("# arc-rocm {}, ", crate::VERSION)).unwrap();
            assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(page).exists(), "{page}");
            assert!(!rest.contains("\n#") && !rest.contains("\n "), "{rest}");
        }
    }

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
