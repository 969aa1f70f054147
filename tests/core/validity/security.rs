//! Security contexts (`ValidateSecurityContext`, `validatePodSpecSecurityContext`) and the user
//! that a container gets (kubelet, `verifyRunAsNonRoot`).

use arc_rocm::scripts;
use serde_json::Value;

use super::{Findings, containers, items, text};

pub(super) fn check(spec: &Value, found: &mut Findings) {
    let pod = &spec["securityContext"];
    for group in items(&pod["supplementalGroups"]) {
        let fits = group.as_i64().is_some_and(|group| (0..=2_147_483_647).contains(&group));
        found.check(fits, || format!("supplemental group {group}"));
    }
    let sysctls = items(&pod["sysctls"]);
    found.unique("sysctl", sysctls.iter().map(|sysctl| text(sysctl, "name")));
    for sysctl in sysctls {
        let name = text(sysctl, "name");
        let of_net = name.starts_with("net.") || name.starts_with("net/");
        found.check(!(of_net && spec["hostNetwork"] == true), || {
            format!("sysctl {name} in a pod with hostNetwork")
        });
    }
    for (_, container) in containers(spec) {
        one(pod, container, found);
    }
}

fn one(pod: &Value, container: &Value, found: &mut Findings) {
    let name = text(container, "name");
    let own = &container["securityContext"];
    if own["allowPrivilegeEscalation"] == false {
        found.check(own["privileged"] != true, || {
            format!("{name}: allowPrivilegeEscalation false with privileged")
        });
        let admin = items(&own["capabilities"]["add"]).iter().any(|cap| cap == "CAP_SYS_ADMIN");
        found
            .check(!admin, || format!("{name}: allowPrivilegeEscalation false with CAP_SYS_ADMIN"));
    }
    let effective =
        |field: &'static str| if own[field].is_null() { &pod[field] } else { &own[field] };
    let is_root = *effective("runAsUser") == 0;
    let non_root = *effective("runAsNonRoot") == true;
    found.check(!(is_root && non_root), || format!("{name}: runAsNonRoot with user 0"));
    if items(&container["command"]).iter().any(|word| word == scripts::DIND) {
        let user = effective("runAsUser");
        found.check(user.is_null() || is_root, || format!("{name}: dockerd as user {user}"));
        found.check(!non_root, || format!("{name}: dockerd with runAsNonRoot"));
        found.check(own["privileged"] == true, || format!("{name}: dockerd without privileged"));
    }
}
