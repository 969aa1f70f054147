//! `inject`: pods, lists and reviews in, YAML, JSON, patch and diff out.

use serde_json::Value;

use crate::{fixture, run};

#[test]
fn a_pod_from_standard_input_comes_out_patched_as_yaml() {
    let pod = std::fs::read_to_string(fixture("plain.pod.json")).unwrap();
    let ran = run(&["inject", "-f", "-"], &pod);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("arc-rocm.dev/status"));
    assert!(ran.out.contains("amd.com/gpu: \"2\""));
    assert!(ran.err.contains("profile rocm, 2 GPUs"), "{}", ran.err);
    // What came out goes in again, and nothing changes.
    let again = run(&["inject", "-f", "-", "-o", "patch"], &ran.out);
    assert_eq!((again.code, again.out.trim()), (Some(0), "[]"), "{}", again.err);
}

#[test]
fn a_list_stays_a_list_and_other_objects_pass_through() {
    let pod: Value =
        serde_json::from_str(&std::fs::read_to_string(fixture("plain.pod.json")).unwrap()).unwrap();
    let map =
        serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [pod, map]});
    let ran = run(&["inject", "-f", "-", "-o", "json"], &list.to_string());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let out: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(out["kind"], "List");
    assert!(out["items"][0]["metadata"]["annotations"]["arc-rocm.dev/status"].is_string());
    assert_eq!(out["items"][1], map);
}

#[test]
fn a_list_of_one_stays_a_list() {
    let pod: Value =
        serde_json::from_str(&std::fs::read_to_string(fixture("plain.pod.json")).unwrap()).unwrap();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [pod]});
    let ran = run(&["inject", "-f", "-", "-o", "json"], &list.to_string());
    let out: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(out["kind"], "List");
}

#[test]
fn a_diff_shows_what_is_added_and_has_no_colour_in_a_pipe() {
    let ran = run(&["inject", "-f", &fixture("plain.pod.json"), "-o", "diff"], "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.out.contains("\n+      pytorch: \"yes\"\n") || ran.out.contains("pytorch: \"yes\"")
    );
    assert!(
        ran.out
            .lines()
            .any(|line| line.starts_with("-  - /home/runner/run.sh") || line.starts_with('+'))
    );
    assert!(!ran.out.contains('\u{1b}'));
}

#[test]
fn a_pod_that_looks_like_a_runner_and_gets_nothing_is_a_finding() {
    let ran = run(&["inject", "-f", &fixture("plain.pod.json"), "--as", "dev", "-o", "patch"], "");
    assert_eq!((ran.code, ran.out.trim()), (Some(1), "[]"));
    assert!(ran.err.contains("not created by ARC's controller"), "{}", ran.err);
}

#[test]
fn a_pod_that_is_none_of_our_business_is_no_finding() {
    let ran = run(&["inject", "-f", &fixture("listener.pod.json"), "-o", "patch"], "");
    assert_eq!((ran.code, ran.out.trim()), (Some(0), "[]"), "{}", ran.err);
}

#[test]
fn conflicts_are_told_without_values() {
    let ran = run(&["inject", "-f", &fixture("author-overrides.pod.json")], "");
    assert_eq!(ran.code, Some(0));
    assert!(ran.err.contains("DOCKER_HOST"));
    assert!(!ran.err.contains("elsewhere:2375"), "{}", ran.err);
}

#[test]
fn a_file_that_is_not_there_or_not_a_pod_is_a_usage_error() {
    let ran = run(&["inject", "-f", "/no/such/file"], "");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("/no/such/file"), "{}", ran.err);
    for text in ["kind: Service\napiVersion: v1\n", "{\"kind\": 7}", "a: [", "{", "- 1\n"] {
        let ran = run(&["inject", "-f", "-"], text);
        assert_eq!(ran.code, Some(2), "{text}: {}", ran.err);
    }
}

#[test]
fn a_review_is_told_and_counted_the_same_for_each_output() {
    let review = fixture("impostor.review.json");
    let of = |output: &str| run(&["inject", "-f", &review, "-o", output], "");
    let patch = of("patch");
    assert_eq!(patch.code, Some(1));
    for output in ["yaml", "json", "diff"] {
        let ran = of(output);
        assert_eq!((ran.code, &ran.err), (patch.code, &patch.err), "{output}");
    }
    let answer: Value = serde_json::from_str(&of("json").out).unwrap();
    assert_eq!(answer["response"]["auditAnnotations"]["outcome"], "skipped");
}

#[test]
fn items_of_a_pod_list_are_pods_and_come_out_as_they_went_in() {
    let text = std::fs::read_to_string(fixture("plain.pod.json")).unwrap();
    let mut pod: Value = serde_json::from_str(&text).unwrap();
    let members = pod.as_object_mut().unwrap();
    members.remove("kind");
    members.remove("apiVersion");
    let list = serde_json::json!({"apiVersion": "v1", "kind": "PodList", "items": [pod]});
    let ran = run(&["inject", "-f", "-", "-o", "json"], &list.to_string());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let out: Value = serde_json::from_str(&ran.out).unwrap();
    let item = &out["items"][0];
    assert!(item["metadata"]["annotations"]["arc-rocm.dev/status"].is_string(), "{}", ran.out);
    assert!(item.get("kind").is_none() && item.get("apiVersion").is_none());
}

#[test]
fn an_unreadable_profile_file_is_told_once() {
    let ran = run(&["inject", "-f", &fixture("plain.pod.json"), "--profiles", "/no/such"], "");
    assert_eq!(ran.code, Some(2));
    assert_eq!(ran.err, "error: cannot read /no/such: No such file or directory (os error 2)\n");
}
