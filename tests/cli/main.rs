//! The command line, as a process: output, exit codes, errors.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod diff;
mod doctor;
mod explain;
mod import;
mod inject;
mod plan;
mod profiles;
mod test;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The result of one call.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the program with `input` on standard input.
pub(crate) fn run(arguments: &[&str], input: &str) -> Ran {
    run_with(arguments, input, &[])
}

/// The same with environment variables.
pub(crate) fn run_with(arguments: &[&str], input: &str, variables: &[(&str, &str)]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_arc-rocm"))
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program may end without reading its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The path of a captured pod or review.
pub(crate) fn fixture(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arc").join(name);
    path.to_str().unwrap().to_owned()
}

#[test]
fn unknown_flag_is_a_usage_error() {
    assert_eq!(run(&["inject", "--no-such-flag"], "").code, Some(2));
}

/// kubectl runs a program of this name for `kubectl arc-rocm`.
#[test]
fn plugin_of_kubectl_says_how_it_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-arc_rocm");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_arc-rocm"), &plugin).unwrap();
    let output = Command::new(&plugin).args(["doctor", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("Usage: kubectl arc-rocm doctor [OPTIONS]"), "{help}");
    for flag in ["--context <", "--kubeconfig <", "-n, --namespace <"] {
        assert!(help.contains(flag), "{flag}: {help}");
    }
}

#[test]
fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(&["completions", shell], "");
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.out.contains("arc-rocm"), "{shell}");
    }
}

#[test]
fn manual_pages_are_written_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("man");
    assert_eq!(run(&["man", path.to_str().unwrap()], "").code, Some(0));
    let page = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
    assert!(page("arc-rocm.1").contains("arc\\-rocm\\-doctor(1)"), "{}", page("arc-rocm.1"));
    for (name, flag) in [("arc-rocm-serve.1", "bind"), ("arc-rocm-profiles-check.1", "server")] {
        assert!(page(name).contains(&format!("\\-\\-{flag}")), "{}", page(name));
    }
}
