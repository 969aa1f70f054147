//! What was found out about a cluster, before anything is judged. No secret is in it.

use std::collections::BTreeMap;

use serde_json::Value;

/// What one needs to know which installation is meant.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of all objects.
    pub name: String,
    /// The webhook's namespace.
    pub namespace: String,
}

/// Why something is not known.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unknown {
    /// The permission that is missing, such as `list nodes`.
    #[error("needs permission to {0}")]
    Forbidden(String),
    /// The API server's message, or that there was none.
    #[error("{0}")]
    Failed(String),
}

/// What is known, or why it is not.
pub type Known<T> = Result<T, Unknown>;

/// Objects, and whether there were more than anybody wants to read.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// The objects.
    pub items: Vec<T>,
    /// Whether the list was cut.
    pub cut: bool,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { items: Vec::new(), cut: false }
    }
}

/// All that is judged.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Which installation.
    pub settings: Settings,
    /// The present, in seconds since the epoch.
    pub now: i64,
    /// `gitVersion`, such as `v1.37.2`.
    pub version: Known<String>,
    /// The `MutatingWebhookConfiguration` of our name.
    pub registration: Known<Option<Value>>,
    /// Other configurations that register a webhook of ours.
    pub other_registrations: Vec<String>,
    /// Whether the Service exists that is registered.
    pub service: Known<bool>,
    /// The Deployment of our name.
    pub deployment: Known<Option<Value>>,
    /// The Service's `EndpointSlice`s.
    pub slices: Known<Listed<Value>>,
    /// The webhook's pods, without their spec.
    pub pods: Known<Listed<WebhookPod>>,
    /// What the API server made of a runner pod that was not stored.
    pub trial: Known<Trial>,
    /// `tls.crt` of the serving certificate's Secret.
    pub certificate: Known<Option<String>>,
    /// `AutoscalingRunnerSet`s; `None` without their definition.
    pub scale_sets: Known<Option<Listed<Value>>>,
    /// `EphemeralRunner`s that have failed; `None` without their definition.
    pub failed: Known<Option<Listed<FailedRunner>>>,
    /// Runner pods that live.
    pub runners: Known<Listed<Value>>,
    /// Namespaces and the Pod Security level that each enforces, empty for the cluster's default.
    pub namespaces: Known<BTreeMap<String, String>>,
    /// ARC's controllers.
    pub controllers: Known<Listed<Controller>>,
    /// The nodes.
    pub nodes: Known<Listed<Node>>,
    /// The `RunnerProfile` objects; `None` without their definition.
    pub profiles: Known<Option<Listed<Value>>>,
    /// The files of the profiles' `ConfigMap`; `None` without it.
    pub config_map: Known<Option<BTreeMap<String, String>>>,
}

/// A pod of the webhook.
#[derive(Clone, Debug)]
pub struct WebhookPod {
    /// Its name.
    pub name: String,
    /// The image as it was resolved, or as it is written.
    pub image: String,
    /// How often its containers were started again.
    pub restarts: u64,
    /// How the last one before ended, such as `OOMKilled`; empty if there was none.
    pub last_end: String,
}

/// The API server's answer to a dry run.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The namespace of the pod.
    pub namespace: String,
    /// The HTTP status.
    pub code: u16,
    /// The Status' message; empty of a success.
    pub message: String,
    /// The texts of the `Warning` headers.
    pub warnings: Vec<String>,
    /// Whether the pod that came back has our status annotation.
    pub patched: bool,
}

/// An `EphemeralRunner` in phase `Failed`.
#[derive(Clone, Debug)]
pub struct FailedRunner {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `status.reason`.
    pub reason: String,
    /// `status.message`.
    pub message: String,
}

/// A controller of ARC.
#[derive(Clone, Debug)]
pub struct Controller {
    /// The Deployment, as `NAMESPACE/NAME`.
    pub deployment: String,
    /// The user that it is to the API server.
    pub user: String,
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it offers of each resource that is counted in whole numbers.
    pub allocatable: BTreeMap<String, u64>,
}

/// What was found, where that is known.
pub(super) fn found<T>(known: &Known<Option<T>>) -> Option<&T> {
    known.as_ref().ok().and_then(Option::as_ref)
}

/// A text in an object, empty where there is none.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The members of a list in an object.
pub(super) fn list<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// The texts of a map in an object.
pub(super) fn texts(value: &Value, pointer: &str) -> BTreeMap<String, String> {
    let members = value.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// `NAMESPACE/NAME` of an object.
pub(super) fn full_name(object: &Value) -> String {
    format!("{}/{}", text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}
