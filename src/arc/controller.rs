//! The objects that ARC's controller makes of one another, each a function: scale set,
//! `EphemeralRunnerSet`, `EphemeralRunner`, pod (actions-runner-controller 0.14.2, `resourcebuilder.go`).

use serde_json::{Map, Value, json};

use super::{VERSION, chart::VERSION_LABEL, texts};
use crate::{
    podspec::{
        LISTS,
        image::default_pull_policy,
        runner_pod::{
            ENTERPRISE_LABEL, ORGANIZATION_LABEL, OWNER_KIND, REPOSITORY_LABEL, RUNNER,
            RUNNER_LABEL, SCALE_SET_ANNOTATION, SCALE_SET_LABEL, SCALE_SET_NAMESPACE_LABEL,
        },
    },
    profile::normal,
};

const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
const GROUP_ANNOTATION: &str = "actions.github.com/runner-group-name";
/// The variables that the controller adds to each runner.
pub const ENV: [&str; 3] = [
    "ACTIONS_RUNNER_INPUT_JITCONFIG",
    "GITHUB_ACTIONS_RUNNER_EXTRA_USER_AGENT",
    // Since 0.14.
    "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE",
];
/// Most bytes of a label's value.
const LABEL_LENGTH: usize = 63;
/// What the controller ends a cut label with.
const CUT: &str = "-trim";

/// The runner pod of an `AutoscalingRunnerSet`, `EphemeralRunnerSet` or `EphemeralRunner`; `None` for
/// other objects.
///
/// Generated parts of names are `xxxxx`. Labels and annotations that are hashes are left out.
pub fn runner_pod(object: &Value) -> Option<Value> {
    match object.get("kind").and_then(Value::as_str)? {
        "AutoscalingRunnerSet" => Some(next_runner_pod(object)),
        "EphemeralRunnerSet" => Some(pod(&ephemeral_runner(object))),
        OWNER_KIND => Some(pod(object)),
        _ => None,
    }
}

