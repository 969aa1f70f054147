//! Volumes: those of the template that something mounts, and those that the pod lacks.

use std::{borrow::Cow, collections::HashSet};

use serde_json::json;

use super::{
    changes::Changes,
    conflict::{ChangeReason, ConflictCode, Winner},
    facts::{Facts, Target},
    volume_mounts,
    volume_names::VolumeName,
};
use crate::{
    inject::patch::Step,
    podspec::{Json, all_containers},
};

/// Adds the volumes of the template that something in the pod mounts now, and an emptyDir for
/// each mount whose volume is nowhere.
pub(super) fn rule<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    let template = facts.template;
    let used = used(facts);
    let pods: HashSet<&str> = all_containers(facts.spec)
        .flat_map(|place| place.container.list("volumeMounts"))
        .map(|mount| mount.text("name"))
        .collect();
    let mut added = HashSet::new();
    for wanted in &template.volumes {
        let name = wanted.text("name");
        let is_missing = !facts.volumes.contains_key(name) && pods.contains(name);
        if !used.contains(name) && !is_missing && is_mounted(facts, name) {
            continue;
        }
        match facts.volume_names.get(name) {
            VolumeName::New => {
                add(changes, Cow::Borrowed(wanted), ChangeReason::Profile);
                added.insert(name);
            }
            VolumeName::Same => {}
            VolumeName::Kept => {
                let path = format!("spec.volumes[{name}]");
                changes.kept(ConflictCode::VolumeKept, path, facts.profile());
            }
            VolumeName::Renamed(other) => {
                add_renamed(facts, wanted, other, changes);
                added.insert(other.as_str());
            }
        }
    }
    add_missing(facts, &added, changes);
}

/// The volumes of the template that its containers mount in this pod.
fn used<'p>(facts: &Facts<'p>) -> HashSet<&'p str> {
    let mut used = HashSet::new();
    let mut note =
        |mount: &Json<'_>| used.extend(facts.volume_names.template_name(mount.text("name")));
    for placement in &facts.placements {
        match placement.at {
            Target::There(place) => {
                for (wanted, decision) in volume_mounts::decisions(facts, place, placement) {
                    if decision.uses_volume() {
                        note(wanted);
                    }
                }
            }
            Target::New { .. } => placement.wanted.list("volumeMounts").iter().for_each(&mut note),
            Target::Taken(_) => {}
        }
    }
    used
}

/// Whether any container of the template mounts its volume `name`.
fn is_mounted(facts: &Facts<'_>, name: &str) -> bool {
    let containers = facts.template.init_containers.iter().chain(&facts.template.containers);
    let mut mounts = containers.flat_map(|container| container.list("volumeMounts"));
    mounts.any(|mount| mount.text("name") == name)
}

/// Adds the template's volume under its other name.
fn add_renamed<'p>(
    facts: &Facts<'p>,
    wanted: &'p Json<'static>,
    name: &str,
    changes: &mut Changes<'p>,
) {
    let path = format!("spec.volumes[{}]", wanted.text("name"));
    let message =
        format!("the pod's own volume cannot serve here, so the profile's is named {name}");
    changes.conflict(ConflictCode::VolumeRenamed, Winner::Profile, path, message);
    if !facts.volumes.contains_key(name) {
        let mut volume = wanted.borrowed();
        volume.set("name", name.to_owned().into());
        add(changes, Cow::Owned(volume), ChangeReason::Profile);
    }
}

/// A mount without its volume makes the pod invalid, and a runner with an invalid pod is lost for
/// ever.
fn add_missing<'p>(facts: &Facts<'p>, added: &HashSet<&str>, changes: &mut Changes<'p>) {
    let mut missing = HashSet::new();
    for place in all_containers(facts.spec) {
        for mount in place.container.list("volumeMounts") {
            let name = mount.text("name");
            let is_there = facts.volumes.contains_key(name) || added.contains(name);
            if name.is_empty() || is_there || !missing.insert(name) {
                continue;
            }
            let path = place.path(&format!(".volumeMounts[{}]", mount.text("mountPath")));
            let message = format!("the pod has no volume {name}, so an emptyDir was added");
            changes.conflict(ConflictCode::VolumeMissing, Winner::Profile, path, message);
            let volume = Json::from(json!({"name": name, "emptyDir": {}}));
            add(changes, Cow::Owned(volume), ChangeReason::MissingVolume);
        }
    }
}

fn add<'p>(changes: &mut Changes<'p>, volume: Cow<'p, Json<'p>>, reason: ChangeReason) {
    changes.edits.append(&[Step::key("spec"), Step::key("volumes")], volume, reason);
}
