//! Volumes: what the template's are called in this pod, which of them go in, and those that the
//! author forgot.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{ConflictCode, Planner, Reason, Winner, all_containers, list, text};
use crate::{
    inject::patch::Step,
    podspec::{Json, equal::covers},
    profile::template::{DATA_VOLUME, Template, name_of},
};

/// The prefix of a template's volume whose name the author gave to a volume that cannot serve.
const RENAMED: &str = "arc-rocm-";

/// Volume sources that nothing can write to.
const READ_ONLY: [&str; 5] = ["configMap", "downwardAPI", "image", "projected", "secret"];

/// Volume sources that live and die with the pod.
const SCRATCH: [&str; 2] = ["emptyDir", "ephemeral"];

/// The longest name of a volume (a DNS label).
const MAX_NAME: usize = 63;

/// What the template's volumes are called in one pod.
pub(super) struct VolumeNames<'p> {
    names: Vec<(&'p str, VolumeName)>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum VolumeName {
    /// The pod has no volume of this name.
    New,
    /// The pod has it, with the same source.
    Same,
    /// The pod has a volume of this name with another source that serves as well.
    Kept,
    /// The pod has a volume of this name that cannot serve; ours goes by this other name.
    Renamed(String),
}

impl<'p> VolumeNames<'p> {
    pub(super) fn new(spec: &Json<'_>, template: &'p Template) -> Self {
        let mut this = Self { names: Vec::new() };
        for wanted in &template.volumes {
            let name = name_of(wanted);
            let of = match find(spec, name) {
                None => VolumeName::New,
                Some(there) if covers(there, wanted) => VolumeName::Same,
                Some(there) if serves(there, wanted, template) => VolumeName::Kept,
                Some(_) => VolumeName::Renamed(this.free_name(spec, wanted, template)),
            };
            this.names.push((name, of));
        }
        this
    }

    /// The other name of a template's volume: one that the pod does not have, or has with the
    /// same source, as after an earlier pass. Profiles leave room for the prefix.
    fn free_name(&self, spec: &Json<'_>, wanted: &Value, template: &Template) -> String {
        let name = name_of(wanted);
        let mut candidate = format!("{RENAMED}{name}");
        let mut number = 1;
        loop {
            let is_ours = template.volumes.iter().any(|other| name_of(other) == candidate)
                || self.of(&candidate).is_some();
            if !is_ours && find(spec, &candidate).is_none_or(|there| same_source(there, wanted)) {
                return candidate;
            }
            number += 1;
            let number = number.to_string();
            candidate = format!("{RENAMED}{name}");
            candidate.truncate(MAX_NAME.saturating_sub(number.len()));
            candidate.push_str(&number);
        }
    }

    fn get(&self, name: &str) -> &VolumeName {
        let found = self.names.iter().find(|(other, _)| *other == name);
        found.map_or(&VolumeName::New, |(_, found)| found)
    }

    /// The name that mounts of the template's volume `name` use in this pod.
    pub(super) fn actual<'n>(&self, name: &'n str) -> Cow<'n, str> {
        match self.get(name) {
            VolumeName::Renamed(other) => Cow::Owned(other.clone()),
            VolumeName::New | VolumeName::Same | VolumeName::Kept => Cow::Borrowed(name),
        }
    }

    /// The template's volume that goes by `actual` in this pod.
    pub(super) fn of(&self, actual: &str) -> Option<&'p str> {
        self.names.iter().map(|(name, _)| *name).find(|name| self.actual(name) == actual)
    }
}

/// Whether the pod's volume of the template's volume's name can do its work.
fn serves(there: &Json<'_>, wanted: &Value, template: &Template) -> bool {
    let name = name_of(wanted);
    is_writable(there)
        && writable_value(wanted)
        && !is_device(template, name)
        && (name != DATA_VOLUME || is_scratch(there))
}

/// Whether the pod's volume is the template's under another name.
fn same_source(there: &Json<'_>, wanted: &Value) -> bool {
    let mut members = wanted.as_object().into_iter().flatten();
    members.all(|(key, source)| {
        key == "name" || there.get(key).is_some_and(|there| covers(there, source))
    })
}

/// Whether a volume lives and dies with its pod. Nothing else can be dockerd's data root: dind
/// empties it when it ends, and two dockerds on one directory destroy it.
fn is_scratch(volume: &Json<'_>) -> bool {
    SCRATCH.iter().any(|source| volume.get(source).is_some())
}

/// The pod's volume `name`.
pub(super) fn find<'p>(spec: &'p Json<'p>, name: &str) -> Option<&'p Json<'p>> {
    spec.list("volumes").iter().find(|volume| volume.text("name") == name)
}

/// Whether files can be written to a volume of the pod.
fn is_writable(volume: &Json<'_>) -> bool {
    READ_ONLY.iter().all(|source| volume.get(source).is_none())
        // Claims, NFS, CSI and others say it of themselves.
        && volume
            .members()
            .iter()
            .all(|(_, source)| source.get("readOnly").and_then(Json::as_bool) != Some(true))
}

/// Whether files can be written through a mount of the pod.
pub(super) fn is_writable_mount(spec: &Json<'_>, template: &Template, mount: &Json<'_>) -> bool {
    let name = mount.text("name");
    mount.get("readOnly").and_then(Json::as_bool) != Some(true)
        && find(spec, name)
            .map_or_else(|| template_volume(template, name).is_none_or(writable_value), is_writable)
}

