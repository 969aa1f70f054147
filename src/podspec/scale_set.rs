//! The runner pod of a scale set, as ARC's controller makes it (actions-runner-controller,
//! `resourcebuilder.go`), where the pod itself is not at hand.

use serde_json::{Map, Value, json};

use super::runner_pod::{
    ENTERPRISE_LABEL, ORGANIZATION_LABEL, OWNER_KIND, REPOSITORY_LABEL, RUNNER, RUNNER_LABEL,
    SCALE_SET_ANNOTATION, SCALE_SET_LABEL,
};

/// The kind of a scale set's object.
pub const SCALE_SET_KIND: &str = "AutoscalingRunnerSet";

/// The runner pod of an `AutoscalingRunnerSet`, without the variables that ARC's controller adds.
///
/// Labels come from the set, then `ephemeralRunnerMetadata`, then the template; ARC's own come last.
pub fn runner_pod(set: &Value) -> Value {
    const RUNNERS: &str = "/spec/ephemeralRunnerMetadata";
    const TEMPLATE: &str = "/spec/template/metadata";
    let text = |pointer: &str| set.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = text("/metadata/name");
    let namespace = text("/metadata/namespace");
    let mut labels = strings(set, &["/metadata", RUNNERS, TEMPLATE], "labels");
    // Annotations of the set itself stay with it.
    let mut annotations = strings(set, &[RUNNERS, TEMPLATE], "annotations");
    for (label, value) in github_labels(text("/spec/githubConfigUrl")) {
        labels.entry(label).or_insert_with(|| json!(value));
    }
    labels.entry(SCALE_SET_LABEL).or_insert_with(|| json!(name));
    labels.insert("app.kubernetes.io/component".to_owned(), json!(RUNNER));
    labels.insert(RUNNER_LABEL.to_owned(), json!("True"));
    let github_name = match text("/spec/runnerScaleSetName") {
        "" => name,
        github_name => github_name,
    };
    annotations.insert(SCALE_SET_ANNOTATION.to_owned(), json!(github_name));
    let pod_name = format!("{name}-xxxxx-runner-xxxxx");
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name,
            "namespace": namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [{
                "apiVersion": "actions.github.com/v1alpha1",
                "kind": OWNER_KIND,
                "name": pod_name,
                "uid": "00000000-0000-0000-0000-000000000000",
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": set.pointer("/spec/template/spec").cloned().unwrap_or_default(),
    })
}

/// The runner pod of a scale set whose values give nothing but a name. The GitHub organization and
/// repository become labels.
pub fn plain_runner_pod(
    scale_set: &str,
    namespace: &str,
    organization: Option<&str>,
    repository: Option<&str>,
) -> Value {
    let github = [(ORGANIZATION_LABEL, organization), (REPOSITORY_LABEL, repository)];
    let labels: Map<String, Value> =
        github.into_iter().filter_map(|(label, name)| Some((label.into(), name?.into()))).collect();
    runner_pod(&json!({
        // ARC's chart makes the object's name so.
        "metadata": {"name": scale_set.replace('_', "-"), "namespace": namespace, "labels": labels},
        "spec": {
            "runnerScaleSetName": scale_set,
            "template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{
                    "name": RUNNER,
                    "image": "ghcr.io/actions/actions-runner:latest",
                    "imagePullPolicy": "Always",
                    "command": ["/home/runner/run.sh"],
                    "resources": {},
                }],
            }},
        },
    }))
}

/// The texts of `field` below each pointer; later ones win.
fn strings(set: &Value, pointers: &[&str], field: &str) -> Map<String, Value> {
    let mut all = Map::new();
    for pointer in pointers {
        let members = set.pointer(pointer).and_then(|metadata| metadata.get(field)?.as_object());
        for (key, value) in members.into_iter().flatten().filter(|(_, value)| value.is_string()) {
            all.insert(key.clone(), value.clone());
        }
    }
    all
}

/// The labels that ARC's controller takes from `githubConfigUrl`: an enterprise, an organization, or
/// an organization and a repository.
fn github_labels(url: &str) -> Vec<(&'static str, &str)> {
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    let parts = path.map(|(_, path)| path.trim_matches('/').split('/').collect::<Vec<_>>());
    match parts.as_deref() {
        Some(["enterprises", enterprise]) => vec![(ENTERPRISE_LABEL, enterprise)],
        Some([organization, repository]) => {
            vec![(ORGANIZATION_LABEL, organization), (REPOSITORY_LABEL, repository)]
        }
        Some([organization]) if !organization.is_empty() => {
            vec![(ORGANIZATION_LABEL, organization)]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(name: &str) -> Value {
        let path = format!("{}/tests/fixtures/arc/{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn scale_set_gives_labels_of_captured_pods() {
        for stem in ["plain", "dind", "kubernetes", "author-overrides", "experimental-plain"] {
            let mut made = runner_pod(&captured(&format!("objects/autoscalingrunnerset.{stem}")));
            let mut pod = captured(&format!("{stem}.pod"));
            for pod in [&mut made, &mut pod] {
                let labels = pod["metadata"]["labels"].as_object_mut().unwrap();
                // ARC's controller computes the first one and writes its own value into the second.
                labels.remove("pod-template-hash");
                labels.remove("app.kubernetes.io/part-of");
            }
            assert_eq!(made["metadata"]["labels"], pod["metadata"]["labels"], "{stem}");
        }
    }

    #[test]
    fn github_url_becomes_labels() {
        let labels = |url| {
            runner_pod(&json!({"spec": {"githubConfigUrl": url}}))["metadata"]["labels"].take()
        };
        let all = labels("https://github.com/org/repo/");
        assert_eq!(
            (&all[ORGANIZATION_LABEL], &all[REPOSITORY_LABEL]),
            (&json!("org"), &json!("repo"))
        );
        assert_eq!(labels("https://github.com/enterprises/e")[ENTERPRISE_LABEL], "e");
        let organization = labels("https://github.com/org");
        assert_eq!(organization[ORGANIZATION_LABEL], "org");
        assert_eq!(organization.get(REPOSITORY_LABEL), None);
    }

    #[test]
    fn plain_runner_underscore_becomes_hyphen() {
        let pod = plain_runner_pod("linux_gpu_2", "arc-runners", Some("org"), None);
        assert_eq!(pod["metadata"]["name"], "linux-gpu-2-xxxxx-runner-xxxxx");
        assert_eq!(pod["metadata"]["labels"][SCALE_SET_LABEL], "linux-gpu-2");
        assert_eq!(pod["metadata"]["annotations"][SCALE_SET_ANNOTATION], "linux_gpu_2");
        assert_eq!(pod["metadata"]["labels"][ORGANIZATION_LABEL], "org");
    }
}
