//! The facts about a cluster, before any check. They have no secret.

use std::collections::BTreeMap;

use serde_json::Value;

/// Which installation to examine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of all objects.
    pub name: String,
    /// The webhook's namespace.
    pub namespace: String,
}

/// Why a fact is not known.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unknown {
    /// The permission that is missing, such as `list nodes`.
    #[error("needs permission to {0}")]
    Forbidden(String),
    /// The API server's message, or that it did not answer.
    #[error("{0}")]
    Failed(String),
}

/// A fact, or why it is not known.
pub type Known<T> = Result<T, Unknown>;

/// A list of objects, which may be cut.
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

/// All facts.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Which installation.
    pub settings: Settings,
    /// The time, in seconds since the epoch.
    pub now: i64,
    /// `gitVersion`, such as `v1.37.2`.
    pub version: Known<String>,
    /// The `MutatingWebhookConfiguration` of the installation.
    pub registration: Known<Option<Value>>,
    /// Other configurations that register the webhook.
    pub other_registrations: Vec<String>,
    /// Whether the registered Service exists.
    pub service: Known<bool>,
    /// The Deployment of the installation.
    pub deployment: Known<Option<Value>>,
    /// The Service's `EndpointSlice`s.
    pub slices: Known<Listed<Value>>,
    /// The webhook's pods, without their spec.
    pub pods: Known<Listed<WebhookPod>>,
    /// The API server's response to a runner pod as a dry run.
    pub dry_run: Known<DryRun>,
    /// `tls.crt` of the serving certificate's Secret.
    pub certificate: Known<Option<String>>,
    /// `AutoscalingRunnerSet`s; `None` without their definition.
    pub scale_sets: Known<Option<Listed<Value>>>,
    /// `EphemeralRunner`s that have failed; `None` without their definition.
    pub failed: Known<Option<Listed<FailedRunner>>>,
    /// Running runner pods.
    pub runners: Known<Listed<Value>>,
    /// Each namespace with the Pod Security level that it enforces, empty for the cluster's default.
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
    /// Its image.
    pub image: String,
    /// Restarts of its containers.
    pub restarts: u64,
    /// Why the last container ended, such as `OOMKilled`; empty without a restart.
    pub last_end: String,
}

/// The API server's response to a dry run.
#[derive(Clone, Debug)]
pub struct DryRun {
    /// The namespace of the pod.
    pub namespace: String,
    /// The HTTP status.
    pub code: u16,
    /// The message of an error; empty on success.
    pub message: String,
    /// The texts of the `Warning` headers.
    pub warnings: Vec<String>,
    /// Whether the returned pod has the webhook's status annotation.
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
    /// Its user name at the API server.
    pub user: String,
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its allocatable resources that are whole numbers.
    pub allocatable: BTreeMap<String, u64>,
}

/// The fact, if it is known and exists.
pub(super) fn found<T>(known: &Known<Option<T>>) -> Option<&T> {
    known.as_ref().ok().and_then(Option::as_ref)
}

/// A string in an object; empty if missing.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The members of a list in an object.
pub(super) fn list<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// The strings of a map in an object.
pub(super) fn texts(value: &Value, pointer: &str) -> BTreeMap<String, String> {
    let members = value.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// `NAMESPACE/NAME` of an object.
pub(super) fn full_name(object: &Value) -> String {
    format!("{}/{}", text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}
