//! The workflows, those to copy included.

use std::{fs, process::Command};

use serde_json::Value;

use crate::{IMAGE, assert_is_there, files, program::program, read, said, yaml};

/// Folders whose files a workflow's command may name.
const FOLDERS: [&str; 5] = [".ci/", "deploy/", "tests/", "src/", "docs/"];

fn workflows() -> Vec<(String, Value)> {
    let own = files(".github/workflows", ".yml");
    let to_copy = files("deploy/workflows", ".yml");
    assert!(own.len() >= 2 && !to_copy.is_empty());
    own.into_iter().chain(to_copy).map(|path| (path.clone(), yaml(&path))).collect()
}

fn jobs(workflow: &Value) -> impl Iterator<Item = (&String, &Value)> {
    workflow["jobs"].as_object().unwrap().iter()
}

fn steps(workflow: &Value) -> impl Iterator<Item = &Value> {
    jobs(workflow).flat_map(|(_, job)| job["steps"].as_array().unwrap())
}

#[test]
fn workflows_have_permissions_timeout_and_concurrency() {
    for (path, workflow) in workflows() {
        let permissions = workflow["permissions"].to_string();
        assert!(["{}", r#"{"contents":"read"}"#].contains(&permissions.as_str()), "{path}");
        assert!(workflow["concurrency"]["group"].is_string(), "{path}");
        assert!(workflow["on"].get("pull_request_target").is_none(), "{path}");
        for (name, job) in jobs(&workflow) {
            let minutes = job["timeout-minutes"].as_u64();
            assert!(minutes.is_some_and(|minutes| minutes <= 90), "{path}: {name}: {minutes:?}");
        }
    }
}

#[test]
fn workflow_actions_are_pinned() {
    for (path, workflow) in workflows() {
        for action in steps(&workflow).filter_map(|step| step["uses"].as_str()) {
            let (_, version) = action.split_once('@').unwrap();
            let is_digest = version.len() == 40 && version.chars().all(|c| c.is_ascii_hexdigit());
            let is_version = version.strip_prefix('v').is_some_and(|version| {
                version.starts_with(|first: char| first.is_ascii_digit())
                    && version.chars().all(|c| c.is_ascii_digit() || c == '.')
            });
            assert!(is_digest || is_version, "{path}: {action}");
        }
    }
}

#[test]
fn workflow_commands_exist() {
    let mut count = 0;
    for (path, workflow) in workflows() {
        if !path.starts_with(".github/") {
            continue;
        }
        for command in steps(&workflow).filter_map(|step| step["run"].as_str()) {
            for word in command.split(|c: char| c.is_whitespace() || "\"'<>;".contains(c)) {
                if FOLDERS.iter().any(|folder| word.starts_with(folder)) {
                    assert_is_there(word, &path);
                    count += 1;
                }
            }
        }
    }
    assert!(count >= 2, "only {count} files");
}

#[test]
fn workflow_commands_pass_shellcheck() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    for (path, workflow) in workflows() {
        for command in steps(&workflow).filter_map(|step| step["run"].as_str()) {
            assert!(!command.contains("${{"), "{path}: an expression in a script: {command}");
            let script = folder.path().join("step.sh");
            fs::write(&script, format!("#!/usr/bin/env bash\nset -eo pipefail\n{command}"))
                .unwrap();
            // IMAGE and the like come from the workflow's env.
            let output = Command::new(program("shellcheck"))
                .args(["--exclude", "SC2154"])
                .arg(&script)
                .output();
            let output = output.unwrap();
            assert!(output.status.success(), "{path}:\n{}", said(&output));
            count += 1;
        }
    }
    assert!(count >= 8, "only {count} steps");
}

#[test]
fn workflow_and_script_use_the_same_kind() {
    let script = read("deploy/kind/run.sh");
    for (path, workflow) in workflows() {
        let actions = steps(&workflow)
            .filter(|step| step["uses"].as_str().is_some_and(|uses| uses.contains("kind-action")));
        for action in actions {
            let version = action["with"]["version"].as_str().unwrap();
            let says = format!("{version} built it.");
            assert!(script.contains(&says), "{path}: kind {version}, but not in run.sh");
        }
    }
    let workflow = yaml(".github/workflows/kind.yml");
    let mut actions = steps(&workflow).filter_map(|step| step["with"]["kubectl_version"].as_str());
    let kubectl = actions.next().unwrap();
    assert!(script.contains(&format!("kindest/node:{kubectl}@sha256:")), "{kubectl}");
}

#[test]
fn workflow_image_is_the_chart_image() {
    let workflow = yaml("deploy/workflows/test-profiles.yml");
    assert_eq!(workflow["env"]["IMAGE"], IMAGE);
    let mut chart = steps(&workflow).filter(|step| step["with"]["repository"].is_string());
    let tag = concat!("v", env!("CARGO_PKG_VERSION"));
    assert_eq!(chart.next().unwrap()["with"]["ref"], tag, "another chart than the image's");
}
