//! `explain`: who won, why the others did not, what changes and why.

use serde_json::Value;

use crate::{fixture, run};

const FLEET: &str = "apiVersion: arc-rocm.dev/v1alpha1
kind: RunnerProfile
metadata: {name: fleet}
spec:
  extends: rocm
  match: {scaleSets: [\"linux.rocm.gpu.*.{gpus}\"]}
  gpu: {perGpu: {cpu: 10, memory: 200000Mi, ephemeral-storage: 100G}}
---
apiVersion: arc-rocm.dev/v1alpha1
kind: RunnerProfile
metadata: {name: cpu}
spec:
  extends: rocm
  match: {scaleSets: [\"build-*\"], namespaces: [builders]}
  gpu: {count: 0}
";

fn profiles() -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(file.path(), FLEET).unwrap();
    file
}

#[test]
fn a_scale_sets_name_is_enough() {
    let file = profiles();
    let path = file.path().to_str().unwrap();
    let ran = run(&["explain", "--scale-set", "linux.rocm.gpu.gfx942.4", "--profiles", path], "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    insta::with_settings!({filters => vec![(regex_of(path).as_str(), "fleet.yaml")]}, {
        insta::assert_snapshot!(ran.out);
    });
}

/// A path as a pattern that matches it alone.
fn regex_of(path: &str) -> String {
    path.replace('.', r"\.")
}

#[test]
fn the_json_form_has_changes_conflicts_and_losers() {
    let file = profiles();
    let path = file.path().to_str().unwrap();
    let review = fixture("author-overrides.review.json");
    let ran = run(&["explain", "-f", &review, "-o", "json", "--profiles", path], "");
    // The scale set's name has a suffix after the number, so no profile is for it.
    let out: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (ran.code, &out["outcome"], &out["reason"]),
        (Some(0), &"skipped".into(), &"no-profile".into())
    );
    assert_eq!(out["others"][0]["why"], "match.scaleSets does not match");

    let ran = run(&["explain", "-f", &review, "-o", "json"], "");
    let out: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(ran.code, Some(1), "conflicts are findings");
    assert_eq!(
        (&out["outcome"], &out["profile"], &out["gpus"]),
        (&"patched".into(), &"rocm".into(), &2.into())
    );
    assert_eq!(out["conflicts"][0]["code"], "dind-left-out");
    assert_eq!(out["conflicts"][0]["winner"], "author");
    assert!(out["changes"].as_array().unwrap().iter().all(|change| change["reason"].is_string()));
}

#[test]
fn a_pod_that_is_left_alone_has_its_reason() {
    for (name, word, code) in [
        ("listener", "actions-ephemeral-runner", 0),
        ("impostor", "EphemeralRunner", 1),
        ("kubernetes", "kubernetes mode", 0),
    ] {
        let ran = run(&["explain", "-f", &fixture(&format!("{name}.review.json"))], "");
        assert_eq!(ran.code, Some(code), "{name}: {}", ran.err);
        assert!(ran.out.contains(word), "{name}: {}", ran.out);
    }
}

#[test]
fn one_subject_is_needed_and_no_more() {
    assert_eq!(run(&["explain"], "").code, Some(2));
    assert_eq!(run(&["explain", "-f", "-", "--scale-set", "x"], "").code, Some(2));
}
