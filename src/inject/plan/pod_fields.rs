//! Fields of `spec` that are neither containers nor volumes.

use std::collections::HashSet;

use super::{
    changes::Changes,
    conflict::ChangeReason,
    facts::Facts,
    grace,
    merged::{At, merge},
    ports, security_context,
};
use crate::{
    inject::patch::Step,
    podspec::{
        Json, all_containers,
        equal::is_subset,
        merge::{Owner, is_default, pod_field},
    },
};

/// What the Priority admission plugin computes from the class.
const PRIORITY: [&str; 2] = ["priority", "preemptionPolicy"];
/// Prefixes of sysctls that belong to the IPC namespace (`pkg/apis/core/validation`, `sysctls`).
const IPC_SYSCTLS: [&str; 4] = ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."];

pub(super) fn rule<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    for (field, wanted) in &facts.template.spec {
        let there = facts.spec.get(field);
        if field == "securityContext" {
            security_context::of_pod(facts, wanted, changes);
            continue;
        }
        if let Some(by) = excluded_by(facts, field, wanted) {
            changes.excluded(format!("spec.{field}"), by);
            continue;
        }
        merge(facts, At::in_spec(field), there, &wanted.borrowed(), pod_field(field), changes);
        let is_unwritten = there.is_none_or(|there| is_default(Owner::Pod, field, there));
        match field.as_str() {
            "priorityClassName" if is_unwritten => recompute_priority(facts, changes),
            "serviceAccountName" if is_unwritten => set_old_name(facts, wanted, changes),
            _ => {}
        }
    }
}

/// The Priority admission plugin runs before webhooks and writes the default class' values; with
/// another class it refuses them with 403 (`plugin/pkg/admission/priority`), and ARC never tries
/// again. Null makes it compute them anew.
fn recompute_priority<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    for field in PRIORITY.into_iter().filter(|field| facts.spec.get(field).is_some()) {
        changes.set_spec(field, Json::Null, ChangeReason::Priority);
    }
}

/// `serviceAccount`, the old name of the field; the API server refuses a pod in which they differ.
fn set_old_name<'p>(facts: &Facts<'p>, wanted: &'p Json<'static>, changes: &mut Changes<'p>) {
    let is_there = |field| facts.spec.get(field).is_some_and(|there| is_subset(wanted, there));
    if !is_there("serviceAccountName") && !is_there("serviceAccount") {
        let steps = [Step::key("spec"), Step::key("serviceAccount")];
        changes.edits.set(&steps, wanted, ChangeReason::Profile);
    }
}

/// What of the pod's own settings excludes the template's field of `spec`.
fn excluded_by(facts: &Facts<'_>, field: &str, wanted: &Json<'_>) -> Option<&'static str> {
    let spec = facts.spec;
    if spec.get(field).is_some_and(|there| is_subset(wanted, there)) {
        return None;
    }
    let is = |field: &str, value: bool| spec.get(field).and_then(Json::as_bool) == Some(value);
    match (field, wanted.as_bool()) {
        ("hostNetwork" | "hostPID" | "hostIPC", Some(true)) if is("hostUsers", false) => {
            Some("hostUsers: false")
        }
        ("hostNetwork", Some(true)) => host_network_obstacle(facts),
        ("hostPID", Some(true)) if is("shareProcessNamespace", true) => {
            Some("shareProcessNamespace: true")
        }
        // A resize that restarts a container is refused in a pod whose containers end for good
        // (`validateContainerResizePolicy`).
        ("restartPolicy", _) if wanted.as_str() == Some("Never") && resizes_by_restart(spec) => {
            Some("resizePolicy RestartContainer")
        }
        ("hostIPC", Some(true)) if has_sysctl(spec, &IPC_SYSCTLS) => Some("sysctls of IPC"),
        (grace::FIELD, _) => {
            let seconds = wanted.as_i64().unwrap_or_default();
            (longest_sleep(spec) > seconds).then_some("a preStop.sleep that is longer")
        }
        _ => None,
    }
}

/// What speaks against the host's network, where every port is a host port.
pub(super) fn host_network_obstacle(facts: &Facts<'_>) -> Option<&'static str> {
    let spec = facts.spec;
    if spec.get("hostUsers").and_then(Json::as_bool) == Some(false) {
        return Some("hostUsers: false");
    }
    if spec.get("hostnameOverride").is_some() {
        return Some("hostnameOverride");
    }
    if has_sysctl(spec, &["net."]) {
        return Some("sysctls of the network");
    }
    let mut seen = HashSet::new();
    for port in all_containers(spec).flat_map(|place| place.container.list("ports")) {
        let port = ports::HostPort::of(port, true);
        if port.is_moved {
            return Some("a hostPort that is not the containerPort");
        }
        if !seen.insert((port.number, port.protocol)) {
            return Some("one port for two containers");
        }
    }
    None
}

/// Whether the pod sets a sysctl whose name begins so, with dots or slashes.
fn has_sysctl(spec: &Json<'_>, prefixes: &[&str]) -> bool {
    let sysctls = spec.at(&["securityContext", "sysctls"]).map(Json::items).unwrap_or_default();
    sysctls.iter().any(|sysctl| {
        let name = sysctl.text("name").replace('/', ".");
        prefixes.iter().any(|prefix| name.starts_with(prefix))
    })
}

/// Whether the pod has a container that is restarted to be resized.
fn resizes_by_restart(spec: &Json<'_>) -> bool {
    all_containers(spec)
        .flat_map(|place| place.container.list("resizePolicy"))
        .any(|policy| policy.text("restartPolicy") == "RestartContainer")
}

/// The longest `lifecycle.preStop.sleep` of the pod's containers, in seconds. The API server wants
/// the pod's grace to be no shorter.
fn longest_sleep(spec: &Json<'_>) -> i64 {
    let path = ["lifecycle", "preStop", "sleep", "seconds"];
    let sleeps = all_containers(spec).filter_map(|place| place.container.at(&path)?.as_i64());
    sleeps.max().unwrap_or_default()
}
