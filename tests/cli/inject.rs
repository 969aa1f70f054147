//! `inject`: pods, lists and reviews in, YAML, JSON, patch and diff out.

use serde_json::Value;

use crate::{Ran, fixture, run, run_with};

#[test]
fn stdin_pod_is_printed_patched_as_yaml() {
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
fn list_passes_other_objects_through() {
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
fn list_of_one_stays_a_list() {
    let pod: Value =
        serde_json::from_str(&std::fs::read_to_string(fixture("plain.pod.json")).unwrap()).unwrap();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [pod]});
    let ran = run(&["inject", "-f", "-", "-o", "json"], &list.to_string());
    let out: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(out["kind"], "List");
}

#[test]
fn diff_in_a_pipe_has_no_colour() {
    let ran = run(&["inject", "-f", &fixture("plain.pod.json"), "-o", "diff"], "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("\n+    pytorch: \"yes\"\n"), "{}", ran.out);
    let removed = "\n-    image: ghcr.io/actions/actions-runner:latest\n";
    assert!(ran.out.contains(removed), "{}", ran.out);
    assert!(!ran.out.contains('\u{1b}'));
}

#[test]
fn diff_colour_follows_the_usual_variables() {
    let pod = fixture("plain.pod.json");
    let arguments = ["inject", "-f", &pod, "-o", "diff"];
    let forced = run_with(&arguments, "", &[("CLICOLOR_FORCE", "1")]);
    assert!(forced.out.contains("\u{1b}[32m+"), "{}", forced.out);
    let none = run_with(&arguments, "", &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]);
    assert!(!none.out.contains('\u{1b}'), "{}", none.out);
}

#[test]
fn objects_of_arc_are_printed_as_their_patched_pod() {
    for kind in ["autoscalingrunnerset", "ephemeralrunnerset", "ephemeralrunner"] {
        let file = fixture(&format!("objects/{kind}.plain.json"));
        let ran = run(&["inject", "-f", &file, "-o", "json"], "");
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let pod: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(pod["kind"], "Pod");
        assert_eq!(pod["spec"]["containers"][0]["resources"]["limits"]["amd.com/gpu"], "2");
    }
}

#[test]
fn values_and_captured_pod_become_the_same_runner() {
    let spec = |file: &str| {
        let ran = run(&["inject", "-f", &fixture(file), "-o", "json"], "");
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let pod: Value = serde_json::from_str(&ran.out).unwrap();
        let spec = &pod["spec"];
        let names = |list: &str, field: &str| -> Vec<String> {
            let items = spec[list].as_array().into_iter().flatten();
            let names = items.map(|item| item[field].as_str().unwrap_or_default().to_owned());
            names.filter(|name| !name.starts_with("kube-api-access-")).collect()
        };
        let runner = &spec["containers"][0];
        let lists = ["containers", "initContainers"];
        serde_json::json!([
            names("volumes", "name"),
            lists.map(|list| [
                names(list, "name"),
                names(list, "image"),
                names(list, "imagePullPolicy")
            ]),
            runner["resources"],
            runner["command"],
            runner["env"].as_array().unwrap().len(),
            spec["nodeSelector"],
            spec["securityContext"],
            spec["serviceAccountName"],
        ])
    };
    for stem in ["plain", "author-overrides", "dind", "dind-regular-container"] {
        let values = spec(&format!("values/{stem}.yaml"));
        assert_eq!(values, spec(&format!("{stem}.pod.json")), "{stem}");
    }
}

#[test]
fn values_say_what_is_assumed() {
    let ran = run(&["inject", "-f", &fixture("values/dind.yaml"), "-o", "patch"], "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let said = |ran: &Ran, file: &str| -> Vec<String> {
        let lines = ran.err.lines().filter_map(|line| line.strip_prefix(file));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(
        said(&ran, &fixture("values/dind.yaml:")),
        [
            " scale set linux.rocm.gpu.gfx942.2-dind, by the helm command on line 1",
            " namespace arc-runners, by the helm command on line 1",
            " chart version 0.14.2, by the helm command on line 1",
            "6:3: containerMode.type: Kubernetes 1.29 or later is assumed, where the chart makes \
             dind a sidecar",
        ]
    );
    let text = "containerMode: {type: dnd}\n";
    let ran = run(&["inject", "-f", "-", "--scale-set", "rocm-2"], text);
    assert_eq!(
        said(&ran, "-:"),
        [
            " namespace default is assumed; give --namespace",
            " chart version 0.14.2 is assumed",
            "1:1: githubConfigUrl: not given: the pod has no label of an organization or repository",
            "1:17: containerMode.type: the chart has no such mode: it sets up none",
        ]
    );
    let text = "githubConfigUrl: u\ncontainerMode: {type: dind}\ntemplate:\n  spec:\n    containers:\n    \
                - name: dind\n";
    let ran = run(&["inject", "-f", "-", "--scale-set", "rocm-2", "-n", "ci"], text);
    let last = said(&ran, "-:").pop().unwrap();
    assert!(last.starts_with("6:7: template.spec.containers[0]: the chart drops it"), "{last}");
}

#[test]
fn values_commented_as_in_the_chart_are_read() {
    let text = include_str!("../fixtures/arc/values/commented.yaml");
    let ran = run(&["inject", "-f", "-", "--scale-set", "rocm-2"], text);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("serviceAccountName: rocm-2-gha-rs-no-permission"), "{}", ran.out);
}

