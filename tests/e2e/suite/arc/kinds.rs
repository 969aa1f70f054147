//! The kinds of runner that were captured (`tests/fixtures/arc`), and their EphemeralRunners.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use crate::{cluster::text, settings::root};

/// A container mode of one of the two charts, or what an author makes of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// No container mode: one container.
    Plain,
    /// The chart's own dind, a native sidecar.
    Dind,
    /// dind as a second ordinary container, written by hand.
    DindRegularContainer,
    /// Container hooks with a volume.
    Kubernetes,
    /// Container hooks without one.
    KubernetesNovolume,
    /// The experimental chart, no mode: no `restartPolicy` either.
    ExperimentalPlain,
    /// The experimental chart's dind.
    ExperimentalDind,
    /// Plain, with nearly everything set by the author.
    AuthorOverrides,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Plain,
        Self::Dind,
        Self::DindRegularContainer,
        Self::Kubernetes,
        Self::KubernetesNovolume,
        Self::ExperimentalPlain,
        Self::ExperimentalDind,
        Self::AuthorOverrides,
    ];

    /// The stem of its fixtures' names.
    pub(crate) const fn stem(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Dind => "dind",
            Self::DindRegularContainer => "dind-regular-container",
            Self::Kubernetes => "kubernetes",
            Self::KubernetesNovolume => "kubernetes-novolume",
            Self::ExperimentalPlain => "experimental-plain",
            Self::ExperimentalDind => "experimental-dind",
            Self::AuthorOverrides => "author-overrides",
        }
    }

    /// The captured review.
    pub(crate) fn review(self) -> anyhow::Result<Value> {
        review(self.stem())
    }

    /// The EphemeralRunner: as captured, without what the API server and ARC's controller added.
    ///
    /// Not every kind's was captured. The others take the captured one of the same chart, with
    /// the pod spec that their pod came from.
    pub(crate) fn ephemeral_runner(self) -> anyhow::Result<Value> {
        let captured = fixture(&format!("objects/ephemeralrunner.{}.json", self.stem()));
        let mut runner = match captured {
            Ok(runner) => runner,
            Err(_) => self.derived()?,
        };
        let fields = runner.as_object_mut().context("an EphemeralRunner is an object")?;
        fields.remove("status");
        let metadata = fields.get_mut("metadata").and_then(Value::as_object_mut);
        let metadata = metadata.context("no metadata")?;
        // The set is not made, so there is no owner; and nothing but the stand-in deletes a
        // runner, so it needs no finalizer to see it go.
        for field in [
            "creationTimestamp",
            "finalizers",
            "generateName",
            "generation",
            "ownerReferences",
            "resourceVersion",
            "uid",
        ] {
            metadata.remove(field);
        }
        Ok(runner)
    }

    fn derived(self) -> anyhow::Result<Value> {
        let base = match self {
            Self::ExperimentalDind => Self::ExperimentalPlain,
            _ => Self::Plain,
        };
        let review = self.review()?;
        let pod = &review["request"]["object"];
        let base_set = set_name(&base.review()?["request"]["object"]).to_owned();
        let base = fixture(&format!("objects/ephemeralrunner.{}.json", base.stem()))?;
        let renamed = base.to_string().replace(&base_set, set_name(pod));
        let mut runner: Value = serde_json::from_str(&renamed)?;
        runner["metadata"]["name"] = pod["metadata"]["name"].clone();
        runner["metadata"]["annotations"] = pod["metadata"]["annotations"].clone();
        runner["spec"]["spec"] = spec_of(pod);
        Ok(runner)
    }
}

/// The scale set's name as an object.
pub(crate) fn set_name(pod: &Value) -> &str {
    text(pod, "/metadata/labels/actions.github.com~1scale-set-name")
}

/// The pod spec that a captured pod came from: without what the controller put into the runner's
/// `env` and what admission plugins added. Defaults stay, as they would be filled in again.
pub(crate) fn spec_of(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    for field in ["priority", "preemptionPolicy", "serviceAccount"] {
        if let Some(fields) = spec.as_object_mut() {
            fields.remove(field);
        }
    }
    if spec["serviceAccountName"] == "default"
        && let Some(fields) = spec.as_object_mut()
    {
        fields.remove("serviceAccountName");
    }
    retain(&mut spec["volumes"], |volume| !text(volume, "/name").starts_with(TOKEN));
    retain(&mut spec["tolerations"], |toleration| {
        !text(toleration, "/key").starts_with("node.kubernetes.io/")
    });
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            retain(&mut container["volumeMounts"], |mount| {
                !text(mount, "/name").starts_with(TOKEN)
            });
            retain(&mut container["env"], |env| !ADDED.contains(&text(env, "/name")));
        }
    }
    spec
}

/// What the ServiceAccount plugin's volumes begin with.
const TOKEN: &str = "kube-api-access-";
/// The variables of resourcebuilder.go, lines 699 to 727.
const ADDED: &[&str] = &[
    "ACTIONS_RUNNER_INPUT_JITCONFIG",
    "GITHUB_ACTIONS_RUNNER_EXTRA_USER_AGENT",
    "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE",
];

fn retain(list: &mut Value, keep: impl Fn(&Value) -> bool) {
    if let Value::Array(items) = list {
        items.retain(keep);
    }
}

/// A captured review.
pub(crate) fn review(stem: &str) -> anyhow::Result<Value> {
    fixture(&format!("{stem}.review.json"))
}

fn fixture(name: &str) -> anyhow::Result<Value> {
    let path: PathBuf = root().join("tests/fixtures/arc").join(name);
    let text = fs::read(&path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}
