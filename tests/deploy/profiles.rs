//! Testing profiles in a repository of one's own: the page's example, by `arc-rocm test`.

use std::{
    env, fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{ARC_ROCM, blocks, program::program, root, said};

const PAGE: &str = "docs/testing-profiles.md";

/// A repository as the page describes it, with what is on the page.
fn mk_repository() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::create_dir_all(path.join("profiles")).unwrap();
    fs::create_dir_all(path.join("tests/pods")).unwrap();
    let yaml = blocks(PAGE, "yaml");
    for (file, text) in
        ["profiles/fleet.yaml", "tests/fleet.test.yaml", "tests/pods/plain.yaml"].iter().zip(&yaml)
    {
        fs::write(path.join(file), text).unwrap();
    }
    folder
}

fn path_with_us() -> String {
    let ours = Path::new(ARC_ROCM).parent().unwrap();
    format!("{}:{}", ours.display(), env::var("PATH").unwrap())
}

fn run(repository: &TempDir, update: bool) -> Output {
    let mut command = Command::new(ARC_ROCM);
    command.args(["test", "tests/"]).args(update.then_some("--update"));
    command.current_dir(repository.path()).output().unwrap()
}

fn replace(repository: &TempDir, file: &str, from: &str, to: &str) {
    let path = repository.path().join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn profiles_page_example_passes() {
    let repository = mk_repository();
    let missing = run(&repository, false);
    assert!(!missing.status.success(), "no golden file, and no fault: {}", said(&missing));
    let written = run(&repository, true);
    assert!(written.status.success(), "{}", said(&written));
    let golden = fs::read_to_string(repository.path().join("tests/golden/plain.yaml")).unwrap();
    assert!(golden.contains("amd.com/gpu: \"2\""), "{golden}");
    assert!(!golden.contains("arc-rocm.dev/status"), "{golden}");
    let passed = run(&repository, false);
    assert!(passed.status.success(), "{}", said(&passed));
}

#[test]
fn profiles_change_fails_until_the_golden_has_it() {
    let repository = mk_repository();
    run(&repository, true);
    replace(&repository, "profiles/fleet.yaml", "cpu: \"10\"", "cpu: \"11\"");
    let failed = run(&repository, false);
    assert_eq!(failed.status.code(), Some(1));
    assert!(said(&failed).contains("requests[cpu]: 20 | 22"), "{}", said(&failed));
    run(&repository, true);
    assert!(run(&repository, false).status.success());
}

#[test]
fn profiles_wrong_files_and_pods_fail() {
    for (file, from, to, says) in [
        ("profiles/fleet.yaml", "perGpu: {cpu:", "perGpu: {cpus:", "unknown field"),
        ("profiles/fleet.yaml", "build-only-*", "builders-*", "expected none, got no-profile"),
        (
            "tests/fleet.test.yaml",
            "docs\n",
            "linux.rocm.gpu.x.1\n",
            "expected no-profile, got profile",
        ),
        ("profiles/fleet.yaml", "build-only-*", "build-only-*\", \"linux.rocm.*", "same priority"),
        ("tests/fleet.test.yaml", "1600000Mi", "1600001Mi", "expected \"1600001Mi\", got"),
        ("tests/fleet.test.yaml", "gpus: 8", "gpus: 4", "tests/fleet.test.yaml:5: "),
        ("tests/fleet.test.yaml", "gpus: 8", "gpu: 8", "unknown field `gpu`"),
        (
            "tests/pods/plain.yaml",
            "  ownerReferences:",
            "  finalizers: [x]\n  others:",
            "got no-owner",
        ),
    ] {
        let repository = mk_repository();
        run(&repository, true);
        replace(&repository, file, from, to);
        let failed = run(&repository, false);
        assert!(!failed.status.success(), "{to}: {}", said(&failed));
        assert!(said(&failed).contains(says), "{to}: {}", said(&failed));
    }
}

/// Each `$ arc-rocm` command of the page, with those lines below it that are what it prints.
#[test]
fn profiles_page_commands_print_the_shown_output() {
    let repository = mk_repository();
    run(&repository, true);
    let mut count = 0;
    for block in blocks(PAGE, "console") {
        let text = block.replace("\\\n", " ");
        let (command, printed) = text.split_once('\n').unwrap();
        let command = command.strip_prefix("$ ").unwrap();
        if !command.starts_with("arc-rocm ") {
            continue;
        }
        let mut shell = Command::new(program("bash"));
        shell.args(["-o", "pipefail", "-c", command]).current_dir(repository.path());
        let output = shell.env("PATH", path_with_us()).output().unwrap();
        assert!(output.status.success(), "{command}: {}", said(&output));
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(printed.is_empty() || stdout == printed, "{command}:\n{stdout}");
        count += 1;
    }
    assert!(count >= 4, "only {count} commands");
}

#[test]
fn ready_profiles_pass_their_tests() {
    let run = |arguments: &[&str]| {
        let output = Command::new(ARC_ROCM).args(arguments).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let checked = run(&["profiles", "check", "deploy/profiles"]);
    assert!(checked.ends_with(" profiles, no problems\n"), "{checked}");
    let listed: Value = serde_json::from_str(&run(&[
        "profiles",
        "list",
        "--profiles",
        "deploy/profiles",
        "-o",
        "json",
    ]))
    .unwrap();
    let suites = fs::read_dir(root().join("deploy/profiles")).unwrap();
    let suites = suites.map(|entry| entry.unwrap().path());
    let tests: String = suites
        .filter(|path| path.to_str().unwrap().ends_with(".test.yaml"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for profile in listed["profiles"].as_array().unwrap() {
        let name = profile["name"].as_str().unwrap();
        let is_for_pods = profile["matches"] == true;
        assert!(!is_for_pods || tests.contains(&format!("profile: {name}\n")), "no test of {name}");
    }
    assert!(run(&["test", "deploy/profiles"]).ends_with(" tests, 0 failed\n"));
}
