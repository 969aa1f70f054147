//! Fields of containers.

use super::{Checker, Field};
use crate::profile::template::{HAS_RUNNERS_IMAGE, RUNNER};

impl Checker<'_> {
    /// Checks one container of `pod`; `init` says that it is in `initContainers`.
    pub(super) fn container(&mut self, container: &Field<'_>, pod: &Field<'_>, init: bool) {
        let name = container.name();
        let is_runner = name == RUNNER && !init;
        let needs_image = !is_runner && !HAS_RUNNERS_IMAGE.contains(&name);
        if needs_image && container.text("image").is_none() && !self.report.may_have("image") {
            let message = "needs an image: no other layer of the profile gives it one";
            self.add(container.path.clone(), message);
        }
        self.restart(container, init);
        self.env(container, pod, is_runner);
        self.ports(container);
        self.mounts(container, pod);
        self.container_security(container, pod);
        self.resources(container, pod, is_runner);
    }

    fn restart(&mut self, container: &Field<'_>, init: bool) {
        let policy = container.text("restartPolicy");
        match policy {
            Some(_) if !init => {
                let message = "is for init containers only, where Always makes a sidecar";
                self.add(container.path_to("restartPolicy"), message);
            }
            Some(policy) if policy != "Always" => {
                let message = format!(
                    "{policy:?} is no policy of an init container: write Always for a sidecar, or \
                     nothing"
                );
                self.add(container.path_to("restartPolicy"), message);
            }
            _ => {}
        }
        if init && policy != Some("Always") {
            for key in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                if container.get(key).is_some() {
                    let message = "an init container can only have it with restartPolicy: Always";
                    self.add(container.path_to(key), message);
                }
            }
        }
    }
}
