//! Security settings that exclude each other.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{ConflictCode, Place, Planner, Winner, all_containers, field::At, list, text};
use crate::{
    inject::patch::Step,
    podspec::{Json, equal::covers, merge::container_field},
    profile::template::name_of,
};

/// The capability that the API server counts as privilege escalation
/// (`pkg/apis/core/validation`, `ValidateSecurityContext`).
const SYS_ADMIN: &str = "CAP_SYS_ADMIN";

/// What excludes block devices and the host's namespaces (`validateHostUsers`).
pub(super) const OWN_USERS: &str = "hostUsers: false";

impl<'p> Planner<'p> {
    /// A container's security context, without what the pod's own settings exclude.
    pub(super) fn container_security(&mut self, place: Place<'p>, wanted: &Value) {
        let there = place.container.get("securityContext");
        let steps = place.steps(&[Step::Key("securityContext")]);
        let label = place.label(".securityContext");
        let user = self.container_user_excluded(there, wanted);
        self.security(At { steps: &steps, label: &label }, there, wanted, user);
    }

    /// `more` is a field that something else than what is `there` excludes.
    fn security(
        &mut self,
        at: At<'_>,
        there: Option<&Json<'_>>,
        wanted: &Value,
        more: Option<(&'static str, &'static str)>,
    ) {
        let Value::Object(members) = wanted else { return };
        let mut excluded = excluded(there, members);
        excluded.extend(more);
        if excluded.is_empty() {
            return self.field(at, there, wanted, container_field("securityContext"));
        }
        let mut rest = members.clone();
        for (field, why) in excluded {
            rest.remove(field);
            self.security_kept(format!("{}.{field}", at.label), why);
        }
        self.field(at, there, &Value::Object(rest), container_field("securityContext"));
    }

    /// Whether the pod's own settings exclude the template's field of `spec`. Takes over the
    /// pod's security context, which needs the same care as a container's.
    pub(super) fn pod_field_excluded(&mut self, field: &str, wanted: &'p Value) -> bool {
        if field == "securityContext" {
            let steps = [Step::Key("spec"), Step::Key(field)];
            let at = At { steps: &steps, label: "spec.securityContext" };
            let wanted = self.fit_sysctls(wanted);
            let user = self.pod_user_excluded(&wanted);
            self.security(at, self.spec.get(field), &wanted, user);
            return true;
        }
        if self.spec.get(field).is_some_and(|there| covers(there, wanted)) {
            return false;
        }
        let has_devices =
            || all_containers(self.spec).any(|one| !one.container.list("volumeDevices").is_empty());
        let why = match (field, wanted.as_bool(), wanted.as_str()) {
            ("hostUsers", Some(false), _) if has_devices() => Some("volumeDevices"),
            ("hostNetwork", Some(true), _) => self.host_network_obstacle(),
            ("restartPolicy", _, Some("Never")) if self.resizes_by_restart() => {
                Some("resizePolicy RestartContainer")
            }
            _ => None,
        };
        if let Some(why) = why {
            self.security_kept(format!("spec.{field}"), why);
            return true;
        }
        let excluding: &[(&str, bool)] = match (field, wanted.as_bool()) {
            ("hostUsers", Some(false)) => {
                &[("hostNetwork", true), ("hostPID", true), ("hostIPC", true)]
            }
            ("hostIPC", Some(true)) => &[("hostUsers", false)],
            ("hostPID", Some(true)) => &[("hostUsers", false), ("shareProcessNamespace", true)],
            ("shareProcessNamespace", Some(true)) => &[("hostPID", true)],
            _ => &[],
        };
        let found = excluding
            .iter()
            .find(|(other, value)| self.spec.get(other).and_then(Json::as_bool) == Some(*value));
        if let Some((other, value)) = found {
            self.security_kept(format!("spec.{field}"), &format!("{other}: {value}"));
        }
        found.is_some()
    }

