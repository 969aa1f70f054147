//! Security contexts.

use super::{Checker, Field};
use crate::profile::template::DIND;

impl Checker<'_> {
    pub(super) fn pod_security(&mut self, pod: &Field<'_>) {
        // It holds for the scale set's own containers too.
        self.root(pod, None, pod.get("securityContext").as_ref());
    }

    pub(super) fn container_security(&mut self, container: &Field<'_>, pod: &Field<'_>) {
        let pods = pod.get("securityContext");
        let context = container.get("securityContext");
        let Some(context) = context else { return };
        if ["runAsNonRoot", "runAsUser"].iter().any(|field| context.get(field).is_some()) {
            self.root(container, Some(&context), pods.as_ref());
        }
        if context.flag("allowPrivilegeEscalation") == Some(false) {
            let capabilities = context.get("capabilities");
            let added = capabilities.map(|all| all.texts("add")).unwrap_or_default();
            let message = if context.flag("privileged") == Some(true) {
                "cannot be false in a privileged container; take it out"
            } else if added.contains(&"CAP_SYS_ADMIN") {
                "cannot be false beside the capability CAP_SYS_ADMIN; take one of them out"
            } else {
                ""
            };
            if !message.is_empty() {
                self.add(context.path_to("allowPrivilegeEscalation"), message);
            }
        }
    }

    /// The kubelet does not start a container as root that must not be root.
    fn root(
        &mut self,
        container: &Field<'_>,
        context: Option<&Field<'_>>,
        pods: Option<&Field<'_>>,
    ) {
        // What dind lacks to be root beside the pod's settings is added to it.
        let pods = pods.filter(|_| container.name() != DIND);
        let layers = || context.into_iter().chain(pods);
        let non_root = layers().find(|context| context.flag("runAsNonRoot").is_some());
        let user = layers().find(|context| context.number("runAsUser").is_some());
        let (Some(non_root), Some(user)) = (non_root, user) else { return };
        if non_root.flag("runAsNonRoot") == Some(true) && user.number("runAsUser") == Some(0) {
            let message = "is 0, which runAsNonRoot: true does not let start; change one of them";
            self.add(user.path_to("runAsUser"), message);
        }
    }
}
