//! What the template's volumes are called in one pod.

use super::facts::Facts;
use crate::{
    podspec::{Json, equal::is_subset, image::is_at_mirror},
    profile::template::{DATA_VOLUME, SCRATCH},
};

/// The prefix of a template's volume whose name the pod gave to a volume that cannot serve.
const RENAMED: &str = "arc-rocm-";
/// The longest name of a volume (a DNS label).
const MAX_NAME: usize = 63;
/// Volume sources that nothing can write to.
const READ_ONLY: [&str; 5] = ["configMap", "downwardAPI", "image", "projected", "secret"];

/// What the template's volumes are called in one pod.
#[derive(Default)]
pub(super) struct VolumeNames<'p> {
    names: Vec<(&'p str, VolumeName)>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum VolumeName {
    /// The pod has no volume of this name.
    New,
    /// The pod has it, with the same source.
    Same,
    /// The pod has a volume of this name with another source that serves as well.
    Kept,
    /// The pod has a volume of this name that cannot serve; the template's goes by this name.
    Renamed(String),
}

impl<'p> VolumeNames<'p> {
    pub(super) fn new(facts: &Facts<'p>) -> Self {
        let mut this = Self::default();
        for wanted in &facts.template.volumes {
            let name = wanted.text("name");
            let of = match facts.volumes.get(name) {
                None => VolumeName::New,
                Some(there) if is_subset(wanted, there) || has_source(there, wanted) => {
                    VolumeName::Same
                }
                Some(there) if !facts.devices.contains(name) && serves(there, wanted) => {
                    VolumeName::Kept
                }
                Some(_) => VolumeName::Renamed(this.free_name(facts, wanted)),
            };
            this.names.push((name, of));
        }
        this
    }

    /// The other name of a template's volume: one that the pod does not have, or has with the
    /// same source, as after an earlier pass. Profiles leave room for the prefix.
    fn free_name(&self, facts: &Facts<'_>, wanted: &Json<'_>) -> String {
        let name = wanted.text("name");
        let mut candidate = format!("{RENAMED}{name}");
        for number in 2_usize.. {
            let volumes = &facts.template.volumes;
            let is_taken = volumes.iter().any(|other| other.text("name") == candidate)
                || self.template_name(&candidate).is_some();
            let there = facts.volumes.get(candidate.as_str());
            if !is_taken && there.is_none_or(|there| has_source(there, wanted)) {
                break;
            }
            let number = number.to_string();
            candidate = format!("{RENAMED}{name}");
            candidate.truncate(MAX_NAME.saturating_sub(number.len()));
            candidate.push_str(&number);
        }
        candidate
    }

    /// What the template's volume `name` is called in this pod.
    pub(super) fn get(&self, name: &str) -> &VolumeName {
        let found = self.names.iter().find(|(other, _)| *other == name);
        found.map_or(&VolumeName::New, |(_, found)| found)
    }

    /// The name that mounts of the template's volume `name` use in this pod, where it is another.
    pub(super) fn renamed(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            VolumeName::Renamed(other) => Some(other),
            VolumeName::New | VolumeName::Same | VolumeName::Kept => None,
        }
    }

    /// The template's volume that goes by `actual` in this pod.
    pub(super) fn template_name(&self, actual: &str) -> Option<&'p str> {
        let is_it = |(name, of): &&(&'p str, VolumeName)| match of {
            VolumeName::Renamed(other) => other == actual,
            VolumeName::New | VolumeName::Same | VolumeName::Kept => *name == actual,
        };
        self.names.iter().find(is_it).map(|(name, _)| *name)
    }
}

impl Facts<'_> {
    /// Whether files can be written through a mount of the pod. A volume that the pod lacks is the
    /// template's, or else an emptyDir that is added.
    pub(super) fn is_writable_mount(&self, mount: &Json<'_>) -> bool {
        mount.get("readOnly").and_then(Json::as_bool) != Some(true)
            && self.mounted_volume(mount).is_none_or(is_writable)
    }

    /// Whether dockerd can have its data root at a mount of the pod: one that it can write to, of a
    /// volume that lives and dies with the pod. dind empties its data root when it ends, and two
    /// dockerds on one directory destroy it.
    pub(super) fn is_scratch_mount(&self, mount: &Json<'_>) -> bool {
        self.mounted_volume(mount).is_none_or(is_scratch) && self.is_writable_mount(mount)
    }

    fn mounted_volume(&self, mount: &Json<'_>) -> Option<&Json<'_>> {
        let name = mount.text("name");
        let templates = || self.template.volumes.iter().find(|volume| volume.text("name") == name);
        self.volumes.get(name).copied().or_else(templates)
    }
}

/// Whether the pod's volume of the template's volume's name can do its work.
fn serves(there: &Json<'_>, wanted: &Json<'_>) -> bool {
    let is_data = wanted.text("name") == DATA_VOLUME;
    is_writable(there) && is_writable(wanted) && (!is_data || is_scratch(there))
}

/// Whether the pod's volume is the template's, maybe under another name or with its image at a mirror.
pub(super) fn has_source(there: &Json<'_>, wanted: &Json<'_>) -> bool {
    wanted.members().iter().all(|(key, source)| {
        let is_same = |there: &Json<'_>| {
            is_subset(source, there)
                || key == "image" && is_at_mirror(there.text("reference"), source.text("reference"))
        };
        key == "name" || there.get(key).is_some_and(is_same)
    })
}

fn is_scratch(volume: &Json<'_>) -> bool {
    SCRATCH.iter().any(|source| volume.get(source).is_some())
}

fn is_writable(volume: &Json<'_>) -> bool {
    // Claims, NFS, CSI and others say it of themselves.
    let is_read_only =
        |source: &Json<'_>| source.get("readOnly").and_then(Json::as_bool) == Some(true);
    READ_ONLY.iter().all(|source| volume.get(source).is_none())
        && volume.members().iter().all(|(_, source)| !is_read_only(source))
}
