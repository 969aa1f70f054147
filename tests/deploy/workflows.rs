//! The workflows, those to copy included. `.ci/run` has actionlint and zizmor look at them as well.

use serde_json::Value;

use crate::{IMAGE, assert_is_there, files, read, yaml};

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
fn workflows_have_timeout_and_concurrency() {
    for (path, workflow) in workflows() {
        assert!(workflow["concurrency"]["group"].is_string(), "{path}");
        for (name, job) in jobs(&workflow) {
            let minutes = job["timeout-minutes"].as_u64();
            assert!(minutes.is_some_and(|minutes| minutes <= 90), "{path}: {name}: {minutes:?}");
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
