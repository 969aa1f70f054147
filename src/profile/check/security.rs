//! Security contexts.

use super::{Checker, Field};
use crate::profile::template::{DIND, RUNNER};

/// The largest user or group id (apimachinery, `IsValidUserID`).
pub(super) const MAX_ID: i64 = i32::MAX as i64;
const WINDOWS: &str = "runner pods are Linux pods; take it out";

impl Checker<'_> {
    pub(super) fn pod_security(&mut self, pod: &Field<'_>) {
        let Some(context) = pod.get("securityContext") else { return };
        self.refuse(&context, &[("windowsOptions", WINDOWS)]);
        for key in ["runAsUser", "runAsGroup", "fsGroup"] {
            self.range(&context, key, 0, MAX_ID);
        }
        let short = self.spec.groups.clone().unwrap_or_default();
        for group in context.set("supplementalGroups") {
            let Some(id) = group.value.as_i64() else { continue };
            if !(0..=MAX_ID).contains(&id) && !short.contains(&id) {
                self.add(group.path, format!("{id} is not between 0 and {MAX_ID}"));
            }
        }
        self.one_of(&context, "fsGroupChangePolicy", &["OnRootMismatch", "Always"]);
        self.one_of(&context, "supplementalGroupsPolicy", &["Merge", "Strict"]);
        self.one_of(&context, "seLinuxChangePolicy", &["MountOption", "Recursive"]);
        for sysctl in context.keyed("sysctls", "name") {
            self.sysctl(&sysctl, pod);
        }
        self.profiles(&context);
        // Without a runner in the template, the pod's settings hold for the runner alone.
        if pod.keyed("containers", "name").iter().all(|container| container.name() != RUNNER) {
            self.root(pod, None, Some(&context));
        }
    }

    fn sysctl(&mut self, sysctl: &Field<'_>, pod: &Field<'_>) {
        let name = sysctl.name();
        let is_part = |part: &str| {
            let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            part.starts_with(ends)
                && part.ends_with(ends)
                && part.chars().all(|c| ends(c) || c == '-' || c == '_')
        };
        if name.len() > 253 || !name.split(['.', '/']).all(is_part) {
            let message = format!("{name:?} is no sysctl, such as net.core.somaxconn");
            self.add(sysctl.path_to("name"), message);
        }
        let name = name.replace('/', ".");
        let ipc = ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."];
        for (flag, prefixes) in [("hostNetwork", &["net."][..]), ("hostIPC", &ipc[..])] {
            if pod.flag(flag) == Some(true)
                && prefixes.iter().any(|prefix| name.starts_with(prefix))
            {
                let message = format!("{name} would be the node's, because of {flag}: true");
                self.add(sysctl.path_to("name"), message);
            }
        }
    }

    /// Profiles of seccomp and AppArmor.
    fn profiles(&mut self, context: &Field<'_>) {
        for key in ["seccompProfile", "appArmorProfile"] {
            let Some(profile) = context.get(key) else { continue };
            self.one_of(&profile, "type", &["RuntimeDefault", "Unconfined", "Localhost"]);
            let is_local = profile.text("type") == Some("Localhost");
            match profile.text("localhostProfile") {
                None | Some("") if is_local => {
                    self.add(profile.path.clone(), "type Localhost needs a localhostProfile");
                }
                Some(_) if !is_local => {
                    let message = "only goes with type: Localhost";
                    self.add(profile.path_to("localhostProfile"), message);
                }
                Some(name) if key == "appArmorProfile" && name.trim() != name => {
                    let message = "must not start or end with a space";
                    self.add(profile.path_to("localhostProfile"), message);
                }
                Some(_) if key == "seccompProfile" => {
                    self.relative_path(&profile, "localhostProfile");
                }
                _ => {}
            }
        }
    }

    pub(super) fn container_security(&mut self, container: &Field<'_>, pod: &Field<'_>) {
        let pods = pod.get("securityContext");
        let context = container.get("securityContext");
        self.root(container, context.as_ref(), pods.as_ref());
        let Some(context) = context else { return };
        self.refuse(&context, &[("windowsOptions", WINDOWS)]);
        for key in ["runAsUser", "runAsGroup"] {
            self.range(&context, key, 0, MAX_ID);
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
        self.one_of(&context, "procMount", &["Default", "Unmasked"]);
        if context.text("procMount") == Some("Unmasked") && pod.flag("hostUsers") != Some(false) {
            self.add(context.path_to("procMount"), "Unmasked needs the pod's hostUsers: false");
        }
        self.profiles(&context);
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
