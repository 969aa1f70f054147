//! Mounts of containers that are in the pod, by their paths.

use super::{
    changes::Changes,
    conflict::{ChangeReason, ConflictCode, Winner},
    facts::{Facts, Placement},
};
use crate::{
    podspec::{ContainerRef, Json, equal::same_item, paths::canonical},
    profile::template::{PODINFO_VOLUME, SCRIPTS_VOLUME},
};

/// What becomes of one mount of the template.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Decision {
    /// The pod has no need of it, because of who provides Docker.
    Unwanted,
    /// It is added.
    Added,
    /// It is there.
    Same,
    /// Something else is mounted there, or a block device is.
    Kept,
    /// Something read-only is mounted where the files for jobs go.
    ReadOnly,
}

impl Decision {
    /// Whether the volume of the mount is needed.
    pub(super) fn uses_volume(self) -> bool {
        matches!(self, Self::Added | Self::Same)
    }
}

pub(super) fn rule<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    for (place, placement) in facts.merged() {
        for (wanted, decision) in decisions(facts, place, placement) {
            let path = || place.path(&format!(".volumeMounts[{}]", wanted.text("mountPath")));
            match decision {
                Decision::Unwanted | Decision::Same => {}
                Decision::Added => {
                    let reason = ChangeReason::Profile;
                    changes.append_in(place, "volumeMounts", wanted.clone(), reason);
                }
                Decision::Kept => changes.kept(ConflictCode::MountKept, path(), facts.profile()),
                Decision::ReadOnly => {
                    let message =
                        "the pod mounts something read-only here, so jobs find no gha-* files";
                    let (code, winner) = (ConflictCode::PodinfoReadOnly, Winner::ScaleSet);
                    changes.conflict(code, winner, path(), message);
                }
            }
        }
    }
}

/// What becomes of each mount that the template has for a container that is in the pod.
pub(super) fn decisions<'f, 'p>(
    facts: &'f Facts<'p>,
    place: ContainerRef<'p>,
    placement: &'f Placement<'p>,
) -> impl Iterator<Item = (&'f Json<'p>, Decision)> {
    let wanted = placement.wanted.list("volumeMounts").iter();
    wanted.map(move |wanted| (wanted, decide(facts, place, wanted)))
}

fn decide(facts: &Facts<'_>, place: ContainerRef<'_>, wanted: &Json<'_>) -> Decision {
    let is_runner = facts.is_runner(place);
    let is_scripts =
        || facts.volume_names.template_name(wanted.text("name")) == Some(SCRIPTS_VOLUME);
    if is_runner && !facts.docker.wants_runner_mount(facts, wanted)
        || facts.docker.is_own_dind(place) && (facts.is_dinds(wanted) || is_scripts())
    {
        return Decision::Unwanted;
    }
    let (name, path) = (wanted.text("name"), wanted.text("mountPath"));
    let mut mounts = place.container.list("volumeMounts").iter();
    let Some(there) = mounts.find(|there| same_item(there, wanted, &["mountPath"])) else {
        // A volume is a block device of a container, or mounted, but not both.
        let is_device =
            |device: &Json<'_>| device.text("name") == name || device.text("devicePath") == path;
        let devices = place.container.list("volumeDevices");
        return if devices.iter().any(is_device) { Decision::Kept } else { Decision::Added };
    };
    let is_same = ["name", "subPath", "subPathExpr"]
        .iter()
        .all(|field| there.text(field) == wanted.text(field));
    if is_same {
        Decision::Same
    } else if is_runner
        && facts.volume_names.template_name(name) == Some(PODINFO_VOLUME)
        && !facts.is_writable_mount(there)
    {
        Decision::ReadOnly
    } else {
        Decision::Kept
    }
}

/// The mount of a container at `path`, however it is spelt.
pub(super) fn at<'j>(container: &'j Json<'j>, path: &str) -> Option<&'j Json<'j>> {
    let path = canonical(path);
    let mut mounts = container.list("volumeMounts").iter();
    mounts.find(|mount| canonical(mount.text("mountPath")) == path)
}