#[test]
fn input_without_a_pod_says_what_it_is() {
    let ran = run(&["inject", "-f", "-"], "# nothing\n");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("found no object"), "{}", ran.err);
    let ran = run(&["inject", "-f", env!("CARGO_MANIFEST_DIR")], "");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("Is a directory"), "{}", ran.err);
}

#[test]
fn other_documents_beside_a_pod_pass_through() {
    let pod = std::fs::read_to_string(fixture("plain.pod.json")).unwrap();
    let text = format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: a}}\n---\n{pod}");
    let ran = run(&["inject", "-f", "-", "-o", "json"], &text);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let list: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(list["items"][0]["kind"], "ServiceAccount");
    assert!(list["items"][1]["metadata"]["annotations"]["arc-rocm.dev/status"].is_string());
}

#[test]
fn runner_without_image_is_a_finding() {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let profile = "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\n\
                   metadata: {name: bare}\nspec: {match: {}}\n";
    std::fs::write(file.path(), profile).unwrap();
    let mut pod: Value =
        serde_json::from_str(&std::fs::read_to_string(fixture("plain.pod.json")).unwrap()).unwrap();
    pod["spec"]["containers"][0].as_object_mut().unwrap().remove("image");
    for command in ["inject", "explain"] {
        let path = file.path().to_str().unwrap();
        let ran = run(&[command, "-f", "-", "--profiles", path], &pod.to_string());
        assert_eq!(ran.code, Some(1), "{command}: {}", ran.err);
        let both = format!("{}{}", ran.out, ran.err);
        assert!(both.contains("spec.containers[runner].image: missing"), "{command}: {both}");
    }
}

#[test]
fn skipped_runner_is_a_finding() {
    let ran = run(&["inject", "-f", &fixture("plain.pod.json"), "--as", "dev", "-o", "patch"], "");
    assert_eq!((ran.code, ran.out.trim()), (Some(1), "[]"));
    assert!(ran.err.contains("not created by ARC's controller"), "{}", ran.err);
}

#[test]
fn skipped_other_pod_is_no_finding() {
    let ran = run(&["inject", "-f", &fixture("listener.pod.json"), "-o", "patch"], "");
    assert_eq!((ran.code, ran.out.trim()), (Some(0), "[]"), "{}", ran.err);
}

#[test]
fn conflicts_are_printed_without_values() {
    let ran = run(&["inject", "-f", &fixture("author-overrides.pod.json")], "");
    assert_eq!(ran.code, Some(0));
    assert!(ran.err.contains("DOCKER_HOST"));
    assert!(!ran.err.contains("elsewhere:2375"), "{}", ran.err);
}

#[test]
fn unreadable_or_other_input_is_a_usage_error() {
    let ran = run(&["inject", "-f", "/no/such/file"], "");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("/no/such/file"), "{}", ran.err);
    for text in ["kind: Service\napiVersion: v1\n", "{\"kind\": 7}", "a: [", "{", "- 1\n"] {
        let ran = run(&["inject", "-f", "-"], text);
        assert_eq!(ran.code, Some(2), "{text}: {}", ran.err);
    }
}

#[test]
fn review_findings_are_equal_for_each_output() {
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
fn pod_list_items_are_patched_without_kind() {
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
fn unreadable_profile_file_is_one_error() {
    let ran = run(&["inject", "-f", &fixture("plain.pod.json"), "--profiles", "/no/such"], "");
    assert_eq!(ran.code, Some(2));
    assert_eq!(ran.err, "error: cannot read /no/such: No such file or directory (os error 2)\n");
}