/// The next runner pod of an `AutoscalingRunnerSet`.
pub fn next_runner_pod(set: &Value) -> Value {
    pod(&ephemeral_runner(&ephemeral_runner_set(set)))
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn ephemeral_runner_set(set: &Value) -> Value {
    let (name, namespace) = (text(set, "/metadata/name"), text(set, "/metadata/namespace"));
    let mut labels = texts(set, "/metadata/labels");
    let mut label = |key: &str, value: &str| {
        if !value.is_empty() {
            labels.insert(key.to_owned(), json!(value));
        }
    };
    label("app.kubernetes.io/part-of", "gha-runner-scale-set");
    label(SCALE_SET_LABEL, name);
    label(SCALE_SET_NAMESPACE_LABEL, namespace);
    for (key, value) in github_labels(text(set, "/spec/githubConfigUrl")) {
        label(key, &label_value(value));
    }
    // The controller writes both annotations to the set when it registers it with GitHub.
    let mut annotations = Map::new();
    for (key, field, default) in [
        (GROUP_ANNOTATION, "/spec/runnerGroup", "Default"),
        (SCALE_SET_ANNOTATION, "/spec/runnerScaleSetName", name),
    ] {
        let written = set.pointer("/metadata/annotations").and_then(|all| all.get(key)?.as_str());
        let values = [written.unwrap_or_default(), text(set, field), default];
        let value = values.into_iter().find(|value| !value.is_empty()).unwrap_or_default();
        annotations.insert(key.to_owned(), json!(value));
    }
    add_missing(&mut labels, texts(set, "/spec/ephemeralRunnerSetMetadata/labels"));
    add_missing(&mut annotations, texts(set, "/spec/ephemeralRunnerSetMetadata/annotations"));
    let spec = |field: &str| set.pointer(field).cloned().unwrap_or_default();
    json!({
        "metadata": {
            "name": format!("{name}-xxxxx"),
            "namespace": namespace,
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {
            "ephemeralRunnerMetadata": spec("/spec/ephemeralRunnerMetadata"),
            "ephemeralRunnerSpec": {
                "proxy": spec("/spec/proxy"),
                "metadata": spec("/spec/template/metadata"),
                "spec": spec("/spec/template/spec"),
            },
        },
    })
}

fn ephemeral_runner(set: &Value) -> Value {
    let name = text(set, "/metadata/name");
    let mut labels = texts(set, "/metadata/labels");
    labels.insert(COMPONENT_LABEL.to_owned(), json!(RUNNER));
    let mut annotations = texts(set, "/metadata/annotations");
    let patch = set.pointer("/spec/patchID").and_then(Value::as_i64).unwrap_or_default();
    annotations.insert("actions.github.com/patch-id".to_owned(), json!(patch.to_string()));
    add_missing(&mut labels, texts(set, "/spec/ephemeralRunnerMetadata/labels"));
    add_missing(&mut annotations, texts(set, "/spec/ephemeralRunnerMetadata/annotations"));
    let mut spec = set.pointer("/spec/ephemeralRunnerSpec").cloned().unwrap_or_default();
    if spec.get("proxy").is_some_and(Value::is_object)
        && let Value::Object(members) = &mut spec
    {
        let secret = format!("{name}-xxxxxxxx-runner-proxy");
        members.insert("proxySecretRef".to_owned(), json!(secret));
    }
    json!({
        "metadata": {
            "name": format!("{name}-runner-xxxxx"),
            "namespace": text(set, "/metadata/namespace"),
            "labels": labels,
            "annotations": annotations,
        },
        "spec": spec,
    })
}

/// The pod of an `EphemeralRunner`. The template wins over the runner's own labels and annotations.
fn pod(runner: &Value) -> Value {
    let name = text(runner, "/metadata/name");
    let mut labels = texts(runner, "/metadata/labels");
    let version = labels.get(VERSION_LABEL).and_then(Value::as_str).unwrap_or(VERSION).to_owned();
    labels.extend(texts(runner, "/spec/metadata/labels"));
    labels.insert(RUNNER_LABEL.to_owned(), json!("True"));
    let mut annotations = texts(runner, "/metadata/annotations");
    annotations.extend(texts(runner, "/spec/metadata/annotations"));
    let uid = match text(runner, "/metadata/uid") {
        "" => "00000000-0000-0000-0000-000000000000",
        uid => uid,
    };
    let mut spec = runner.pointer("/spec/spec").cloned().unwrap_or_default();
    for container in containers(&mut spec, "containers") {
        if text(container, "/name") == RUNNER
            && let Value::Object(members) = container
            && let Value::Array(env) = members.entry("env").or_insert_with(|| json!([]))
        {
            env.extend(controller_env(runner, name, &version));
        }
    }
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": text(runner, "/metadata/namespace"),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [{
                "apiVersion": "actions.github.com/v1alpha1",
                "kind": OWNER_KIND,
                "name": name,
                "uid": uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": spec,
    });
    stored(&mut pod);
    pod
}

/// The variables that the controller appends to those of the container `runner`.
fn controller_env(runner: &Value, name: &str, version: &str) -> Vec<Value> {
    let secret = |variable: &str, secret: &str, key: &str| {
        let from = json!({"secretKeyRef": {"name": secret, "key": key}});
        json!({"name": variable, "valueFrom": from})
    };
    let [token, agent, exit_code] = ENV;
    let mut env = vec![
        secret(token, name, "jitToken"),
        json!({"name": agent, "value": format!("actions-runner-controller/{version}")}),
    ];
    if !["0.12.", "0.13."].iter().any(|older| version.starts_with(older)) {
        env.push(json!({"name": exit_code, "value": "1"}));
    }
    let proxies = text(runner, "/spec/proxySecretRef");
    for (field, key) in [("http", "http_proxy"), ("https", "https_proxy"), ("noProxy", "no_proxy")]
    {
        let proxy = runner.pointer("/spec/proxy").and_then(|proxy| proxy.get(field));
        let is_set = match proxy {
            Some(Value::Array(hosts)) => !hosts.is_empty(),
            proxy => proxy.is_some_and(Value::is_object),
        };
        if is_set && !proxies.is_empty() {
            env.push(secret(key, proxies, key));
        }
    }
    env
}

