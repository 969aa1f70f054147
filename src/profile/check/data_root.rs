//! dockerd's data root, wherever the profile writes it. Two dockerds on one directory corrupt it, so
//! what outlives the pod is divided by pods.

use super::{Checker, Field};
use crate::{
    podspec::paths::{canonical, variables},
    profile::template::{DATA_ROOT, DIND, SCRATCH},
};

/// The flag of dockerd, its value behind `=` or as the next argument.
const FLAG: &str = "--data-root";
/// Fields that no other pod has the same of.
const OF_ONE_POD: [&str; 2] = ["metadata.name", "metadata.uid"];

impl Checker<'_> {
    pub(super) fn data_root(&mut self, pod: &Field<'_>) {
        let lists = ["initContainers", "containers"].map(|list| pod.keyed(list, "name"));
        let Some(dind) = lists.iter().flatten().find(|one| one.name() == DIND) else { return };
        let root = canonical(data_root(dind));
        // The nearest mount above it.
        let holds = |mount: &Field<'_>| {
            let path = canonical(mount.text("mountPath").unwrap_or_default());
            root.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mounts = dind.keyed("volumeMounts", "mountPath").into_iter().filter(holds);
        let length = |mount: &Field<'_>| mount.text("mountPath").map(|path| canonical(path).len());
        let Some(mount) = mounts.max_by_key(length) else { return };
        let volumes = pod.keyed("volumes", "name");
        let Some(volume) = volumes.iter().find(|volume| volume.name() == mount.name()) else {
            return;
        };
        let sources = volume.members();
        let Some((_, source)) = sources.iter().find(|(key, _)| *key != "name") else { return };
        if SCRATCH.iter().any(|source| volume.get(source).is_some()) {
            return;
        }
        let expression = mount.text("subPathExpr").unwrap_or_default();
        if variables(expression).any(|name| differs_by_pod(dind, name)) {
            return;
        }
        let path = if expression.is_empty() { &source.path } else { &mount.path_to("subPathExpr") };
        let message = format!(
            "dockerd's data root {root} is here: mount it with a subPathExpr that differs from pod to \
             pod, such as $(POD_NAME)-docker, because two dockerds on one directory corrupt it"
        );
        self.add(path.clone(), message);
    }
}

/// The data root of a container that runs dockerd: of several flags the last one counts.
fn data_root<'v>(dind: &Field<'v>) -> &'v str {
    let mut words = [dind.texts("command"), dind.texts("args")].concat().into_iter();
    let mut root = DATA_ROOT;
    while let Some(word) = words.next() {
        match word.strip_prefix(FLAG) {
            Some("") => root = words.next().unwrap_or(root),
            Some(value) => root = value.strip_prefix('=').unwrap_or(root),
            None => {}
        }
    }
    root
}

/// Whether a container's variable has another value in each pod. One that the container does not
/// have is reported elsewhere; from `envFrom` all pods get the same.
fn differs_by_pod(container: &Field<'_>, name: &str) -> bool {
    let mut env = container.keyed("env", "name");
    let mut names = vec![name];
    while let Some(name) = names.pop() {
        let Some(place) = env.iter().position(|variable| variable.name() == name) else {
            if container.get("envFrom").is_none() {
                return true;
            }
            continue;
        };
        // Each once.
        let variable = env.swap_remove(place);
        let field = variable.value.pointer("/valueFrom/fieldRef/fieldPath");
        if field.and_then(|field| field.as_str()).is_some_and(|field| OF_ONE_POD.contains(&field)) {
            return true;
        }
        names.extend(variables(variable.text("value").unwrap_or_default()));
    }
    false
}
