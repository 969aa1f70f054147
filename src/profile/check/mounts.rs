//! Volume mounts.

use super::{Checker, Field};
use crate::{
    podspec::paths::{canonical, variables},
    profile::template::{
        DATA_VOLUME, EXTERNALS_VOLUME, HOOKS_VOLUME, PODINFO_VOLUME, SOCKET_VOLUME, WORK_VOLUME,
    },
};

/// Volumes that a short form brings, and which.
const FORMS: [(&[&str], &str); 3] = [
    (&[WORK_VOLUME, SOCKET_VOLUME, EXTERNALS_VOLUME, DATA_VOLUME], "dind"),
    (&[PODINFO_VOLUME], "start"),
    (&[HOOKS_VOLUME], "jobHooks"),
];

impl Checker<'_> {
    pub(super) fn mounts(&mut self, container: &Field<'_>, pod: &Field<'_>) {
        let volumes = pod.keyed("volumes", "name");
        let mut taken: Vec<(&str, &str)> = Vec::new();
        for mount in container.keyed("volumeMounts", "mountPath") {
            let path = mount.text("mountPath").unwrap_or_default();
            self.volume_exists(&mount, &volumes);
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
        }
    }

    fn volume_exists(&mut self, mount: &Field<'_>, volumes: &[Field<'_>]) {
        let name = mount.name();
        if name.is_empty() {
            self.add(mount.path_to("name"), "must be the name of a volume");
        } else if volumes.iter().all(|volume| volume.name() != name) {
            let form = FORMS.iter().find(|(names, _)| names.contains(&name));
            let mut lists = vec!["volumes", "sharedVolumes"];
            lists.extend(form.map(|(_, form)| *form));
            if lists.into_iter().any(|list| self.report.may_have(list)) {
                return;
            }
            let message = match form {
                Some((_, form)) => {
                    format!("no volume {name:?}; write {form}: {{}}, which brings it")
                }
                None => {
                    format!("no volume {name:?}; add it to template.spec.volumes or sharedVolumes")
                }
            };
            self.add(mount.path_to("name"), message);
        }
    }

    fn sub_path(&mut self, mount: &Field<'_>, container: &Field<'_>) {
        let expression = mount.text("subPathExpr").unwrap_or_default();
        if container.get("envFrom").is_some() || self.report.may_have("env") {
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
}
