//! The facts about a cluster, before any check. They have no secret.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration},
    apps::v1::Deployment,
    core::v1::{ConfigMap, Namespace, Node, Pod},
    node::v1::RuntimeClass,
};
use kube::{
    ResourceExt,
    core::{NotUsed, Object, Status},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::profile::{DepthLimited, status::RunnerProfileStatus};

/// The webhook's name in its registration, the same in every installation.
pub(super) const WEBHOOK: &str = "mutate.arc-rocm.dev";

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

/// ARC's scale set.
pub type ScaleSet = Object<Value, ScaleSetStatus>;
/// One runner of ARC.
pub type EphemeralRunner = Object<NotUsed, RunnerStatus>;
/// A `RunnerProfile`, unchecked.
pub type ProfileObject = Object<DepthLimited, RunnerProfileStatus>;

/// `AutoscalingRunnerSet.status`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct ScaleSetStatus {
    /// `Outdated`: ARC has stopped the scale set.
    pub phase: String,
}

/// `EphemeralRunner.status`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RunnerStatus {
    /// `Failed`: ARC does not try again.
    pub phase: String,
    /// `InvalidPod` if the API server refused the pod.
    pub reason: String,
    /// What the API server said.
    pub message: String,
    /// The job of a busy runner.
    pub job_id: String,
    /// The job of a busy runner, before ARC 0.13.
    pub job_request_id: i64,
}

/// All facts. A list is empty if its kind is not served.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Which installation.
    pub settings: Settings,
    /// The time, in seconds since the epoch.
    pub now: i64,
    /// `gitVersion`, such as `v1.37.2`.
    pub version: Known<String>,
    /// The registration of the installation.
    pub registration: Known<Option<MutatingWebhookConfiguration>>,
    /// Other registrations that have the webhook.
    pub other_registrations: Vec<String>,
    /// The Deployment of the installation.
    pub deployment: Known<Option<Deployment>>,
    /// `tls.crt` of the serving certificate's Secret.
    pub certificate: Known<Option<String>>,
    /// The profiles' `ConfigMap`.
    pub config_map: Known<Option<ConfigMap>>,
    /// The `RunnerProfile` objects.
    pub profiles: Known<Vec<ProfileObject>>,
    /// The runtime classes.
    pub runtime_classes: Known<Vec<RuntimeClass>>,
    /// The scale sets.
    pub scale_sets: Known<Vec<ScaleSet>>,
    /// The EphemeralRunners.
    pub runners: Known<Vec<EphemeralRunner>>,
    /// Runner pods that have not ended and are not being deleted.
    pub runner_pods: Known<Vec<Pod>>,
    /// All namespaces.
    pub namespaces: Known<Vec<Namespace>>,
    /// Deployments of ARC's controllers.
    pub controllers: Known<Vec<Deployment>>,
    /// The nodes.
    pub nodes: Known<Vec<Node>>,
    /// The API server's response to a plain runner pod.
    pub dry_run: Known<DryRun>,
    /// Its response to the next runner pod of each scale set as the webhook patches it, by
    /// `NAMESPACE/NAME`: why it refuses the pod, `None` if it does not.
    pub trials: BTreeMap<String, Known<Option<Status>>>,
}

/// The API server's response to a plain runner pod as a dry run.
#[derive(Clone, Debug)]
pub struct DryRun {
    /// The namespace of the pod.
    pub namespace: String,
    /// Whether the response shows that the webhook was called.
    pub called: bool,
    /// Why the API server refuses the pod.
    pub refusal: Option<Status>,
}

impl Facts {
    /// Nothing is known yet.
    pub(super) fn none(settings: Settings, now: i64) -> Self {
        fn none<T>() -> Known<T> {
            Err(Unknown::Failed("not asked".to_owned()))
        }
        Self {
            settings,
            now,
            version: none(),
            registration: none(),
            other_registrations: Vec::new(),
            deployment: none(),
            certificate: none(),
            config_map: none(),
            profiles: none(),
            runtime_classes: none(),
            scale_sets: none(),
            runners: none(),
            runner_pods: none(),
            namespaces: none(),
            controllers: none(),
            nodes: none(),
            dry_run: none(),
            trials: BTreeMap::new(),
        }
    }

    /// The Deployment, if it is known and exists.
    pub(super) fn deployment(&self) -> Option<&Deployment> {
        self.deployment.as_ref().ok()?.as_ref()
    }

    /// The webhook in the registration, if it is known and exists.
    pub(super) fn webhook(&self) -> Option<&MutatingWebhook> {
        webhook(self.registration.as_ref().ok()?.as_ref()?)
    }
}

/// The webhook in a registration.
pub(super) fn webhook(registration: &MutatingWebhookConfiguration) -> Option<&MutatingWebhook> {
    registration.webhooks.iter().flatten().find(|webhook| webhook.name == WEBHOOK)
}

/// `NAMESPACE/NAME` of an object.
pub(super) fn full_name(object: &impl ResourceExt) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}
