//! Server, library and CLI give the same response.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use arc_rocm::server::Limits;
use serde_json::Value;

use crate::server::{Server, fixtures};

fn cli(arguments: &[&str], path: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_arc-rocm"))
        .args(arguments)
        .arg("-f")
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// The patch of an answer; an empty list without.
fn patch(answer: &Value) -> Value {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    answer["response"]["patch"].as_str().map_or_else(
        || Value::Array(Vec::new()),
        |patch| serde_json::from_slice(&BASE64_STANDARD.decode(patch).unwrap()).unwrap(),
    )
}

#[test]
fn cli_answers_a_review_as_the_server() {
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    for path in fixtures() {
        let body = fs::read(&path).unwrap();
        let answer: Value = serde_json::from_str(&client.review(&body).body).unwrap();
        assert_eq!(cli(&["inject", "-o", "json"], &path), answer, "{}", path.display());
        assert_eq!(cli(&["inject", "-o", "patch"], &path), patch(&answer), "{}", path.display());
    }
}

#[test]
fn cli_patches_a_pod_as_the_server() {
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    for path in fixtures() {
        let name = path.to_str().unwrap();
        // Only ARC's own pods: the others were created by other users, which a bare pod does not say.
        if name.contains("workflow") || name.contains("impostor") {
            continue;
        }
        let answer: Value =
            serde_json::from_str(&client.review(&fs::read(&path).unwrap()).body).unwrap();
        let pod = Path::new(&name.replace(".review.", ".pod.")).to_owned();
        assert_eq!(cli(&["inject", "-o", "patch"], &pod), patch(&answer), "{name}");
    }
}

#[test]
fn rules_that_are_replaced_hold_for_the_next_review() {
    use arc_rocm::{
        inject::Config,
        inject::ControllerUsers,
        profile::{File, ProfileSet},
    };
    let server = Server::start(Limits::default());
    let mut client = server.connect();
    let body = crate::server::fixture("plain");
    let gpus = |answer: &str| {
        patch(&serde_json::from_str(answer).unwrap()).to_string().contains("--gpus=4")
    };
    assert!(!gpus(&client.review(&body).body));
    let text = "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {name: four}\n\
                spec: {extends: rocm, match: {}, gpu: {count: 4}}\n";
    let file = File { name: "four.yaml".to_owned(), text: text.to_owned() };
    let profiles = ProfileSet::compile(&[file]).unwrap();
    server.service.replace_config(Config::new(profiles, ControllerUsers::default()));
    assert!(gpus(&client.review(&body).body));
}
