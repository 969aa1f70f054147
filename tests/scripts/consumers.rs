//! How public workflows read `gha-render-devices` and `gha-gpu-isolation-settings`, one function
//! per reader. Each returns what the reader would hand to docker, or panics as the reader fails.

use std::{fs, path::Path, process::Command};

use crate::world::program;

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

/// TransformerEngine: `test -n`, then the number of GPUs by `grep -oE`.
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

/// `docker run --env-file`: one `NAME=VALUE` per line, no quotes, `#` for comments.
pub(crate) fn docker_env_file(file: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().map(str::trim_start).filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            assert!(!name.is_empty() && !name.contains(char::is_whitespace), "{line:?}");
            (name.to_owned(), value.to_owned())
        })
        .collect()
}
