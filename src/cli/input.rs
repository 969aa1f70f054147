//! What a user hands in: pods, lists and `AdmissionReviews`, as YAML or JSON.

use std::{fs, io::Read as _, path::Path};

use anyhow::Context as _;
use serde_json::Value;

use super::Misconfigured;
use crate::{
    admission,
    inject::ARC_CONTROLLER,
    profile::source::{self, Node},
};

/// Where a pod comes from, when it comes without an `AdmissionReview`.
#[derive(Clone, Debug, clap::Args)]
pub struct RequestArgs {
    /// Namespace of pods that name none
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    pub namespace: String,

    /// User who creates the pod
    #[arg(long = "as", default_value = ARC_CONTROLLER, value_name = "USER")]
    pub user: String,
}

/// The documents of a file; `-` is standard input.
pub(super) fn documents(path: &Path) -> anyhow::Result<Vec<Value>> {
    let name = path.display().to_string();
    let unreadable = || Misconfigured(format!("cannot read {name}"));
    let text = if name == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).with_context(unreadable)?;
        text
    } else {
        fs::read_to_string(path).with_context(unreadable)?
    };
    if text.trim_start().starts_with('{') {
        // A review may be larger than what a person writes as YAML.
        let values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        return values.collect::<Result<_, _>>().with_context(unreadable);
    }
    match source::documents(&name, &text) {
        Ok(nodes) => Ok(nodes.iter().map(Node::to_json).collect()),
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Err(Misconfigured::error(lines.join("\n")))
        }
    }
}

/// What a document is.
pub(super) enum Kind {
    Pod,
    List,
    Review,
    Other,
}

pub(super) fn kind(document: &Value) -> Kind {
    let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default();
    match (text("apiVersion"), text("kind")) {
        ("v1", "Pod") => Kind::Pod,
        ("v1", "List" | "PodList") => Kind::List,
        (_, "AdmissionReview") => Kind::Review,
        _ => Kind::Other,
    }
}

/// The items of a list, and whether each is a pod. Those of a `PodList` need not say so
/// themselves: the API server leaves kind and apiVersion out of them.
pub(super) fn items(list: &Value) -> impl Iterator<Item = (&Value, bool)> {
    let of_pods = list.get("kind").and_then(Value::as_str) == Some("PodList");
    let says = |item: &Value| item.get("kind").or_else(|| item.get("apiVersion")).is_some();
    let items = list.get("items").and_then(Value::as_array).into_iter().flatten();
    items.map(move |item| {
        (item, matches!(kind(item), Kind::Pod) || of_pods && item.is_object() && !says(item))
    })
}

impl RequestArgs {
    /// The `AdmissionReview` by which the API server would ask about `pod`.
    pub(super) fn review(&self, pod: &Value) -> Value {
        let namespace = pod.pointer("/metadata/namespace").and_then(Value::as_str);
        let mut object = pod.clone();
        if let Value::Object(members) = &mut object {
            for (field, value) in [("apiVersion", "v1"), ("kind", "Pod")] {
                members.entry(field).or_insert_with(|| value.into());
            }
        }
        admission::of_pod("offline", &object, namespace.unwrap_or(&self.namespace), &self.user)
    }
}
