//! How public workflows read the `gha-*` files and `KUBE_CPU_REQUEST`, one function per reader.
//! Each returns what the reader would hand to docker, or panics as the reader fails (issue 7).

use std::{fs, path::Path, process::Command};

use crate::program::program;

/// pytorch's setup-rocm, sglang, aiter, ATOM: `$(cat FILE)` unquoted in a strict bash.
pub(crate) fn bash_words(file: &Path) -> Vec<String> {
    let script = r#"set -euo pipefail
        DEVICE_FLAG=$(cat "$1")
        words=(${DEVICE_FLAG})
        printf '%s\n' "${words[@]}""#;
    let output =
        Command::new(program("bash")).args(["-c", script, "bash"]).arg(file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// pytorch again: the text becomes one line of `$GITHUB_ENV`.
pub(crate) fn github_env(file: &Path) -> String {
    let script = r#"set -eu
        echo "GPU_FLAG=--device=/dev/mem --device=/dev/kfd $(cat "$1")""#;
    let output =
        Command::new(program("bash")).args(["-c", script, "bash"]).arg(file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text:?}");
    text.trim_end().to_owned()
}

/// The triage replay of aiter and ATOM: `shlex.split`, then strict pairs.
pub(crate) fn shlex_pairs(file: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).unwrap();
    assert!(!text.contains(['\'', '"', '\\', '#']), "shlex would read {text:?} otherwise");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut pairs = Vec::new();
    for pair in words.chunks(2) {
        let [flag, value] = pair else { panic!("{pair:?} is no pair") };
        let minor = value.strip_prefix("/dev/dri/renderD");
        match *flag {
            "--device" if minor.is_some_and(|m| m.parse::<u32>().is_ok()) => {}
            "--group-add" | "--cpuset-cpus" => {}
            _ => panic!("{pair:?} is not accepted"),
        }
        pairs.push(((*flag).to_owned(), (*value).to_owned()));
    }
    pairs
}

/// `TransformerEngine`: `test -n`, then the number of GPUs by `grep -oE`.
pub(crate) fn grep_count(file: &Path) -> usize {
    let script = r#"devices=$(cat "$1") && test -n "$devices" &&
        printf '%s' "$devices" | grep -oE '/dev/dri/renderD[0-9]+' | wc -l"#;
    let output =
        Command::new(program("bash")).args(["-c", script, "bash"]).arg(file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// vLLM's Buildkite agents: the words that begin with `/dev/`.
pub(crate) fn vllm_devices(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    text.split_whitespace().filter(|word| word.starts_with("/dev/")).map(str::to_owned).collect()
}

/// All that read `gha-render-devices`, on one file: they agree on the flags, which are
/// `--group-add` for each of `gids`, `--device` for each of `minors`, then `--cpuset-cpus`.
pub(crate) fn assert_render_devices(
    file: &Path,
    gids: &[u32],
    minors: &[u32],
    cpuset: Option<&str>,
) {
    let nodes: Vec<_> = minors.iter().map(|minor| format!("/dev/dri/renderD{minor}")).collect();
    let groups = gids.iter().map(|gid| ("--group-add", gid.to_string()));
    let devices = nodes.iter().map(|node| ("--device", node.clone()));
    let cpus = cpuset.into_iter().map(|list| ("--cpuset-cpus", list.to_owned()));
    let pairs: Vec<_> =
        groups.chain(devices).chain(cpus).map(|(flag, value)| (flag.to_owned(), value)).collect();
    let words: Vec<_> =
        pairs.iter().flat_map(|(flag, value)| [flag.clone(), value.clone()]).collect();
    let line = words.join(" ");

    assert_eq!(fs::read_to_string(file).unwrap(), format!("{line}\n"));
    assert_eq!(bash_words(file), words);
    assert_eq!(github_env(file), format!("GPU_FLAG=--device=/dev/mem --device=/dev/kfd {line}"));
    assert_eq!(shlex_pairs(file), pairs);
    assert_eq!(grep_count(file), minors.len());
    assert_eq!(vllm_devices(file), nodes);
}

/// `TheRock`'s thread limits: what is before the decimal point.
pub(crate) fn threads(request: &str) -> String {
    let script = "set -euo pipefail; echo \"${1%.*}\"";
    let output =
        Command::new(program("bash")).args(["-c", script, "bash", request]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// docker's own reading of `--cpus` and `--cpuset-cpus`, each `--FLAG=VALUE`, as pytorch splices
/// them: whole CPUs and the list of CPUs.
pub(crate) fn docker_cpu_flags(file: &Path) -> (Option<f64>, Option<String>) {
    let text = fs::read_to_string(file).unwrap();
    assert_eq!((text.lines().count(), text.ends_with('\n')), (1, true), "{text:?}");
    let (mut cpus, mut cpuset) = (None, None);
    for word in bash_words(file) {
        match word.split_once('=').unwrap() {
            ("--cpus", value) => cpus = Some(value.parse().unwrap()),
            ("--cpuset-cpus", value) => cpuset = Some(value.to_owned()),
            _ => panic!("{word} is not accepted"),
        }
    }
    (cpus, cpuset)
}

/// `ROCr`'s reading of `ROCR_VISIBLE_DEVICES` in a container with `gpus` GPUs: the list ends at the
/// first word that is twice there or out of range, and an empty one has no GPU at all.
pub(crate) fn rocr_visible(variables: &[(String, String)], gpus: usize) -> Vec<usize> {
    let [(name, value)] = variables else {
        assert!(variables.is_empty(), "{variables:?}");
        return (0..gpus).collect();
    };
    assert_eq!(name, "ROCR_VISIBLE_DEVICES");
    let mut visible = Vec::new();
    for word in value.split(',') {
        match word.parse() {
            Ok(index) if index < gpus && !visible.contains(&index) => visible.push(index),
            _ => break,
        }
    }
    visible
}

/// `docker run --env-file`: one `NAME=VALUE` per line, no quotes, `#` for comments.
pub(crate) fn docker_env_file(file: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().map(str::trim_start).filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines
        .map(|line| {
            // A bare name would take the value that the docker CLI itself has.
            let (name, value) = line.split_once('=').unwrap();
            assert!(!name.is_empty() && !name.contains(char::is_whitespace), "{line:?}");
            assert!(!value.contains(['"', '\'', ' ']), "docker would keep them: {line:?}");
            (name.to_owned(), value.to_owned())
        })
        .collect()
}
