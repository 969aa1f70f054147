//! What identifies a runner pod: labels, annotations and owner, as ARC sets them.

use super::Json;

/// Set by ARC's controller, last and on runner pods only, in every version
/// (actions-runner-controller `resourcebuilder.go`).
pub const RUNNER_LABEL: &str = "actions-ephemeral-runner";
/// The container that ARC watches; no other name will do (actions-runner-controller,
/// `EphemeralRunnerContainerName`).
pub const RUNNER: &str = "runner";
/// The scale set's name as an object, in which `_` has become `-`.
pub const SCALE_SET_LABEL: &str = "actions.github.com/scale-set-name";
/// The scale set's namespace.
pub const SCALE_SET_NAMESPACE_LABEL: &str = "actions.github.com/scale-set-namespace";
/// The scale set's name on GitHub.
pub const SCALE_SET_ANNOTATION: &str = "actions.github.com/runner-scale-set-name";
/// The GitHub organization of the scale set.
pub const ORGANIZATION_LABEL: &str = "actions.github.com/organization";
/// The GitHub repository of the scale set.
pub const REPOSITORY_LABEL: &str = "actions.github.com/repository";
/// The GitHub enterprise of the scale set.
pub const ENTERPRISE_LABEL: &str = "actions.github.com/enterprise";
/// The kind that owns runner pods, and its API group.
pub const OWNER_KIND: &str = "EphemeralRunner";
const OWNER_GROUP: &str = "actions.github.com/";
/// The environment variable by which ARC's kubernetes modes are known: both charts set it, and the
/// Kubernetes hooks need it. `ACTIONS_RUNNER_CONTAINER_HOOKS` is set for hooks that run `docker`
/// too (actions/runner-container-hooks, `packages/docker`), whose jobs run in this pod.
const POD_NAME: &str = "ACTIONS_RUNNER_POD_NAME";

/// A pod with what ARC says of it.
#[derive(Clone, Copy, Debug)]
pub struct RunnerPod<'p> {
    pod: &'p Json<'p>,
    /// The namespace of the request; the object's own field may be empty.
    pub namespace: &'p str,
}

impl<'p> RunnerPod<'p> {
    /// A view of `pod`, in `namespace`.
    pub fn new(pod: &'p Json<'p>, namespace: &'p str) -> Self {
        Self { pod, namespace }
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

    /// The GitHub organization; empty if the scale set's URL has none.
    pub fn organization(&self) -> &'p str {
        self.label(ORGANIZATION_LABEL).unwrap_or_default()
    }

    /// The GitHub repository; empty if the scale set's URL has none.
    pub fn repository(&self) -> &'p str {
        self.label(REPOSITORY_LABEL).unwrap_or_default()
    }

    /// The GitHub enterprise; empty if the scale set's URL has none.
    pub fn enterprise(&self) -> &'p str {
        self.label(ENTERPRISE_LABEL).unwrap_or_default()
    }

    /// `spec`.
    pub fn spec(&self) -> Option<&'p Json<'p>> {
        self.pod.get("spec")
    }

    /// The container that ARC watches, with its index in `spec.containers`.
    pub fn runner(&self) -> Option<(usize, &'p Json<'p>)> {
        let mut containers = self.spec()?.list("containers").iter().enumerate();
        containers.find(|(_, container)| container.text("name") == RUNNER)
    }

    /// Whether the pod can only run on Windows.
    pub fn is_windows(&self) -> bool {
        let spec = self.spec();
        let at = |path: &[&str]| spec.and_then(|spec| spec.at(path)).and_then(Json::as_str);
        at(&["os", "name"]) == Some("windows")
            || at(&["nodeSelector", "kubernetes.io/os"]) == Some("windows")
    }

    /// The reference to the EphemeralRunner that controls the pod.
    pub fn owner(&self) -> Option<&'p Json<'p>> {
        owner(self.pod)
    }
}

/// The reference to the EphemeralRunner that controls a pod.
pub fn owner<'p>(pod: &'p Json<'p>) -> Option<&'p Json<'p>> {
    pod.get("metadata")?.list("ownerReferences").iter().find(|owner| {
        owner.text("kind") == OWNER_KIND
            && owner.text("apiVersion").starts_with(OWNER_GROUP)
            && owner.get("controller").and_then(Json::as_bool) == Some(true)
    })
}

/// Whether a runner container is one of ARC's kubernetes modes, whose jobs run in other pods.
pub fn is_kubernetes_mode(runner: &Json<'_>) -> bool {
    runner.list("env").iter().any(|env| env.text("name") == POD_NAME)
}

/// The number of `resource` that a container asks for; `None` where it names none, or no whole
/// number.
pub fn asked(container: &Json<'_>, resource: &str) -> Option<u64> {
    let mut maps = ["limits", "requests"].into_iter();
    let amount = maps.find_map(|map| container.at(&["resources", map, resource]))?;
    super::equal::quantity(amount)?.whole()
}
