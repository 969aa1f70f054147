//! References to the pod's own fields and resources, and to keys of other objects.

use super::{Checker, Field, names};
use crate::podspec::{Quantity, RUNNER};

/// Fields that a variable can have as its value.
const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Fields that a file of a volume can have as its content.
const FILE_FIELDS: [&str; 5] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.labels",
    "metadata.annotations",
];

impl Checker<'_> {
    /// A `fieldRef`, of a volume or of a variable.
    pub(super) fn field_ref(&mut self, field: &Field<'_>, in_volume: bool) {
        self.one_of(field, "apiVersion", &["", "v1"]);
        let path = field.text("fieldPath").unwrap_or_default();
        let known: &[&str] = if in_volume { &FILE_FIELDS } else { &ENV_FIELDS };
        if known.contains(&path) {
            return;
        }
        let key = ["metadata.labels['", "metadata.annotations['"]
            .iter()
            .find_map(|prefix| path.strip_prefix(prefix)?.strip_suffix("']"));
        if !key.is_some_and(names::is_qualified) {
            let message = format!(
                "{path:?} is not one of {}, metadata.labels['KEY'], metadata.annotations['KEY']",
                known.join(", ")
            );
            self.add(field.path_to("fieldPath"), message);
        }
    }

    /// A `resourceFieldRef` of a variable.
    pub(super) fn resource_ref(&mut self, field: &Field<'_>, pod: &Field<'_>) {
        let resource = field.text("resource").unwrap_or_default();
        let name = resource.strip_prefix("limits.").or_else(|| resource.strip_prefix("requests."));
        if !name.is_some_and(|name| {
            matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
        }) {
            let message = format!(
                "{resource:?} is not requests. or limits. of cpu, memory, ephemeral-storage or \
                 hugepages-SIZE"
            );
            self.add(field.path_to("resource"), message);
        }
        if let Some(name) = field.text("containerName").filter(|name| !name.is_empty()) {
            let has = |list| pod.keyed(list, "name").iter().any(|one| one.name() == name);
            let is_known = has("containers") || has("initContainers") || name == RUNNER;
            if !is_known && !self.report.may_have("initContainers") {
                let message = format!("there is no container {name:?}");
                self.add(field.path_to("containerName"), message);
            }
        }
        let divisor = field.value.get("divisor").and_then(crate::profile::normal::text_of);
        if let Some(Err(error)) = divisor.map(|divisor| divisor.parse::<Quantity>()) {
            self.add(field.path_to("divisor"), error.to_string());
        }
    }

    /// The `key` of a reference into a ConfigMap or Secret.
    pub(super) fn data_key(&mut self, reference: &Field<'_>) {
        let key = reference.text("key").unwrap_or_default();
        if !names::is_data_key(key) {
            let message = format!(
                "{key:?} is no key of a ConfigMap or Secret: write letters, digits, '-', '_' and \
                 '.'"
            );
            self.add(reference.path_to("key"), message);
        }
    }
}
