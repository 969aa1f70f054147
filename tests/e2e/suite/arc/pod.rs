//! The pod of an EphemeralRunner: `newEphemeralRunnerPod` of resourcebuilder.go.

use serde_json::{Value, json};

use super::RUNNER_LABEL;
use crate::cluster::text;

/// What ARC's controller sends for an EphemeralRunner that is stored.
pub(crate) fn pod(runner: &Value) -> Value {
    let name = text(runner, "/metadata/name");
    let template = &runner["spec"];
    let mut labels = merged(&runner["metadata"]["labels"], &template["metadata"]["labels"]);
    labels[RUNNER_LABEL] = json!("True");
    labels["pod-template-hash"] = json!(hash(name));
    let annotations =
        merged(&runner["metadata"]["annotations"], &template["metadata"]["annotations"]);
    let mut spec = template["spec"].clone();
    let containers = spec["containers"].as_array_mut();
    for container in containers.into_iter().flatten() {
        if container["name"] == "runner" {
            add_env(container, runner, name);
        }
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": runner["metadata"]["namespace"],
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [{
                "apiVersion": "actions.github.com/v1alpha1",
                "kind": "EphemeralRunner",
                "name": name,
                "uid": runner["metadata"]["uid"],
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": spec,
    })
}

/// The Secret with the runner's JIT configuration, of the runner's name.
pub(crate) fn jit_secret(runner: &Value) -> Value {
    let name = text(runner, "/metadata/name");
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": runner["metadata"]["namespace"]},
        "stringData": {"jitToken": format!("jit-{name}")},
    })
}

fn merged(under: &Value, over: &Value) -> Value {
    let mut all = under.as_object().cloned().unwrap_or_default();
    all.extend(over.as_object().cloned().unwrap_or_default());
    Value::Object(all)
}

fn add_env(container: &mut Value, runner: &Value, name: &str) {
    if !container["env"].is_array() {
        container["env"] = json!([]);
    }
    let secret = |variable: &str, secret: &Value, key: &str| json!({"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}});
    let Some(env) = container["env"].as_array_mut() else { return };
    env.push(secret("ACTIONS_RUNNER_INPUT_JITCONFIG", &json!(name), "jitToken"));
    env.push(json!({
        "name": "GITHUB_ACTIONS_RUNNER_EXTRA_USER_AGENT",
        "value": "actions-runner-controller/0.14.2",
    }));
    env.push(json!({
        "name": "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE",
        "value": "1",
    }));
    if runner["spec"]["proxy"].is_object() {
        for variable in ["http_proxy", "https_proxy", "no_proxy"] {
            env.push(secret(variable, &runner["spec"]["proxySecretRef"], variable));
        }
    }
}

/// A hash in the form of `pod-template-hash` (FNV-1a, 32 bits). ARC hashes the Secret's data and
/// never reads the label back.
fn hash(text: &str) -> String {
    let fold = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    format!("{:x}", text.bytes().fold(0x811c_9dc5, fold))
}
