//! Volume mounts and devices.

use super::{Checker, Field};
use crate::podspec::paths::{canonical, variables};

impl Checker<'_> {
    pub(super) fn mounts(&mut self, container: &Field<'_>, pod: &Field<'_>) {
        let volumes = pod.keyed("volumes", "name");
        let mut taken: Vec<(&str, &str)> = Vec::new();
        for mount in container.keyed("volumeMounts", "mountPath") {
            let path = mount.text("mountPath").unwrap_or_default();
            self.volume_exists(&mount, &volumes);
            self.mount_path(&mount, path);
            match taken.iter().find(|(other, _)| *other == canonical(path)) {
                Some((_, other)) => {
                    let message = format!(
                        "volumes {other:?} and {:?} are both mounted at {path}; choose another \
                         path for one",
                        mount.name()
                    );
                    self.add(mount.path_to("mountPath"), message);
                }
                None => taken.push((canonical(path), mount.name())),
            }
            self.sub_path(&mount, container);
            self.propagation(&mount, container);
        }
        for device in container.keyed("volumeDevices", "devicePath") {
            let path = device.text("devicePath").unwrap_or_default();
            self.volume_exists(&device, &volumes);
            if !path.starts_with('/') {
                self.add(device.path_to("devicePath"), format!("{path:?} must be absolute"));
            }
            self.no_backsteps(&device, "devicePath");
            if taken.iter().any(|(other, _)| *other == canonical(path)) {
                let message = format!("a volume is mounted at {path} already");
                self.add(device.path_to("devicePath"), message);
            }
            let volume = volumes.iter().find(|volume| volume.name() == device.name());
            if volume.is_some_and(|volume| {
                volume.get("persistentVolumeClaim").is_none() && volume.get("ephemeral").is_none()
            }) {
                let message = "only a persistentVolumeClaim or ephemeral volume can be a device";
                self.add(device.path_to("name"), message);
            }
        }
    }

    fn volume_exists(&mut self, mount: &Field<'_>, volumes: &[Field<'_>]) {
        let name = mount.name();
        if name.is_empty() {
            self.add(mount.path_to("name"), "must be the name of a volume");
        } else if volumes.iter().all(|volume| volume.name() != name) {
            let message =
                format!("no volume {name:?}; add it to template.spec.volumes or sharedVolumes");
            self.add(mount.path_to("name"), message);
        }
    }

    fn mount_path(&mut self, mount: &Field<'_>, path: &str) {
        let message = if !path.starts_with('/') {
            format!("{path:?} must be absolute, such as /{path}")
        } else if path.trim_end_matches('/').is_empty() {
            format!("{path:?} would hide the image itself; write a directory below /")
        } else if path.contains(':') {
            format!("{path:?} must not contain ':'")
        } else if path.split('/').any(|part| part == "..") {
            format!("{path:?} must not contain '..'")
        } else {
            return;
        };
        self.add(mount.path_to("mountPath"), message);
    }

    fn sub_path(&mut self, mount: &Field<'_>, container: &Field<'_>) {
        let given = |key| mount.text(key).filter(|text| !text.is_empty());
        let Some(expression) = given("subPathExpr") else {
            return self.relative_path(mount, "subPath");
        };
        if given("subPath").is_some() {
            self.add(mount.path.clone(), "write only one of subPath, subPathExpr");
        }
        self.relative_path(mount, "subPath");
        self.relative_path(mount, "subPathExpr");
        if container.get("envFrom").is_some() {
            return;
        }
        let env = container.keyed("env", "name");
        for name in variables(expression) {
            if env.iter().all(|variable| variable.name() != name) {
                let message = format!(
                    "container {} has no variable {name}; add it to its env",
                    container.name()
                );
                self.add(mount.path_to("subPathExpr"), message);
            }
        }
    }

    fn propagation(&mut self, mount: &Field<'_>, container: &Field<'_>) {
        self.one_of(mount, "mountPropagation", &["None", "HostToContainer", "Bidirectional"]);
        let privileged = container
            .get("securityContext")
            .is_some_and(|context| context.flag("privileged") == Some(true));
        if mount.text("mountPropagation") == Some("Bidirectional") && !privileged {
            let message = "Bidirectional needs securityContext.privileged: true";
            self.add(mount.path_to("mountPropagation"), message);
        }
        self.one_of(mount, "recursiveReadOnly", &["Disabled", "IfPossible", "Enabled"]);
        if mount.text("recursiveReadOnly").is_some_and(|mode| mode != "Disabled")
            && (mount.flag("readOnly") != Some(true)
                || mount.text("mountPropagation").is_some_and(|mode| mode != "None"))
        {
            let message = "needs readOnly: true and no mountPropagation";
            self.add(mount.path_to("recursiveReadOnly"), message);
        }
    }
}
