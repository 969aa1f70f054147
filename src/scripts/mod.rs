//! The shell scripts that a patched pod carries in its own spec.
//!
//! Start wrapper and dind are run as `["/bin/sh", "-c", SCRIPT, NAME, ARGUMENTS...]`: no image has to hold them, and
//! a pod that was patched by an older build keeps the script it was patched with. They are POSIX
//! sh, because `/bin/sh` is dash in the runner's image and busybox ash in `docker:dind`.
//!
//! A pod gets them without comments, indentation and what its profile does not use: every byte of
//! them is in each pod, each watch of it and in etcd. Their first line names the version and the page
//! that explains them.

pub mod image;

use std::sync::LazyLock;

/// What each script begins with.
pub const FIRST_WORDS: &str = "# arc-rocm ";
/// All parts of [`start`].
pub(crate) const PARTS: [&str; 6] = ["cpuset", "credentials", "docker", "env", "groups", "rocr"];

/// A script as a pod gets it: a first line that names version and `page`, and `source` without
/// indentation, empty lines and comments. What stands between the lines `# if PART` and `# fi` is
/// there only if `parts` says so.
fn stripped(page: &str, source: &str, parts: &[(&str, bool)]) -> String {
    let mut script = format!("{FIRST_WORDS}{}, {page}\n", crate::VERSION);
    let mut is_in = true;
    for line in source.lines().map(str::trim_start) {
        if let Some(part) = line.strip_prefix("# if ") {
            is_in = parts.contains(&(part, true));
        } else if line == "# fi" {
            is_in = true;
        } else if is_in && !line.is_empty() && !line.starts_with('#') {
            // A comment after a command.
            let command = line.split_once(" # ").map_or(line, |(command, _)| command);
            script.push_str(command.trim_end());
            script.push('\n');
        }
    }
    script
}

/// Prepares a runner container, then becomes the runner.
///
/// Arguments: options, `--`, the runner's command. Without a command it ends with 1.
///
/// | option | meaning |
/// |---|---|
/// | `--gpus=N` | GPUs the container asked for; fewer usable render nodes end the script with 1 |
/// | `--group-add=GID` | first words of `gha-render-devices`, may be given several times |
/// | `--group-add=nodes` | the same with the GIDs that `/dev/kfd` and the render nodes have (part `groups`) |
/// | `--wait-for-docker=SECONDS` | longest wait for `docker info`, then 1; 0 does not wait (part `docker`) |
/// | `--docker-config=FILE` | registry credentials, copied to the docker CLI's own file if it has none (part `credentials`) |
/// | `--env=NAME=VALUE` | one more line of `gha-gpu-isolation-settings`, may be given several times (part `env`) |
/// | `--cpuset` | the runner's own cpuset goes into `gha-render-devices` and `gha-docker-cpu-flags` (part `cpuset`) |
/// | `--rocr` | `ROCR_VISIBLE_DEVICES` goes into `gha-gpu-isolation-settings`, from KFD's topology (part `rocr`) |
///
/// Of the environment it reads `KUBE_CPU_REQUEST`, a number of CPUs, and takes it away where it is 0;
/// `ROCR_VISIBLE_DEVICES`, beside which it writes no other; `DOCKER_CONFIG` and `HOME`.
///
/// Any other option is reported and ignored. The script never ends with 7, which ARC would take
/// for a deprecated runner; the command's own exit code is the container's.
pub fn start(parts: &[(&str, bool)]) -> String {
    stripped("docs/what-a-job-sees.md", include_str!("start.sh"), parts)
}

/// `$0` of [`start`].
pub const START_NAME: &str = "arc-rocm-start";

/// Ends the options of [`start`].
pub const END_OF_OPTIONS: &str = "--";

/// Runs dockerd in the dind sidecar and ends it in order on SIGTERM: containers, dockerd, data.
///
/// Arguments: dockerd's flags, passed on unchanged. The script itself reads `--host=unix://...`,
/// `--config-file=` and `--data-root=`, each only in the form with `=`. With `empties_data` it empties
/// a data root whose path on the node has the value of the variable `POD_NAME`.
pub fn dind(empties_data: bool) -> String {
    stripped("docs/profiles.md", include_str!("dind.sh"), &[("data", empties_data)])
}

/// `$0` of [`dind`].
pub const DIND_NAME: &str = "arc-rocm-dind";

