//! Environment variables.

use super::{Checker, Field};
use crate::podspec::RUNNER;

/// What ARC itself sets on the runner (actions-runner-controller, `resourcebuilder.go`).
const ARCS: [&str; 3] = [
    "ACTIONS_RUNNER_INPUT_JITCONFIG",
    "GITHUB_ACTIONS_RUNNER_EXTRA_USER_AGENT",
    "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE",
];

impl Checker<'_> {
    pub(super) fn env(&mut self, container: &Field<'_>, pod: &Field<'_>, is_runner: bool) {
        for variable in container.keyed("env", "name") {
            let name = variable.name();
            if is_runner && ARCS.contains(&name) {
                let message = format!("{name} belongs to ARC; take it out");
                self.add(variable.path_to("name"), message);
            }
            let from = variable.get("valueFrom");
            let resource = from.and_then(|from| from.get("resourceFieldRef"));
            let Some(resource) = resource else { continue };
            let name = resource.text("containerName").unwrap_or_default();
            let has = |list| pod.keyed(list, "name").iter().any(|one| one.name() == name);
            let is_known = has("containers") || has("initContainers") || name == RUNNER;
            if !name.is_empty() && !is_known && !self.report.may_have("initContainers") {
                let message = format!("there is no container {name:?}");
                self.add(resource.path_to("containerName"), message);
            }
        }
    }
}
