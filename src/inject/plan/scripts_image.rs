//! Scripts from an image: whether the runner has room for the mount of its volume.

use std::collections::HashMap;

use super::volume_names::has_source;
use crate::{
    podspec::{
        Json,
        paths::{canonical, overlap},
    },
    profile::template::{SCRIPTS_VOLUME, Template},
    scripts::image::PATH,
};

/// The template for a pod with this runner: the one with the scripts' text where the runner has
/// something else at the mount's path, above it or below it.
pub(super) fn template<'p>(
    template: &'p Template,
    runner: &Json<'_>,
    volumes: &HashMap<&str, &Json<'_>>,
) -> &'p Template {
    let Some(inline) = &template.inline else { return template };
    let is_scripts = |mount: &Json<'_>| {
        let name = mount.text("name");
        let mut wanted = template.volumes.iter().filter(|one| one.text("name") == SCRIPTS_VOLUME);
        canonical(mount.text("mountPath")) == PATH
            && ["subPath", "subPathExpr"].iter().all(|field| mount.text(field).is_empty())
            && match volumes.get(name) {
                None => name == SCRIPTS_VOLUME,
                Some(there) => wanted.any(|wanted| has_source(there, wanted)),
            }
    };
    let mut mounts = runner.list("volumeMounts").iter();
    let mut devices = runner.list("volumeDevices").iter();
    let is_free = mounts.all(|one| !overlap(one.text("mountPath"), PATH) || is_scripts(one))
        && !devices.any(|one| overlap(one.text("devicePath"), PATH));
    if is_free { template } else { inline }
}