/// The words after the script in a command line that runs it: `/bin/sh -c SCRIPT NAME ARGUMENTS...`, or
/// `/bin/sh FILE ARGUMENTS...`. `None` for another command line.
pub fn arguments<'l, W>(
    line: &'l [W],
    text: impl Fn(&W) -> Option<&str>,
    name: &str,
    file: &str,
) -> Option<&'l [W]> {
    let is = |word: &W, wanted: &str| text(word) == Some(wanted);
    match line {
        [shell, flag, _script, zero, rest @ ..]
            if is(shell, "/bin/sh") && is(flag, "-c") && is(zero, name) =>
        {
            Some(rest)
        }
        [shell, path, rest @ ..] if is(shell, "/bin/sh") && is(path, file) => Some(rest),
        _ => None,
    }
}

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
pub static JOB_STARTED: LazyLock<String> =
    LazyLock::new(|| stripped("docs/profiles.md", include_str!("job-started.sh"), &[]));

/// `ACTIONS_RUNNER_HOOK_JOB_COMPLETED`: stops containers that the job has left. Always 0.
pub static JOB_COMPLETED: LazyLock<String> =
    LazyLock::new(|| stripped("docs/profiles.md", include_str!("job-completed.sh"), &[]));

#[cfg(test)]
mod tests {
    use super::*;

    /// The start wrapper with all of its parts, or with none.
    fn start_with(is_in: bool) -> String {
        start(&PARTS.map(|part| (part, is_in)))
    }

    fn all() -> [(&'static str, String); 7] {
        [
            ("start.sh", start_with(true)),
            ("start.sh without parts", start_with(false)),
            ("dind.sh", dind(true)),
            ("dind.sh without parts", dind(false)),
            ("job-started.sh", JOB_STARTED.clone()),
            ("job-completed.sh", JOB_COMPLETED.clone()),
            ("the command that writes hooks", WRITE_HOOKS.to_owned()),
        ]
    }

    #[test]
    fn scripts_lose_comments_and_indentation_only() {
        const SOURCE: &str = "# About\n\nif a; then # why\n    b '#'  $#\n  # more\nfi\n";
        let script = stripped("page", SOURCE, &[]);
        assert_eq!(script.split_once('\n').unwrap().1, "if a; then\nb '#'  $#\nfi\n");
    }

    #[test]
    fn scripts_have_the_parts_that_are_asked_for() {
        const SOURCE: &str = "a\n  # if one\n  b\n  # fi\nc\n# if two\nd\n# fi\ne\n";
        for (one, two, lines) in [
            (false, false, "a\nc\ne\n"),
            (true, false, "a\nb\nc\ne\n"),
            (false, true, "a\nc\nd\ne\n"),
            (true, true, "a\nb\nc\nd\ne\n"),
        ] {
            let script = stripped("page", SOURCE, &[("two", two), ("one", one)]);
            assert!(script.ends_with(&format!("\n{lines}")), "{script}");
        }
    }

    #[test]
    fn scripts_have_every_part_that_is_written() {
        for (source, whole) in
            [(include_str!("start.sh"), start_with(true)), (include_str!("dind.sh"), dind(true))]
        {
            let is_text = |line: &&str| !line.is_empty() && !line.starts_with('#');
            let lines = source.lines().map(str::trim_start).filter(is_text).count();
            assert_eq!(whole.lines().count(), lines + 1, "{whole}");
        }
    }

    #[test]
    fn scripts_begin_with_version_and_page() {
        for (name, script) in all().into_iter().take(6) {
            let (first, rest) = script.split_once('\n').unwrap();
            let page = first.strip_prefix(&format!("{FIRST_WORDS}{}, ", crate::VERSION)).unwrap();
            assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(page).exists(), "{page}");
            assert!(!rest.contains("\n#") && !rest.contains("\n "), "{name}: {rest}");
        }
    }

    /// Kubernetes replaces `$(NAME)` in a command by the variable NAME and `$$` by `$`
    /// (`third_party/forked/golang/expansion`), before any shell sees it.
    #[test]
    fn kubernetes_own_expansion_leaves_the_scripts_alone() {
        for (script_name, script) in all() {
            assert!(!script.contains("$$"), "{script_name}");
            for (start, _) in script.match_indices("$(") {
                let name = script[start + 2..].split(')').next().unwrap();
                assert!(name.contains(' '), "{script_name}: $({name}) could be a variable");
            }
        }
    }
}
