//! `plan`: what a change of profiles changes.

use std::fs;

use serde_json::{Value, json};

use crate::{Ran, fixture, run};

/// A profile for `a-{gpus}`.
fn profile(more: &str) -> String {
    format!(
        "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: fleet}}\n\
         spec: {{extends: rocm, match: {{scaleSets: [\"a-{{gpus}}\", \"*gfx942*\"]}}, {more}}}\n"
    )
}

/// Runs `plan` with the profile of now and the one to come.
fn plan(from: &str, to: &str, more: &[&str], input: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name).to_str().unwrap().to_owned();
        fs::write(&path, text).unwrap();
        path
    };
    let (from, to) = (path("from.yaml", from), path("to.yaml", to));
    run(&[&["plan", "--from", &from, "--to", &to], more].concat(), input)
}

#[test]
fn change_of_amounts_is_shown_for_their_scale_sets() {
    let to = profile("gpu: {byCount: {4: {memory: 1Gi}}}");
    let ran = plan(&profile(""), &to, &["a-2", "a-4", "other"], "");
    assert_eq!(
        ran.out,
        "a-2: profile fleet, 2 GPUs, no change\n\
         a-4: profile fleet, 4 GPUs\n  \
         spec.containers[runner].resources.requests[memory]: 900000Mi | 1Gi\n  \
         spec.initContainers[init-dind-externals].resources.requests[memory]: 900000Mi | 1Gi\n\
         other: skipped: no profile matches the pod, no change\n\
         1 of 3 scale sets would change\n"
    );
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
}

#[test]
fn unchanged_profiles_change_nothing() {
    // Other words for the same profile: its digest is another one.
    let to = profile("gpu: {perGpu: {cpu: \"20\"}}");
    let ran = plan(&profile(""), &to, &["a-2"], "");
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(0), "a-2: profile fleet, 2 GPUs, no change\n0 of 1 scale set would change\n")
    );
}

#[test]
fn lost_profile_and_new_conflicts_are_changes() {
    let overrides = fixture("author-overrides.review.json");
    let more = ["-f", &overrides, "-o", "json"];
    let ran = plan(&profile(""), &profile("gpu: {total: {memory: 8Gi, cpu: 4}}"), &more, "");
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let all: Value = serde_json::from_str(&ran.out).unwrap();
    let set = &all["scaleSets"][0];
    let warnings = |side: &str| set[side]["warnings"].to_string();
    for resource in ["requests[memory]", "requests[cpu]"] {
        assert!(warnings("from").contains(resource), "{set:#}");
        assert!(!warnings("to").contains(resource), "{set:#}");
    }
    let lost = profile("").replace("a-{gpus}", "b-{gpus}");
    let ran = plan(&profile(""), &lost, &["a-2"], "");
    assert!(
        ran.out.starts_with("a-2: profile fleet, 2 GPUs -> skipped: no profile matches"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("spec.initContainers[dind]: image="), "{}", ran.out);
    assert_eq!(ran.code, Some(1));
}

#[test]
fn pods_of_a_list_are_planned() {
    let pod: Value =
        serde_json::from_str(&fs::read_to_string(fixture("plain.pod.json")).unwrap()).unwrap();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [pod, pod, {"kind": "Service", "apiVersion": "v1"}]});
    let ran = plan(&profile(""), &profile("groups: [44]"), &["-f", "-"], &list.to_string());
    assert!(ran.out.ends_with("2 of 2 scale sets would change\n"), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("spec.securityContext.supplementalGroups: 110 | -"), "{}", ran.out);
}

#[test]
fn bad_profiles_to_come_are_an_error() {
    let ran = plan(&profile(""), &profile("grops: [1]"), &["a-2"], "");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("grops: unknown field"), "{}", ran.err);
    for arguments in [
        &["plan", "a-2"][..],
        &["plan", "--to", "x.yaml"],
        &["plan", "--cluster", "--to", "x", "a"],
    ] {
        assert_eq!(run(arguments, "").code, Some(2), "{arguments:?}");
    }
}