/// Brings a pod into the form in which the API server sends it to webhooks, as far as that decides
/// what they do: quantities as text, no nulls, pull policies, and limits copied to requests.
fn stored(pod: &mut Value) {
    normal::drop_nulls(pod);
    normal::template(pod);
    let Some(spec) = pod.get_mut("spec") else { return };
    let mut all = Vec::new();
    for (list, items) in spec.as_object_mut().into_iter().flatten() {
        if LISTS.contains(&list.as_str()) {
            all.extend(items.as_array_mut().into_iter().flatten());
        }
    }
    for container in all {
        let policy = container.get("image").and_then(Value::as_str).map(default_pull_policy);
        let limits = container.pointer("/resources/limits").and_then(Value::as_object).cloned();
        let Value::Object(members) = container else { continue };
        if let Some(policy) = policy {
            members.entry("imagePullPolicy").or_insert_with(|| json!(policy));
        }
        if let Some(limits) = limits
            && let Some(Value::Object(resources)) = members.get_mut("resources")
            && let Value::Object(requests) =
                resources.entry("requests").or_insert_with(|| json!({}))
        {
            add_missing(requests, limits);
        }
    }
}

fn containers<'s>(spec: &'s mut Value, list: &str) -> impl Iterator<Item = &'s mut Value> {
    spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

fn add_missing(map: &mut Map<String, Value>, others: Map<String, Value>) {
    for (key, value) in others {
        map.entry(key).or_insert(value);
    }
}

/// The labels that the controller takes from `githubConfigUrl`: an enterprise, an organization, or
/// an organization and a repository.
fn github_labels(url: &str) -> Vec<(&'static str, &str)> {
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    let parts = path.map(|(_, path)| path.trim_matches('/').split('/').collect::<Vec<_>>());
    match parts.as_deref() {
        Some(["enterprises", enterprise]) => vec![(ENTERPRISE_LABEL, enterprise)],
        Some([organization, repository]) => {
            vec![(ORGANIZATION_LABEL, organization), (REPOSITORY_LABEL, repository)]
        }
        Some([organization]) => vec![(ORGANIZATION_LABEL, organization)],
        _ => Vec::new(),
    }
}

/// A name as the value of a label: cut if it is too long, else without `-`, `_` and `.` at its ends.
fn label_value(name: &str) -> String {
    if name.len() <= LABEL_LENGTH {
        return name.trim_matches(['-', '_', '.']).to_owned();
    }
    let end = name.floor_char_boundary(LABEL_LENGTH - CUT.len());
    format!("{}{CUT}", name.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn github_url_becomes_labels() {
        let long = "a".repeat(70);
        for (url, expected) in [
            ("https://github.com/org/repo/", vec![("organization", "org"), ("repository", "repo")]),
            ("https://github.com/enterprises/e", vec![("enterprise", "e")]),
            ("https://ghes.example.com/org", vec![("organization", "org")]),
            (
                "https://github.com/org/.github",
                vec![("organization", "org"), ("repository", "github")],
            ),
            ("https://github.com/a/b/c", vec![]),
            ("https://github.com/", vec![]),
            ("org", vec![]),
            (
                &format!("https://github.com/{long}"),
                vec![("organization", &format!("{}-trim", &long[..58]))],
            ),
        ] {
            let pod = next_runner_pod(&json!({"spec": {"githubConfigUrl": url}}));
            let mut labels = texts(&pod, "/metadata/labels");
            labels.retain(|key, _| key.starts_with("actions.github.com/"));
            let expected = expected
                .into_iter()
                .map(|(key, value)| (format!("actions.github.com/{key}"), json!(value)));
            assert_eq!(labels, expected.collect::<Map<_, _>>(), "{url}");
        }
    }

    #[test]
    fn limits_become_requests_and_amounts_text() {
        let container = json!({
            "name": "runner", "image": "a:1",
            "resources": {"limits": {"cpu": 4, "memory": "8Gi"}, "requests": {"memory": "1Gi"}},
        });
        let pod =
            next_runner_pod(&json!({"spec": {"template": {"spec": {"containers": [container]}}}}));
        let runner = &pod["spec"]["containers"][0];
        assert_eq!(
            runner["resources"],
            json!({"limits": {"cpu": "4", "memory": "8Gi"}, "requests": {"cpu": "4", "memory": "1Gi"}})
        );
        assert_eq!(runner["imagePullPolicy"], "IfNotPresent");
    }

    #[test]
    fn runner_pod_is_only_of_objects_of_arc() {
        for kind in ["Pod", "AutoscalingListener", ""] {
            assert_eq!(runner_pod(&json!({"kind": kind})), None);
        }
        assert_eq!(runner_pod(&json!([])), None);
    }
}
