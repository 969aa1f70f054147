//! Mounts and block devices of containers that are in the pod.

use serde_json::Value;

use super::{
    ConflictCode, Place, Planner, Reason, Winner, list, security::OWN_USERS, text, volumes,
};
use crate::{
    inject::patch::Step,
    podspec::{Json, equal::covers, paths::canonical},
    profile::template::PODINFO_VOLUME,
};

impl<'p> Planner<'p> {
    /// Mounts by their paths.
    pub(super) fn mounts(&mut self, place: Place<'p>, container: &Value, is_runner: bool) {
        for wanted in list(container, "volumeMounts") {
            if (is_runner && !self.wants_runner_mount(wanted))
                || (self.is_own_dind(place) && self.is_dinds(wanted))
            {
                continue;
            }
            let path = text(wanted, "mountPath");
            let name = text(wanted, "name");
            let there = place
                .container
                .list("volumeMounts")
                .iter()
                .find(|there| canonical(there.text("mountPath")) == canonical(path));
            let Some(there) = there else {
                let label = || place.label(&format!(".volumeMounts[{path}]"));
                if is_device_path(place, path) {
                    self.kept(ConflictCode::MountKept, label());
                    continue;
                }
                if text(wanted, "mountPropagation") == "Bidirectional"
                    && !is_privileged(place, container)
                {
                    let message = "left out, because Bidirectional needs a privileged container";
                    self.conflict(
                        ConflictCode::SecurityKept,
                        Winner::Author,
                        label(),
                        message.to_owned(),
                    );
                    continue;
                }
                self.use_volume(name);
                self.edits.append(
                    &place.steps(&[Step::Key("volumeMounts")]),
                    wanted.clone(),
                    Reason::Profile,
                );
                continue;
            };
            let same = there.text("name") == name
                && there.text("subPath") == text(wanted, "subPath")
                && there.text("subPathExpr") == text(wanted, "subPathExpr");
            if same {
                self.use_volume(name);
                continue;
            }
            let label = place.label(&format!(".volumeMounts[{path}]"));
            let writable = volumes::is_writable_mount(self.spec, self.template, there);
            if self.volume_names.of(name) == Some(PODINFO_VOLUME) && is_runner && !writable {
                let message =
                    "the pod mounts something read-only here, so jobs find no gha-* files";
                self.conflict(
                    ConflictCode::PodinfoReadOnly,
                    Winner::Author,
                    label,
                    message.to_owned(),
                );
            } else {
                self.kept(ConflictCode::MountKept, label);
            }
        }
    }

    /// Block devices by their paths. A volume is one device of a container, and nothing else.
    pub(super) fn devices(&mut self, place: Place<'p>, wanted: &[Value]) {
        for wanted in wanted {
            let (name, path) = (text(wanted, "name"), text(wanted, "devicePath"));
            let devices = place.container.list("volumeDevices");
            if devices.iter().any(|there| covers(there, wanted)) {
                self.use_volume(name);
                continue;
            }
            let is_taken = devices
                .iter()
                .any(|there| there.text("name") == name || there.text("devicePath") == path)
                || place
                    .container
                    .list("volumeMounts")
                    .iter()
                    .any(|there| there.text("name") == name || there.text("mountPath") == path);
            if is_taken {
                self.kept(ConflictCode::MountKept, place.label(&format!(".volumeDevices[{path}]")));
            } else if self.has_own_users() {
                let label = place.label(&format!(".volumeDevices[{path}]"));
                self.security_kept(label, OWN_USERS);
            } else {
                self.use_volume(name);
                self.edits.append(
                    &place.steps(&[Step::Key("volumeDevices")]),
                    wanted.clone(),
                    Reason::Profile,
                );
            }
        }
    }
}

fn is_device_path(place: Place<'_>, path: &str) -> bool {
    place.container.list("volumeDevices").iter().any(|device| device.text("devicePath") == path)
}

/// Whether the container at `place` is privileged once `wanted` is laid under it.
fn is_privileged(place: Place<'_>, wanted: &Value) -> bool {
    let there = |field| place.container.at(&["securityContext", field]).and_then(Json::as_bool);
    let wants = wanted.pointer("/securityContext/privileged").and_then(Value::as_bool);
    let may = || wants.filter(|_| there("allowPrivilegeEscalation") != Some(false));
    there("privileged").or_else(may) == Some(true)
}
