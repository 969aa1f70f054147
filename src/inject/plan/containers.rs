//! Containers of the template that the pod has not.

use super::{
    changes::Changes,
    conflict::{ChangeReason, ConflictCode, Winner},
    facts::{Facts, Placement, Target},
    ports, security_context,
};
use crate::{
    inject::patch::Step,
    podspec::Json,
    profile::template::{DIND, INIT_EXTERNALS},
};

/// Where the ServiceAccount plugin mounts its volume in each container that has no mount there
/// (`plugin/pkg/admission/serviceaccount`).
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// What the name of that volume begins with.
const TOKEN_VOLUME: &str = "kube-api-access-";

pub(super) fn rule<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    let ports = ports::decisions(facts);
    for (index, placement) in facts.placements.iter().enumerate() {
        match placement.at {
            Target::There(_) => {}
            Target::Taken(place) => {
                let list = if place.list == "containers" { "initContainers" } else { "containers" };
                let profile = facts.profile();
                let message =
                    format!("the name is taken, so profile {profile} adds none to {list}");
                let (code, winner) = (ConflictCode::NameTaken, Winner::ScaleSet);
                changes.conflict(code, winner, place.path(""), message);
            }
            Target::New { list, before } => {
                let decisions = ports.get(index).map(Vec::as_slice).unwrap_or_default();
                let container = new(facts, index, placement, decisions, changes);
                let reason = match container.text("name") {
                    DIND => ChangeReason::Dind,
                    INIT_EXTERNALS => ChangeReason::Externals,
                    _ => ChangeReason::Profile,
                };
                let steps = [Step::key("spec"), Step::key(list)];
                match before {
                    Some(before) => changes.edits.insert(&steps, before, container, reason),
                    None => changes.edits.append(&steps, container, reason),
                }
            }
        }
    }
}

/// A new container, without what the pod's own settings exclude.
fn new<'p>(
    facts: &Facts<'p>,
    index: usize,
    placement: &Placement<'p>,
    ports: &[ports::Decision],
    changes: &mut Changes<'p>,
) -> Json<'p> {
    let mut container = placement.wanted.clone();
    let mut set = |field: &'static str, value: Json<'p>| container.set(field, value);
    if let Some(context) = security_context::of_new(facts, &placement.wanted) {
        set("securityContext", context);
    }
    if let Some(resources) = facts.budget.of_new(facts, index, &placement.wanted) {
        set("resources", resources);
    }
    if ports.contains(&ports::Decision::Taken) {
        let wanted = placement.wanted.list("ports").iter().zip(ports);
        let free = wanted.filter(|(_, decision)| **decision != ports::Decision::Taken);
        set("ports", free.map(|(port, _)| port.clone()).collect::<Vec<_>>().into());
        let path = format!("spec[{}].ports", placement.wanted.text("name"));
        ports::taken(path, changes);
    }
    if let Some(mount) = token_mount(facts).filter(|_| !has_token_mount(&placement.wanted))
        && let Some(mounts) = container.list_mut("volumeMounts")
    {
        mounts.push(mount);
    }
    container
}

/// The mount that the ServiceAccount plugin gave the runner, and gives each new container unless it
/// is there: the pod then has changed after the webhook's call, and the API server calls it again.
fn token_mount<'p>(facts: &Facts<'p>) -> Option<Json<'p>> {
    let mut mounts = facts.runner.container.list("volumeMounts").iter();
    let mount = mounts.find(|mount| {
        mount.text("mountPath") == TOKEN_PATH && mount.text("name").starts_with(TOKEN_VOLUME)
    })?;
    let name = mount.text("name").into();
    Some(Json::Object(vec![
        ("name".into(), name),
        ("readOnly".into(), true.into()),
        ("mountPath".into(), TOKEN_PATH.into()),
    ]))
}

fn has_token_mount(container: &Json<'_>) -> bool {
    container.list("volumeMounts").iter().any(|mount| mount.text("mountPath") == TOKEN_PATH)
}
