//! Environment variables.

use super::{Checker, Field, names};

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
            if name.is_empty() {
                self.add(variable.path_to("name"), "must not be empty");
            } else if !names::is_env_name(name) {
                let message = format!("{name:?} must be printable ASCII without '='");
                self.add(variable.path_to("name"), message);
            } else if is_runner && ARCS.contains(&name) {
                let message = format!("{name} belongs to ARC; take it out");
                self.add(variable.path_to("name"), message);
            }
            let Some(from) = variable.get("valueFrom") else { continue };
            if variable.text("value").is_some_and(|value| !value.is_empty()) {
                self.add(variable.path.clone(), "write only one of value, valueFrom");
            }
            self.exactly_one(
                &from,
                &["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"],
            );
            self.value_from(&from, pod);
        }
        for source in container.set("envFrom") {
            if let Some(source) = self.exactly_one(&source, &["configMapRef", "secretRef"]) {
                self.required_subdomain(&source, "name");
            }
            if source
                .text("prefix")
                .is_some_and(|prefix| !prefix.is_empty() && !names::is_env_name(prefix))
            {
                self.add(source.path_to("prefix"), "must be printable ASCII without '='");
            }
        }
    }

    fn value_from(&mut self, from: &Field<'_>, pod: &Field<'_>) {
        if let Some(field) = from.get("fieldRef") {
            self.field_ref(&field, false);
        }
        if let Some(resource) = from.get("resourceFieldRef") {
            self.resource_ref(&resource, pod);
        }
        for key in ["configMapKeyRef", "secretKeyRef"] {
            if let Some(reference) = from.get(key) {
                self.required_subdomain(&reference, "name");
                self.data_key(&reference);
            }
        }
    }
}