/// The template's volume `name`, which goes in where the pod mounts it and lacks it. Where the
/// template lacks it too, an emptyDir does.
fn template_volume<'t>(template: &'t Template, name: &str) -> Option<&'t Value> {
    template.volumes.iter().find(|volume| name_of(volume) == name)
}

fn writable_value(volume: &Value) -> bool {
    READ_ONLY.iter().all(|source| volume.get(source).is_none_or(Value::is_null))
}

/// Whether the template's volume is used as a block device, which only a claim can be.
fn is_device(template: &Template, name: &str) -> bool {
    template.init_containers.iter().chain(&template.containers).any(|container| {
        list(container, "volumeDevices").iter().any(|device| text(device, "name") == name)
    })
}

impl<'p> Planner<'p> {
    /// Adds the volumes of the template that something in the pod mounts now, and an emptyDir for
    /// each mount whose volume is nowhere.
    pub(super) fn volumes(&mut self) {
        let template = self.template;
        let mut added = Vec::new();
        for wanted in &template.volumes {
            let name = name_of(wanted);
            let used = self.volumes_used.contains(&name)
                || !is_mounted(template, name)
                || self.is_missing(name);
            if !used {
                continue;
            }
            match self.volume_names.get(name).clone() {
                VolumeName::New => {
                    self.add_volume(Cow::Borrowed(wanted), Reason::Profile);
                    added.push(name.to_owned());
                }
                VolumeName::Same => {}
                VolumeName::Kept => {
                    self.kept(ConflictCode::VolumeKept, format!("spec.volumes[{name}]"));
                }
                VolumeName::Renamed(actual) => {
                    self.renamed(name, &actual, wanted);
                    added.push(actual);
                }
            }
        }
        self.missing_volumes(&added);
    }

    /// Adds the template's volume under its other name.
    fn renamed(&mut self, name: &str, actual: &str, wanted: &Value) {
        self.conflict(
            ConflictCode::VolumeRenamed,
            Winner::Profile,
            format!("spec.volumes[{name}]"),
            format!("the pod's own volume cannot serve here, so the profile's is named {actual}"),
        );
        if find(self.spec, actual).is_none() {
            let mut volume = wanted.clone();
            if let Value::Object(members) = &mut volume {
                members.insert("name".into(), actual.into());
            }
            self.add_volume(Cow::Owned(volume), Reason::Profile);
        }
    }

    /// Whether dockerd can have its data root at a mount of the runner: one that it can write to,
    /// of a volume that lives and dies with the pod.
    pub(super) fn is_scratch_mount(&self, mount: &Json<'_>) -> bool {
        let name = mount.text("name");
        let is_scratch_value =
            |ours: &Value| SCRATCH.iter().any(|source| ours.get(source).is_some());
        let is_scratch = find(self.spec, name).map_or_else(
            || template_volume(self.template, name).is_none_or(is_scratch_value),
            is_scratch,
        );
        is_scratch && is_writable_mount(self.spec, self.template, mount)
    }

    /// A mount without its volume makes the pod invalid, and a runner with an invalid pod is lost
    /// for ever.
    fn missing_volumes(&mut self, added: &[String]) {
        let mut missing: Vec<&str> = Vec::new();
        for place in all_containers(self.spec) {
            for mount in place.container.list("volumeMounts") {
                let name = mount.text("name");
                if !name.is_empty()
                    && find(self.spec, name).is_none()
                    && !added.iter().any(|other| other == name)
                    && !missing.contains(&name)
                {
                    missing.push(name);
                    self.conflict(
                        ConflictCode::VolumeMissing,
                        Winner::Profile,
                        place.label(&format!(".volumeMounts[{}]", mount.text("mountPath"))),
                        format!("the pod has no volume {name}, so an emptyDir was added"),
                    );
                }
            }
        }
        for name in missing {
            let volume = json!({"name": name, "emptyDir": {}});
            self.add_volume(Cow::Owned(volume), Reason::MissingVolume);
        }
    }

    /// Whether a container of the pod mounts the volume `name` and the pod lacks it.
    fn is_missing(&self, name: &str) -> bool {
        find(self.spec, name).is_none()
            && all_containers(self.spec).any(|place| {
                place.container.list("volumeMounts").iter().any(|m| m.text("name") == name)
            })
    }

    fn add_volume(&mut self, volume: Cow<'p, Value>, reason: Reason) {
        self.edits.append(&[Step::Key("spec"), Step::Key("volumes")], volume, reason);
    }

    /// Notes that the template's volume that goes by `name` in this pod is mounted.
    pub(super) fn use_volume(&mut self, name: &str) {
        let own = self.volume_names.of(name);
        if let Some(own) = own.filter(|own| !self.volumes_used.contains(own)) {
            self.volumes_used.push(own);
        }
    }
}

/// Whether any container of the template mounts its volume `name`.
fn is_mounted(template: &Template, name: &str) -> bool {
    template.init_containers.iter().chain(&template.containers).any(|container| {
        list(container, "volumeMounts").iter().any(|mount| text(mount, "name") == name)
    }) || is_device(template, name)
}
