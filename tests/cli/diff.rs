//! `diff`: pods of two files by meaning.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{Ran, fixture, run};

/// The hand-written pod of the seed, with the seed's own amounts.
fn seed() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/suite/seed.yaml");
    let mut text = fs::read_to_string(path).unwrap();
    for (of_test, seeds) in [
        ("{cpu: 100m, memory: 64Mi,", "{cpu: 40000m, memory: 450000Mi, ephemeral-storage: 100G,"),
        ("limits: {amd.com", "limits: {ephemeral-storage: 100G, amd.com"),
        (", arc-rocm.dev/test-node: real", ""),
        ("        - {name: ARC_ROCM_TEST_JOB, value: JOB}\n", ""),
    ] {
        assert!(text.contains(of_test), "{of_test}");
        text = text.replace(of_test, seeds);
    }
    text
}

fn pod(stem: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(fixture(&format!("{stem}.pod.json"))).unwrap())
        .unwrap()
}

/// Runs `diff` on two objects as files.
fn diff(a: &Value, b: &Value, more: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, value: &Value| {
        let path = folder.path().join(name).to_str().unwrap().to_owned();
        fs::write(&path, value.to_string()).unwrap();
        path
    };
    let (a, b) = (path("a.json", a), path("b.json", b));
    run(&[&["diff", &a, &b], more].concat(), "")
}

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

#[test]
fn seed_and_patched_plain_runner_have_intended_differences_only() {
    let ran = run(&["diff", "-", &fixture("plain.pod.json"), "--inject"], &seed());
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let (before, digest) = ran.out.split_once(r#""digest":""#).unwrap();
    let (_, after) = digest.split_once('"').unwrap();
    insta::assert_snapshot!(format!("{before}\"digest\":\"...\"{after}"));
}

/// The pod that ARC's controller made of the scale set, as the API server had filled it in.
#[test]
fn captured_pod_is_the_same_as_its_scale_set() {
    for stem in ["plain", "dind", "kubernetes", "experimental-plain"] {
        let set = fixture(&format!("objects/autoscalingrunnerset.{stem}.json"));
        let ran = run(&["diff", &set, &fixture(&format!("{stem}.pod.json"))], "");
        assert_eq!(ran.code, Some(0), "{stem}: {}", ran.out);
        assert!(ran.out.ends_with(": the same\n"), "{stem}: {}", ran.out);
    }
}

#[test]
fn one_file_is_compared_with_what_the_webhook_makes_of_it() {
    let plain = fs::read_to_string(fixture("plain.pod.json")).unwrap();
    let ran = run(&["diff", "-"], &plain);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.out.contains("  different  spec.nodeSelector.pytorch: - | yes\n"), "{}", ran.out);
    let listener = fixture("listener.pod.json");
    let ran = run(&["diff", &listener], "");
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    assert!(ran.err.contains("skipped"), "{}", ran.err);
}

#[test]
fn profiles_without_inject_are_a_warning() {
    let plain = fixture("plain.pod.json");
    let ran = run(&["diff", &plain, &plain, "--profiles", "no-such-folder"], "");
    assert_eq!((ran.code, ran.err.lines().count()), (Some(0), 1), "{}", ran.err);
    assert!(ran.err.contains("no effect without --inject"), "{}", ran.err);
}

#[test]
fn review_is_compared_as_its_pod() {
    let ran = run(&["diff", &fixture("plain.review.json"), &fixture("plain.pod.json")], "");
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{}", ran.out);
}

#[test]
fn lists_are_paired_by_name_then_scale_set() {
    let (plain, dind) = (pod("plain"), pod("dind"));
    let mut again = plain.clone();
    again["metadata"]["name"] = "linux.rocm.gpu.gfx942.2-other-runner".into();
    again["spec"]["nodeSelector"] = json!({"pool": "x"});
    let ran = diff(&list(&[plain.clone(), dind.clone()]), &list(&[dind.clone(), again]), &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].ends_with("-b9ms2 and linux.rocm.gpu.gfx942.2-other-runner: 1 different"));
    assert_eq!(lines[1], "  different  spec.nodeSelector.pool: - | x");
    assert!(lines[2].ends_with(": the same"), "{}", ran.out);
    assert_eq!(lines.len(), 3);
}

#[test]
fn pod_without_a_pair_is_a_difference() {
    let (plain, dind) = (pod("plain"), pod("dind"));
    let both = list(&[plain.clone(), dind.clone()]);
    let ran = diff(&both, &list(std::slice::from_ref(&plain)), &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains(": the same\n") && ran.out.ends_with(": only in A\n"), "{}", ran.out);
    let ran = diff(&list(&[dind]), &both, &[]);
    assert!(ran.out.ends_with(": only in B\n"), "{}", ran.out);
}

#[test]
fn json_has_the_documented_fields() {
    let mut other = pod("plain");
    other["spec"]["containers"][0]["image"] = "example.com/runner:1".into();
    let ran = diff(&pod("plain"), &other, &["-o", "json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let printed: Value = serde_json::from_str(&ran.out).unwrap();
    let name = pod("plain")["metadata"]["name"].clone();
    assert_eq!(
        printed,
        json!({"a": name, "b": name, "differences": [{
            "path": "spec.containers[runner].image",
            "a": "ghcr.io/actions/actions-runner:latest",
            "b": "example.com/runner:1",
            "class": "different",
            "rule": null,
            "page": null,
            "note": "",
        }]})
    );
}

#[test]
fn unreadable_file_is_a_usage_error() {
    let ran = run(&["diff", &fixture("plain.pod.json"), "no-such-file.yaml"], "");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("cannot read no-such-file.yaml"), "{}", ran.err);
}
