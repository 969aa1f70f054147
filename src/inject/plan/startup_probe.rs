//! dind's startup probe: what starts after dind waits for it until Docker answers.

use serde_json::json;

use super::{command, docker::DOCKER_HOST, env::variable, facts::Facts, volume_mounts::at};
use crate::{
    podspec::{Json, all_containers},
    profile::template::{DIND, RUNNER, SOCKET_VOLUME, Template},
};

/// The field of a container.
pub(super) const FIELD: &str = "startupProbe";
/// ARC's chart asks every 5 s, and what waits then starts up to 5 s after Docker. This probe ends
/// when Docker answers, and in a start in order no probe fails, which would be an Event each.
const UNTIL_DOCKER_ANSWERS: &str = "until docker info >/dev/null 2>&1; do sleep 0.1; done";
/// How long one probe waits. A `docker info` that hangs ends with it.
const PROBE_SECONDS: u32 = 10;
/// Probes in a row that may fail: 150 s together, so that `dind.sh`, which gives up after 120 s
/// and says why, comes first.
const PROBES: u32 = 15;

/// The probe for `dind`, which is the template's as this pod is to have it. None where only the
/// start wrapper waits for Docker: it looks by itself, and starts while dockerd does.
pub(super) fn of_dind(facts: &Facts<'_>, dind: &Json<'_>) -> Option<Json<'static>> {
    let is_needed = facts.runs_dind_script()
        && dind.get(FIELD).is_none()
        && (!command::waits_for_docker(facts) || others_use_docker(facts, dind));
    is_needed.then(|| {
        Json::from(json!({
            "exec": {"command": ["/bin/sh", "-c", UNTIL_DOCKER_ANSWERS]},
            "periodSeconds": 1,
            "timeoutSeconds": PROBE_SECONDS,
            "failureThreshold": PROBES,
        }))
    })
}

/// Whether a container beside the runner has Docker's socket or the variable that names it, as an
/// init container that pulls images does.
fn others_use_docker(facts: &Facts<'_>, dind: &Json<'_>) -> bool {
    let Template { init_containers, containers, .. } = facts.template;
    let templates = init_containers.iter().chain(containers);
    let socket = facts.template.dind().and_then(socket_path);
    let socket = socket.and_then(|path| at(dind, path)).map(|mount| mount.text("name"));
    let uses_docker = |one: &Json<'_>| {
        let mut mounts = one.list("volumeMounts").iter();
        variable(one, DOCKER_HOST).is_some()
            || mounts.any(|mount| Some(mount.text("name")) == socket)
    };
    let pods = all_containers(facts.spec).map(|place| place.container);
    let mut others =
        pods.chain(templates).filter(|one| ![RUNNER, DIND].contains(&one.text("name")));
    others.any(uses_docker)
}

/// Where the template's dind has the directory of Docker's socket.
fn socket_path<'j>(dind: &'j Json<'_>) -> Option<&'j str> {
    let mut mounts = dind.list("volumeMounts").iter();
    mounts.find(|mount| mount.text("name") == SOCKET_VOLUME).map(|mount| mount.text("mountPath"))
}
