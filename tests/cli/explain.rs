//! `explain`: the profile and why, what it changes, conflicts, unused profiles.

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
fn scale_set_name_is_explained_as_text() {
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
fn json_has_changes_conflicts_and_unused_profiles() {
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
    let others = out["others"].as_array().unwrap();
    let fleet = others.iter().find(|other| other["profile"] == "fleet").unwrap();
    assert_eq!(fleet["why"], "match.scaleSets does not match");

    let ran = run(&["explain", "-f", &review, "-o", "json"], "");
    let out: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(ran.code, Some(1), "conflicts are findings");
    assert_eq!(
        (&out["outcome"], &out["profile"], &out["gpus"]),
        (&"patched".into(), &"rocm".into(), &2.into())
    );
    assert_eq!(out["resources"]["requests"]["amd.com/gpu"], "2");
    assert_eq!(out["resources"]["requests"]["cpu"], "4", "the scale set's own");
    assert_eq!(out["problems"], serde_json::json!([]));
    assert_eq!(out["conflicts"][0]["code"], "dind-left-out");
    assert_eq!(out["conflicts"][0]["winner"], "scale set");
    assert!(out["changes"].as_array().unwrap().iter().all(|change| change["reason"].is_string()));
}

#[test]
fn conflicts_and_kept_items_are_explained_as_text() {
    let ran = run(&["explain", "-f", &fixture("author-overrides.review.json")], "");
    assert_eq!(ran.code, Some(1), "conflicts are findings");
    insta::assert_snapshot!(ran.out);
}

#[test]
fn intended_conflicts_are_no_findings() {
    let text = std::fs::read_to_string(fixture("author-overrides.pod.json")).unwrap();
    let mut pod: Value = serde_json::from_str(&text).unwrap();
    pod["metadata"]["annotations"]["arc-rocm.dev/overrides"] =
        "spec.containers[runner], spec.nodeSelector.pytorch".into();
    let ran = run(&["explain", "-f", "-"], &pod.to_string());
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(!ran.out.contains("  conflicts "), "{}", ran.out);
    assert!(ran.out.contains("  intended   scale set wins: spec."), "{}", ran.out);
}

#[test]
fn text_has_no_escaped_quotes() {
    for stem in ["plain", "dind", "author-overrides", "experimental-dind"] {
        let ran = run(&["explain", "-f", &fixture(&format!("{stem}.review.json"))], "");
        assert!(ran.out.contains("adds"), "{stem}: {}", ran.err);
        assert!(!ran.out.contains('\\'), "{stem}: {}", ran.out);
    }
}

#[test]
fn scale_set_object_is_explained_as_its_pod() {
    let set = fixture("objects/autoscalingrunnerset.plain.json");
    let ran = run(&["explain", "-f", &set, "-o", "json"], "");
    let set: Value = serde_json::from_str(&ran.out).unwrap();
    let ran = run(&["explain", "-f", &fixture("plain.review.json"), "-o", "json"], "");
    let pod: Value = serde_json::from_str(&ran.out).unwrap();
    for field in ["outcome", "profile", "gpus", "gpusFrom", "resources", "conflicts"] {
        assert_eq!(set[field], pod[field], "{field}");
    }
}

#[test]
fn profile_named_by_annotation_says_so() {
    let mut pod: Value =
        serde_json::from_str(&std::fs::read_to_string(fixture("plain.pod.json")).unwrap()).unwrap();
    pod["metadata"]["annotations"]["arc-rocm.dev/profile"] = "fleet".into();
    let file = profiles();
    let path = file.path().to_str().unwrap();
    let ran = run(&["explain", "-f", "-", "--profiles", path], &pod.to_string());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("named by annotation arc-rocm.dev/profile\n"), "{}", ran.out);
}

#[test]
fn runner_that_asks_for_gpus_is_the_reason_of_a_match() {
    let mut pod: Value =
        serde_json::from_str(&std::fs::read_to_string(fixture("plain.pod.json")).unwrap()).unwrap();
    pod["metadata"]["annotations"]["actions.github.com/runner-scale-set-name"] = "linux-4".into();
    pod["metadata"]["labels"]["actions.github.com/scale-set-name"] = "linux-4".into();
    pod["spec"]["containers"][0]["resources"] = serde_json::json!({"limits": {"amd.com/gpu": "4"}});
    let ran = run(&["explain", "-f", "-"], &pod.to_string());
    assert!(ran.out.contains("rocm (built-in): the runner asks for amd.com/gpu"), "{}", ran.out);
    assert!(ran.out.contains("4 of amd.com/gpu, from the pod's own resources"), "{}", ran.out);
}

#[test]
fn tie_names_the_other_profile_and_is_a_finding() {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let profile = |name: &str, pattern: &str| {
        format!(
            "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: {name}}}\n\
             spec: {{extends: rocm, match: {{organizations: [{pattern}]}}}}\n---\n"
        )
    };
    std::fs::write(file.path(), profile("a", "\"*\"") + &profile("b", "org*")).unwrap();
    let path = file.path().to_str().unwrap();
    let arguments = ["explain", "--scale-set", "gpu", "--organization", "org", "--profiles", path];
    let ran = run(&arguments, "");
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let line = "b: matches too, with the same priority; the first by name is used\n";
    assert!(ran.out.contains(line), "{}", ran.out);
}

#[test]
fn skipped_pod_has_its_reason() {
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
fn one_subject_is_required() {
    assert_eq!(run(&["explain"], "").code, Some(2));
    assert_eq!(run(&["explain", "--scale-set", "x", "--key", "a"], "").code, Some(2));
    assert_eq!(run(&["explain", "--scale-set", "Upper"], "").code, Some(2));
}

#[test]
fn values_file_is_explained_as_text() {
    let file = profiles();
    let path = file.path().to_str().unwrap();
    let values = fixture("values/author-overrides.yaml");
    let ran = run(
        &["explain", "-f", &values, "--scale-set", "linux.rocm.gpu.gfx942.2", "--profiles", path],
        "",
    );
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    insta::with_settings!({filters => vec![(regex_of(path).as_str(), "fleet.yaml")]}, {
        insta::assert_snapshot!(ran.out);
    });
}

#[test]
fn organization_beside_a_file_is_a_usage_error() {
    let values = fixture("values/plain.yaml");
    let ran = run(&["explain", "-f", &values, "--organization", "org"], "");
    assert_eq!(ran.code, Some(2));
}

#[test]
fn pod_of_a_cluster_is_named_with_its_kind() {
    for (arguments, says) in [
        (&["explain", "x"][..], "write pod/NAME"),
        (&["explain", "pod/"], "write pod/NAME"),
        (&["explain", "pod/x", "-f", "x.yaml"], "cannot be used with"),
        (&["explain", "pod/x", "--kubeconfig", "/no/such/file"], "cannot reach a cluster"),
    ] {
        let ran = run(arguments, "");
        assert_eq!(ran.code, Some(2), "{arguments:?}");
        assert!(ran.err.contains(says), "{arguments:?}: {}", ran.err);
    }
}
