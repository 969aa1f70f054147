//! Fields of containers.

use super::{Checker, Field};
use crate::profile::template::{HAS_RUNNERS_IMAGE, RUNNER};

/// Characters that a reference to an image consists of, beside letters and digits.
const IMAGE_MARKS: [char; 6] = ['.', '-', '_', '/', ':', '@'];

impl Checker<'_> {
    /// Checks one container of `pod`; `init` says that it is in `initContainers`.
    pub(super) fn container(&mut self, container: &Field<'_>, pod: &Field<'_>, init: bool) {
        let name = container.name();
        let is_runner = name == RUNNER && !init;
        self.label(container, "name");
        self.image(container, is_runner || HAS_RUNNERS_IMAGE.contains(&name));
        self.one_of(container, "imagePullPolicy", &["Always", "IfNotPresent", "Never"]);
        self.restart(container, init);
        let is_sidecar = init && container.text("restartPolicy") == Some("Always");
        if init && !is_sidecar {
            for key in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                if container.get(key).is_some() {
                    let message = "an init container can only have it with restartPolicy: Always";
                    self.add(container.path_to(key), message);
                }
            }
        }
        self.handlers(container);
        self.env(container, pod, is_runner);
        self.ports(container);
        self.mounts(container, pod);
        self.container_security(container, pod);
        self.resources(container, pod, is_runner);
    }

    fn image(&mut self, container: &Field<'_>, is_optional: bool) {
        let Some(image) = container.text("image") else {
            if !is_optional && !self.report.may_have("image") {
                let message = "needs an image: no other layer of the profile gives it one";
                self.add(container.path.clone(), message);
            }
            return;
        };
        let message = if image.is_empty() {
            "must not be empty"
        } else if image.contains("://") {
            "must be without a scheme, such as ghcr.io/OWNER/NAME:TAG"
        } else if image.contains(|c: char| !c.is_ascii_alphanumeric() && !IMAGE_MARKS.contains(&c))
        {
            "has a character that no image has; write it such as ghcr.io/OWNER/NAME:TAG"
        } else if repository(image).contains(|c: char| c.is_ascii_uppercase()) {
            "must be lower-case before its tag"
        } else {
            return;
        };
        self.add(container.path_to("image"), format!("{image:?} {message}"));
    }

    fn restart(&mut self, container: &Field<'_>, init: bool) {
        if let Some(policy) = container.text("restartPolicy") {
            if !init {
                let message = "is for init containers only, where Always makes a sidecar";
                self.add(container.path_to("restartPolicy"), message);
            } else if policy != "Always" {
                let message = format!(
                    "{policy:?} is no policy of an init container: write Always for a sidecar, or \
                     nothing"
                );
                self.add(container.path_to("restartPolicy"), message);
            }
        }
    }
}

/// The part of an image that must be lower-case: without registry, tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    let path = match image.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => image,
    };
    path.split_once(':').map_or(path, |(name, _)| name)
}
