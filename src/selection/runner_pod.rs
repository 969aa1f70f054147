//! What identifies a runner pod: labels, annotations, owner and requester, as ARC sets them.

use super::{Pattern, Skip, pattern::PatternError};
use crate::{annotations, pod::Json};

/// Set by ARC's controller, last and on runner pods only, in every version
/// (actions-runner-controller `resourcebuilder.go`).
pub(crate) const RUNNER_LABEL: &str = "actions-ephemeral-runner";
/// The scale set's name as an object, in which `_` has become `-`.
const SCALE_SET_LABEL: &str = "actions.github.com/scale-set-name";
/// The scale set's name on GitHub.
const SCALE_SET_ANNOTATION: &str = "actions.github.com/runner-scale-set-name";
const ORGANIZATION_LABEL: &str = "actions.github.com/organization";
const REPOSITORY_LABEL: &str = "actions.github.com/repository";
const ENTERPRISE_LABEL: &str = "actions.github.com/enterprise";
/// The kind that owns runner pods, and its API group.
pub(crate) const OWNER_KIND: &str = "EphemeralRunner";
const OWNER_GROUP: &str = "actions.github.com/";

/// Who may have privileged containers added: patterns over the user's name.
#[derive(Clone, Debug)]
pub struct Requesters(Vec<Pattern>);

/// The account of ARC's controller: its chart names it RELEASE-gha-rs-controller, in any
/// namespace (charts/gha-runner-scale-set-controller `_helpers.tpl`).
pub const DEFAULT_REQUESTER: &str = "system:serviceaccount:*:*gha-rs-controller";
/// The account that the chart of ARC's documentation makes, where none is known.
pub(crate) const ARC_CONTROLLER: &str = "system:serviceaccount:arc-systems:arc-gha-rs-controller";

impl Requesters {
    /// Parses patterns in which `*` is any text.
    pub fn parse<'t>(patterns: impl IntoIterator<Item = &'t str>) -> Result<Self, PatternError> {
        let parse = |text| Pattern::parse(text)?.without_gpus();
        patterns.into_iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether `user` is one of them.
    pub fn allow(&self, user: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(user).is_some())
    }
}

impl Default for Requesters {
    fn default() -> Self {
        Self(Pattern::parse(DEFAULT_REQUESTER).into_iter().collect())
    }
}

/// A runner pod, as far as selection is concerned.
#[derive(Clone, Copy, Debug)]
pub struct RunnerPod<'p> {
    pod: &'p Json<'p>,
    /// The namespace of the request; the object's own field may be empty.
    pub namespace: &'p str,
}

impl<'p> RunnerPod<'p> {
    /// Tells a runner pod, as ARC made it, from everything else.
    pub fn of(
        pod: &'p Json<'p>,
        namespace: &'p str,
        user: &str,
        requesters: &Requesters,
    ) -> Result<Self, Skip> {
        let this = Self { pod, namespace };
        if this.label(RUNNER_LABEL) != Some("True") {
            return Err(Skip::NotARunner);
        }
        let says_no = |value: Option<&str>| value.is_some_and(|v| v.eq_ignore_ascii_case("false"));
        if says_no(this.label(annotations::INJECT)) || says_no(this.annotation(annotations::INJECT))
        {
            return Err(Skip::OptedOut);
        }
        if this.is_windows() {
            return Err(Skip::Windows);
        }
        if owner(pod).is_none() {
            return Err(Skip::NoOwner);
        }
        if !requesters.allow(user) {
            return Err(Skip::Requester);
        }
        Ok(this)
    }

    /// The label `key`.
    pub fn label(&self, key: &str) -> Option<&'p str> {
        self.pod.at(&["metadata", "labels", key])?.as_str()
    }

    /// The annotation `key`.
    pub fn annotation(&self, key: &str) -> Option<&'p str> {
        self.pod.at(&["metadata", "annotations", key])?.as_str()
    }

    /// The scale set's names: on GitHub, and as an object.
    pub fn scale_sets(&self) -> impl Iterator<Item = &'p str> {
        let github = self.annotation(SCALE_SET_ANNOTATION);
        let object = self.label(SCALE_SET_LABEL).filter(|name| github != Some(name));
        github.into_iter().chain(object)
    }

    /// The GitHub organization, if the scale set's URL has one.
    pub fn organization(&self) -> &'p str {
        self.label(ORGANIZATION_LABEL).unwrap_or_default()
    }

    /// The GitHub repository, if the scale set's URL has one.
    pub fn repository(&self) -> &'p str {
        self.label(REPOSITORY_LABEL).unwrap_or_default()
    }

    /// The GitHub enterprise, if the scale set's URL has one.
    pub fn enterprise(&self) -> &'p str {
        self.label(ENTERPRISE_LABEL).unwrap_or_default()
    }

    /// The profile that the pod names.
    pub fn named_profile(&self) -> Option<&'p str> {
        self.annotation(annotations::PROFILE).filter(|name| !name.is_empty())
    }

    /// The number of GPUs that the pod names; what is not a number up to
    /// [`pattern::MAX_GPUS`](super::pattern::MAX_GPUS) is not one.
    pub fn named_gpus(&self) -> Option<u32> {
        let count = self.annotation(annotations::GPUS)?.parse().ok()?;
        (count <= super::pattern::MAX_GPUS).then_some(count)
    }

    fn is_windows(&self) -> bool {
        let spec = self.pod.get("spec");
        let at = |path: &[&str]| spec.and_then(|spec| spec.at(path)).and_then(Json::as_str);
        at(&["os", "name"]) == Some("windows")
            || at(&["nodeSelector", "kubernetes.io/os"]) == Some("windows")
    }
}

/// The reference to the EphemeralRunner that controls a pod.
pub(crate) fn owner<'p>(pod: &'p Json<'p>) -> Option<&'p Json<'p>> {
    pod.get("metadata")?.list("ownerReferences").iter().find(|owner| {
        owner.text("kind") == OWNER_KIND
            && owner.text("apiVersion").starts_with(OWNER_GROUP)
            && owner.get("controller").and_then(Json::as_bool) == Some(true)
    })
}
