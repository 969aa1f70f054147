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
        one(spec, container, found);
    }
}

fn one(spec: &Value, container: &Value, found: &mut Findings) {
    let pod = &spec["securityContext"];
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
    let dind = [scripts::DIND_NAME, scripts::image::DIND_FILE];
    if items(&container["command"]).iter().any(|word| dind.iter().any(|dind| word == dind)) {
        let user = effective("runAsUser");
        found.check(user.is_null() || is_root, || format!("{name}: dockerd as user {user}"));
        found.check(!non_root, || format!("{name}: dockerd with runAsNonRoot"));
        found.check(own["privileged"] == true, || format!("{name}: dockerd without privileged"));
        daemon_writes(spec, container, found);
    }
}

/// Checks that dockerd can write its data and its socket.
fn daemon_writes(spec: &Value, container: &Value, found: &mut Findings) {
    let mut args = items(&container["args"]).iter().filter_map(Value::as_str);
    let data_root = args.find_map(|word| word.strip_prefix("--data-root="));
    for path in [Some("/var/run"), data_root].into_iter().flatten() {
        let is_there = |mount: &&Value| {
            let there = text(mount, "mountPath").trim_end_matches('/');
            there == path || (path == "/var/run" && there == "/run")
        };
        let Some(mount) = items(&container["volumeMounts"]).iter().find(is_there) else {
            found.0.push(format!("dockerd: nothing is mounted at {path}"));
            continue;
        };
        let volume = items(&spec["volumes"]).iter().find(|volume| volume["name"] == mount["name"]);
        let is_read_only = mount["readOnly"] == true
            || volume.is_some_and(|volume| {
                ["configMap", "secret", "downwardAPI", "projected", "image"]
                    .iter()
                    .any(|source| !volume[*source].is_null())
                    || volume["persistentVolumeClaim"]["readOnly"] == true
            });
        found.check(!is_read_only, || format!("dockerd cannot write to {path}"));
    }
}
