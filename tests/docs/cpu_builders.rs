//! Examples of CPU builders: README's first one once asked for 450000Mi and for the seed's nodes.

use std::{fs, process::Command};

use serde_json::Value;

use crate::{Page, pages, root};

/// The profile that the examples have.
const NAME: &str = "cpu-builders";
/// A scale set that each example matches.
const SCALE_SET: &str = "build-only-noble";
/// What only a GPU runner of the seed has.
const SEEDS: [&str; 6] =
    ["450000Mi", "225000Mi", "pytorch", "amd.com/gpu", "supplementalGroups", "nodeSelector"];

/// The captured runner of a plain scale set, as one of [`SCALE_SET`].
fn plain() -> String {
    let path = root().join("tests/fixtures/arc/plain.pod.json");
    fs::read_to_string(path).unwrap().replace("linux.rocm.gpu.gfx942.2", SCALE_SET)
}

/// The pod that `inject` makes of the plain runner with the profiles of `text`.
fn patched(text: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pod.json"), plain()).unwrap();
    fs::write(folder.path().join("fleet.yaml"), text).unwrap();
    let mut inject = Command::new(env!("CARGO_BIN_EXE_arc-rocm"));
    inject.args(["inject", "-f", "pod.json", "--profiles", "fleet.yaml", "-o", "json"]);
    let output = inject.current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn cpu_builders_examples_give_pods_without_gpu_amounts() {
    let mut count = 0;
    for file in pages().iter().flat_map(Page::profiles) {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&file.text).unwrap();
        let Some(profile) = documents.iter().find(|one| one["metadata"]["name"] == NAME) else {
            continue;
        };
        let pod = patched(&file.text);
        let status = pod["metadata"]["annotations"]["arc-rocm.dev/status"].as_str().unwrap();
        assert!(status.contains(NAME), "{}: {status}", file.name);
        let runner = &pod["spec"]["containers"][0];
        assert_eq!(runner["resources"], profile["spec"]["runner"]["resources"], "{}", file.name);
        let text = pod.to_string();
        for seeds in SEEDS {
            assert!(!text.contains(seeds), "{} has {seeds}: {text}", file.name);
        }
        count += 1;
    }
    assert!(count >= 3, "only {count} examples");
}

#[test]
fn plain_runner_of_the_seed_has_what_the_examples_must_not() {
    let seeds = "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {name: x}\n\
                 spec: {extends: rocm, match: {scaleSets: [build-only-*]}}\n";
    let text = patched(seeds).to_string();
    for one in SEEDS.iter().filter(|one| **one != "225000Mi") {
        assert!(text.contains(one), "no {one}: {text}");
    }
}
