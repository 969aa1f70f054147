//! Two recordings of the same thing, made comparable: what differs from run to run is replaced,
//! by this list and nothing else.

use arc_rocm::podspec::Json;
use serde_json::{Value, json};

use crate::cluster::text;

/// What is another in each run, and why.
///
/// - `request.uid`: the API server's random uid of a review.
/// - the owner's uid, in `ownerReferences` and in `managedFields`.
/// - `request.userInfo.uid` and `.extra`: of a token that is bound to a pod; the stand-in
///   impersonates, and has none.
/// - `managedFields[].time`.
/// - the suffix of the volume `kube-api-access-`, which the ServiceAccount plugin draws.
/// - the label `pod-template-hash`: ARC's hash of a Secret, which it never reads back.
/// - the namespace, which is the case's.
pub(crate) fn review(review: &Value, namespace: &str) -> Value {
    let mut review = with_names(review, "/request/object", namespace);
    review["request"]["uid"] = json!("UID");
    if let Some(user) = review["request"]["userInfo"].as_object_mut() {
        user.remove("uid");
        user.remove("extra");
    }
    let object = &mut review["request"]["object"];
    if object["metadata"]["labels"]["pod-template-hash"].is_string() {
        object["metadata"]["labels"]["pod-template-hash"] = json!("HASH");
    }
    let managed = object["metadata"]["managedFields"].as_array_mut();
    for entry in managed.into_iter().flatten() {
        entry["time"] = json!("TIME");
    }
    review
}

/// A stored pod: the same, and what the API server writes when it stores one.
pub(crate) fn stored(pod: &Value, namespace: &str) -> Value {
    let mut pod = with_names(pod, "", namespace);
    if let Some(metadata) = pod["metadata"].as_object_mut() {
        for field in ["creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"]
        {
            metadata.remove(field);
        }
    }
    if let Some(fields) = pod.as_object_mut() {
        fields.remove("status");
    }
    if pod["metadata"]["labels"]["pod-template-hash"].is_string() {
        pod["metadata"]["labels"]["pod-template-hash"] = json!("HASH");
    }
    pod
}

/// Where two pods differ by meaning: admission plugins that ran before the webhook in one case and
/// after it in the other, or not at all, do not count.
pub(crate) fn by_meaning(left: &Value, right: &Value) -> Vec<String> {
    let found = arc_rocm::compare::compare(&Json::of(left), &Json::of(right)).into_iter();
    found.map(|one| format!("{}: {:?} | {:?}", one.path, one.a, one.b)).collect()
}

/// Replaces random names wherever they occur in the text: as values, as keys of `managedFields`.
fn with_names(value: &Value, pod: &str, namespace: &str) -> Value {
    let object = value.pointer(pod).unwrap_or(value);
    let volumes = object["spec"]["volumes"].as_array();
    let mut names = volumes.into_iter().flatten().map(|volume| text(volume, "/name"));
    let token = names.rfind(|name| name.starts_with("kube-api-access-"));
    let owner = text(object, "/metadata/ownerReferences/0/uid");
    let mut all = value.to_string();
    for (random, word) in
        [(token.unwrap_or_default(), "kube-api-access"), (owner, "OWNER"), (namespace, "NAMESPACE")]
    {
        if !random.is_empty() {
            all = all.replace(random, word);
        }
    }
    serde_json::from_str(&all).unwrap_or_else(|_| value.clone())
}

/// Where two values differ, as lines of `pointer: left | right`; empty when they are equal.
pub(crate) fn difference(left: &Value, right: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", left, right, &mut lines);
    lines
}

fn compare(at: &str, left: &Value, right: &Value, lines: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(one), Value::Object(other)) => {
            let mut keys: Vec<&String> = one.keys().chain(other.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let escaped = key.replace('~', "~0").replace('/', "~1");
                compare(&format!("{at}/{escaped}"), &left[key], &right[key], lines);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (left, right)) in one.iter().zip(other).enumerate() {
                compare(&format!("{at}/{index}"), left, right, lines);
            }
        }
        _ if left == right => {}
        _ => lines.push(format!("{at}: {left} | {right}")),
    }
}