    /// The pod's security context without sysctls of a network that is the host's.
    fn fit_sysctls(&mut self, wanted: &'p Value) -> Cow<'p, Value> {
        let is_refused = |sysctl: &Value| of_network(text(sysctl, "name"));
        if !(self.is_on_host_network() && list(wanted, "sysctls").iter().any(is_refused)) {
            return Cow::Borrowed(wanted);
        }
        self.security_kept("spec.securityContext.sysctls".to_owned(), "hostNetwork: true");
        let mut wanted = wanted.clone();
        if let Some(Value::Array(sysctls)) = wanted.get_mut("sysctls") {
            sysctls.retain(|sysctl| !is_refused(sysctl));
        }
        Cow::Owned(wanted)
    }

    /// Whether the author's pod is in a user namespace, where there are no block devices.
    pub(super) fn has_own_users(&self) -> bool {
        self.spec.get("hostUsers").and_then(Json::as_bool) == Some(false)
    }

    /// Takes block devices out of a new container where there can be none.
    pub(super) fn fit_devices(&mut self, container: &mut Cow<'_, Value>) {
        if list(container, "volumeDevices").is_empty() || !self.has_own_users() {
            return;
        }
        self.security_kept(format!("spec[{}].volumeDevices", name_of(container)), OWN_USERS);
        if let Value::Object(members) = container.to_mut() {
            members.remove("volumeDevices");
        }
    }

    pub(super) fn security_kept(&mut self, path: String, why: &str) {
        let message = format!("left out, because the pod says {why}");
        self.conflict(ConflictCode::SecurityKept, Winner::Author, path, message);
    }
}

/// The fields of `wanted` that cannot stand beside what is `there`, each with the reason.
fn excluded(
    there: Option<&Json<'_>>,
    wanted: &Map<String, Value>,
) -> Vec<(&'static str, &'static str)> {
    let Some(there) = there else { return Vec::new() };
    let flag = |field: &str| there.get(field).and_then(Json::as_bool);
    let wants =
        |field: &str, value: bool| wanted.get(field).and_then(Value::as_bool) == Some(value);
    let has_admin = there
        .at(&["capabilities", "add"])
        .is_some_and(|add| add.items().iter().any(|cap| cap.as_str() == Some(SYS_ADMIN)));
    let wants_admin = wanted
        .get("capabilities")
        .and_then(|capabilities| capabilities.get("add")?.as_array())
        .is_some_and(|add| add.iter().any(|cap| cap.as_str() == Some(SYS_ADMIN)));
    let is_root = |user: Option<i64>| user == Some(0);
    let user_there = there.get("runAsUser").and_then(Json::as_i64);
    let mut excluded = Vec::new();
    if flag("allowPrivilegeEscalation") == Some(false) {
        let why = "allowPrivilegeEscalation: false";
        if wants("privileged", true) {
            excluded.push(("privileged", why));
        }
        if wants_admin {
            excluded.push(("capabilities", why));
        }
    }
    if wants("allowPrivilegeEscalation", false) {
        if flag("privileged") == Some(true) {
            excluded.push(("allowPrivilegeEscalation", "privileged: true"));
        } else if has_admin {
            excluded.push(("allowPrivilegeEscalation", "capabilities.add: CAP_SYS_ADMIN"));
        }
    }
    if wants("runAsNonRoot", true) && is_root(user_there) {
        excluded.push(("runAsNonRoot", "runAsUser: 0"));
    }
    if is_root(wanted.get("runAsUser").and_then(Value::as_i64))
        && flag("runAsNonRoot") == Some(true)
    {
        excluded.push(("runAsUser", "runAsNonRoot: true"));
    }
    excluded
}

/// Whether a sysctl belongs to the network, which on the host's is not the pod's to set.
pub(super) fn of_network(sysctl: &str) -> bool {
    sysctl.starts_with("net.") || sysctl.starts_with("net/")
}
