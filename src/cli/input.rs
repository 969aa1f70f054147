//! The objects that `inject` and `explain` read: pods, scale sets, lists and `AdmissionReviews`, as
//! YAML or JSON.

use std::{fs, io::Read as _, path::Path};

use anyhow::Context as _;
use serde_json::Value;

use super::UsageError;
use crate::{
    admission,
    inject::ARC_CONTROLLER,
    podspec::scale_set::{SCALE_SET_KIND, runner_pod},
    profile::source::{self, Node},
};

/// Fields that the values of ARC's chart begin with.
const VALUES: [&str; 4] =
    ["githubConfigUrl", "githubConfigSecret", "runnerScaleSetName", "containerMode"];

/// The request of a pod that comes without an `AdmissionReview`.
#[derive(Clone, Debug, clap::Args)]
pub struct RequestArgs {
    /// Namespace of pods that name none
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    pub namespace: String,

    /// User who creates the pods
    #[arg(long = "as", default_value = ARC_CONTROLLER, value_name = "USER")]
    pub user: String,
}

/// One object of the input.
pub(super) enum Object {
    /// A pod, or the runner pod of an `AutoscalingRunnerSet`.
    Pod(Value),
    /// An `AdmissionReview`.
    Review(Value),
    /// Any other object, such as a Service beside the pods.
    Other(Value),
}

/// The objects of a file.
pub(super) struct Input {
    pub(super) objects: Vec<Object>,
    /// Whether the file is a list.
    pub(super) is_list: bool,
}

impl Input {
    /// Reads a file; `-` is standard input. Other objects alone are an error.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let mut input = Self { objects: Vec::new(), is_list: false };
        for document in documents(path)? {
            match text(&document, "kind") {
                "List" | "PodList" | "AutoscalingRunnerSetList" => {
                    input.is_list = true;
                    input.objects.extend(items(document));
                }
                _ => input.objects.push(Object::new(document)),
            }
        }
        let others: Option<Vec<&Value>> = input.objects.iter().map(Object::other).collect();
        match others.as_deref() {
            Some([other, ..]) => Err(expected(path, &description(other))),
            Some([]) if !input.is_list => Err(expected(path, "no object")),
            _ => Ok(input),
        }
    }
}

fn expected(path: &Path, found: &str) -> anyhow::Error {
    UsageError::error(format!(
        "{}: expected a Pod, an AutoscalingRunnerSet, a List or an AdmissionReview, found {found}",
        path.display()
    ))
}

impl Object {
    fn new(object: Value) -> Self {
        match (text(&object, "apiVersion"), text(&object, "kind")) {
            ("v1", "Pod") => Self::Pod(object),
            (_, SCALE_SET_KIND) => Self::Pod(runner_pod(&object)),
            (_, "AdmissionReview") => Self::Review(object),
            _ => Self::Other(object),
        }
    }

    fn other(&self) -> Option<&Value> {
        match self {
            Self::Other(object) => Some(object),
            Self::Pod(_) | Self::Review(_) => None,
        }
    }
}

/// The items of a list. The API server leaves kind and apiVersion out of those of a `PodList`.
fn items(mut list: Value) -> Vec<Object> {
    let is_pods = text(&list, "kind") == "PodList";
    let items = match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    let object = |item: Value| {
        let is_pod = is_pods && item.is_object() && text(&item, "kind").is_empty();
        if is_pod { Object::Pod(item) } else { Object::new(item) }
    };
    items.into_iter().map(object).collect()
}

/// What an object is that has no pod, and how to get the pod.
fn description(object: &Value) -> String {
    match text(object, "kind") {
        "EphemeralRunner" => {
            "an EphemeralRunner; its pod has the same name: kubectl get pod NAME -o yaml".to_owned()
        }
        "RunnerProfile" => "a RunnerProfile; give profiles by --profiles".to_owned(),
        "" if VALUES.iter().any(|field| object.get(field).is_some()) => {
            "the values of a scale set; render them: helm template NAME \
             oci://ghcr.io/actions/actions-runner-controller-charts/gha-runner-scale-set -f FILE"
                .to_owned()
        }
        "" => "an object without kind".to_owned(),
        kind => {
            let article = if kind.starts_with(['A', 'E', 'I', 'O']) { "an" } else { "a" };
            format!("{article} {kind}")
        }
    }
}

fn text<'v>(object: &'v Value, key: &str) -> &'v str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The documents of a file.
fn documents(path: &Path) -> anyhow::Result<Vec<Value>> {
    let name = path.display().to_string();
    let unreadable = || UsageError(format!("cannot read {name}"));
    let text = if name == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).with_context(unreadable)?;
        text
    } else {
        fs::read_to_string(path).with_context(unreadable)?
    };
    if text.trim_start().starts_with('{') {
        // A review may be larger than the bounds of the YAML reader.
        let values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        return values.collect::<Result<_, _>>().with_context(unreadable);
    }
    match source::documents(&name, &text) {
        Ok(nodes) => Ok(nodes.iter().map(Node::to_json).collect()),
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Err(UsageError::error(lines.join("\n")))
        }
    }
}

impl RequestArgs {
    /// The `AdmissionReview` by which the API server would ask about `pod`.
    pub(super) fn review(&self, pod: &Value) -> Value {
        let namespace = pod.pointer("/metadata/namespace").and_then(Value::as_str);
        let namespace = namespace.filter(|namespace| !namespace.is_empty());
        self.review_in(namespace.unwrap_or(&self.namespace), pod)
    }

    /// The same for a pod in `namespace`.
    pub(super) fn review_in(&self, namespace: &str, pod: &Value) -> Value {
        let mut object = pod.clone();
        if let Value::Object(members) = &mut object {
            for (field, value) in [("apiVersion", "v1"), ("kind", "Pod")] {
                members.entry(field).or_insert_with(|| value.into());
            }
        }
        admission::of_pod("offline", &object, namespace, &self.user)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn description_says_what_an_object_is() {
        for (object, words) in [
            (json!({"kind": "EphemeralRunner"}), "an EphemeralRunner; its pod has the same name"),
            (json!({"kind": "RunnerProfile"}), "--profiles"),
            (json!({"githubConfigUrl": "https://github.com/org"}), "values of a scale set"),
            (json!({"kind": "Service"}), "a Service"),
            (json!({"kind": "AutoscalingListener"}), "an AutoscalingListener"),
            (json!({"kind": 7}), "without kind"),
            (json!([1]), "without kind"),
        ] {
            assert!(description(&object).contains(words), "{object}: {}", description(&object));
        }
    }
}
