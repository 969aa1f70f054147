//! A compiled profile, and the set of them.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, OnceLock},
};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{
    Origin,
    expand::{self, GPU_RESOURCE, WAIT_FOR_DOCKER_SECONDS, expand, is_started},
    layer::{self, Nulls},
    matcher::Matcher,
    normal,
    pattern::{MAX_GPUS, Pattern},
    spec::{Isolation, KubernetesMode, RunnerProfileSpec},
    template::{DIND, Gpu, INIT_EXTERNALS, RUNNER, Start, Template, name_of},
};
use crate::scripts;

/// Hexadecimal digits of a profile's digest: enough to tell two apart at a glance.
const DIGEST_DIGITS: usize = 12;

/// What `{gpus}` in a scale set's name usually stands for: the ways to share a node of eight.
const USUAL_GPUS: [u32; 4] = [1, 2, 4, 8];

/// A profile that is ready to use. Everything is checked; nothing of this fails later.
#[derive(Clone)]
pub struct Profile {
    /// The profile's name.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The profiles that it builds on, nearest first.
    pub extends: Vec<String>,
    /// Of several that match, the highest wins.
    pub priority: i32,
    /// What runner pods of ARC's kubernetes modes get.
    pub kubernetes_mode: KubernetesMode,
    /// A digest of all that decides about a pod's patch.
    pub digest: String,
    /// Which pods it is for; none but those that name it, without.
    pub matcher: Option<Matcher>,
    spec: RunnerProfileSpec,
    /// Templates by number of GPUs: the usual ones by [`Profile::warm`], others when first needed.
    templates: Arc<[OnceLock<Box<Template>>]>,
    /// The same for runners of ARC's kubernetes modes.
    kubernetes_templates: Arc<[OnceLock<Box<Template>>]>,
}

/// A profile as it was chosen for one pod.
#[derive(Clone, Copy, Debug)]
pub struct Selected<'p> {
    /// The profile's name.
    pub name: &'p str,
    /// Its digest.
    pub digest: &'p str,
    /// What to lay under the pod.
    pub template: &'p Template,
    /// The number of GPUs that the profile would give, where the author's own holds instead.
    pub gpus_overruled: Option<u32>,
}

impl Profile {
    pub(super) fn new(
        name: String,
        origin: Origin,
        extends: Vec<String>,
        matcher: Option<Matcher>,
        spec: RunnerProfileSpec,
    ) -> Self {
        let slots = || (0..=MAX_GPUS).map(|_| OnceLock::new()).collect();
        Self {
            digest: digest(&spec),
            priority: spec.priority.unwrap_or_default(),
            kubernetes_mode: spec.kubernetes_mode.unwrap_or_default(),
            templates: slots(),
            kubernetes_templates: slots(),
            name,
            origin,
            extends,
            matcher,
            spec,
        }
    }

    /// The number of GPUs where nothing else gives it.
    pub fn default_gpus(&self) -> u32 {
        self.spec.gpu.as_ref().and_then(|gpu| gpu.count).unwrap_or_default().min(MAX_GPUS)
    }

    /// The extended resource that GPUs are asked for by.
    pub fn gpu_resource(&self) -> &str {
        gpu_resource(&self.spec)
    }

    /// Makes the templates of the usual numbers of GPUs ahead, so that no first pod waits for them.
    pub fn warm(&self) {
        let mut patterns = self.matcher.iter().flat_map(Matcher::scale_sets);
        let by_name: &[u32] = if patterns.any(Pattern::has_gpus) { &USUAL_GPUS } else { &[] };
        for gpus in by_name.iter().copied().chain([self.default_gpus()]) {
            self.template(gpus);
            if self.kubernetes_mode == KubernetesMode::Resources {
                self.kubernetes_template(gpus);
            }
        }
    }

    /// The template for a runner with `gpus` GPUs, at most [`MAX_GPUS`].
    pub fn template(&self, gpus: u32) -> &Template {
        Self::cached(&self.templates, gpus, || compile_template(&self.spec, gpus))
    }

    /// The same for a runner of ARC's kubernetes modes: the pod's own fields and the runner's
    /// resources.
    pub fn kubernetes_template(&self, gpus: u32) -> &Template {
        Self::cached(&self.kubernetes_templates, gpus, || {
            let mut template = compile_template(&self.spec, gpus);
            template.volumes.clear();
            template.init_containers.clear();
            template.containers.retain(|container| name_of(container) == RUNNER);
            for container in &mut template.containers {
                if let Value::Object(members) = container {
                    members.retain(|field, _| field == "name" || field == "resources");
                }
            }
            template.start = None;
            template
        })
    }

    fn cached(
        slots: &[OnceLock<Box<Template>>],
        gpus: u32,
        make: impl FnOnce() -> Template,
    ) -> &Template {
        let last = slots.len().saturating_sub(1);
        let index = usize::try_from(gpus).unwrap_or(last).min(last);
        #[expect(
            clippy::indexing_slicing,
            reason = "there are MAX_GPUS + 1 slots, and last is one"
        )]
        slots[index].get_or_init(|| Box::new(make()))
    }

    /// The profile chosen for a pod with `gpus` GPUs.
    pub fn selected(&self, gpus: u32, kubernetes_mode: bool) -> Selected<'_> {
        let template =
            if kubernetes_mode { self.kubernetes_template(gpus) } else { self.template(gpus) };
        Selected { name: &self.name, digest: &self.digest, template, gpus_overruled: None }
    }

    /// The PodTemplateSpec for `gpus` GPUs, for people to read.
    pub fn pod_template(&self, gpus: u32) -> Value {
        layered(&self.spec, gpus)
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, origin, digest, .. } = self;
        write!(formatter, "Profile({name} from {origin}, {digest})")
    }
}

/// The whole template: short forms written out, the profile's own template over them.
pub(super) fn layered(spec: &RunnerProfileSpec, gpus: u32) -> Value {
    let mut template = expand(spec, gpus);
    if let Some(over) = &spec.template {
        make_room(&mut template, over);
        layer::template(&mut template, over, Nulls::Delete);
        follow_limits(&mut template, over);
    }
    normal::template(&mut template);
    template
}

/// Takes what the short forms put into `initContainers` out where `over` has a container of the
/// same name among the ordinary ones, such as an ordinary dind container.
fn make_room(template: &mut Value, over: &Value) {
    let Some(Value::Array(containers)) = over.pointer("/spec/containers") else { return };
    if let Some(Value::Array(short)) = template.pointer_mut("/spec/initContainers") {
        short.retain(|one| containers.iter().all(|other| name_of(other) != name_of(one)));
    }
}

/// Brings requests and limits of extended resources together, of which `over` gives only one.
fn follow_limits(template: &mut Value, over: &Value) {
    for list in ["/spec/containers", "/spec/initContainers"] {
        let Some(Value::Array(own)) = over.pointer(list) else { continue };
        let containers = template.pointer_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let Some(own) = own.iter().find(|own| name_of(own) == name_of(container)) else {
                continue;
            };
            let Some(Value::Object(resources)) = container.get_mut("resources") else { continue };
            let (requests, limits) = (resources.remove("requests"), resources.remove("limits"));
            let members = |value: Option<Value>| match value {
                Some(Value::Object(members)) => members,
                _ => Map::new(),
            };
            let (mut requests, mut limits) = (members(requests), members(limits));
            expand::follow(own.get("resources"), &mut requests, &mut limits);
            for (field, amounts) in [("requests", requests), ("limits", limits)] {
                if !amounts.is_empty() {
                    resources.insert(field.to_owned(), amounts.into());
                }
            }
        }
    }
}

/// The extended resource that GPUs are asked for by.
fn gpu_resource(spec: &RunnerProfileSpec) -> &str {
    spec.gpu.as_ref().and_then(|gpu| gpu.resource.as_deref()).unwrap_or(GPU_RESOURCE)
}

fn compile_template(spec: &RunnerProfileSpec, gpus: u32) -> Template {
    let mut whole = layered(spec, gpus);
    let mut take = |field: &str| match whole.get_mut(field).map(Value::take) {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let metadata = take("metadata");
    let mut pod = take("spec");
    let mut list = |field: &str| match pod.remove(field) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    let (volumes, init_containers, containers) =
        (list("volumes"), list("initContainers"), list("containers"));
    let resource = gpu_resource(spec);
    let count = containers
        .iter()
        .find(|container| name_of(container) == RUNNER)
        .and_then(|runner| runner.pointer("/resources/limits")?.get(resource)?.as_str())
        .and_then(|count| count.parse().ok())
        .unwrap_or_default();
    let start =
        spec.start.as_ref().filter(|_| is_started(spec.start.as_ref())).map(|start| Start {
            group_add: start.group_add.clone().or_else(|| spec.groups.clone()),
            rocr_indices: start.isolation.unwrap_or_default() == Isolation::RocrIndices,
            cpuset: start.cpuset == Some(true),
            wait_for_docker: start.wait_for_docker_seconds.unwrap_or(WAIT_FOR_DOCKER_SECONDS),
            docker_config: spec
                .dind
                .as_ref()
                .is_some_and(|dind| dind.is_enabled() && dind.registry_credentials.is_some()),
        });
    Template {
        metadata,
        spec: pod,
        volumes,
        init_containers,
        containers,
        gpu: (count > 0).then(|| Gpu { resource: resource.to_owned(), count }),
        start,
    }
}

/// A digest over everything that goes into a pod, so that two pods with the same digest got the
/// same.
fn digest(spec: &RunnerProfileSpec) -> String {
    let spec = RunnerProfileSpec { extends: None, matches: None, priority: None, ..spec.clone() };
    let mut hash = Sha256::new();
    // A spec is made of JSON values and strings, which always serialise.
    hash.update(serde_json::to_vec(&spec).unwrap_or_default());
    for script in [
        scripts::START,
        scripts::DIND,
        scripts::WRITE_HOOKS,
        scripts::JOB_STARTED,
        scripts::JOB_COMPLETED,
        DIND,
        INIT_EXTERNALS,
    ] {
        hash.update(script.as_bytes());
    }
    let mut text = String::new();
    for byte in hash.finalize() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.truncate(DIGEST_DIGITS);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{File, ProfileSet};

    #[test]
    fn only_the_usual_templates_are_made_ahead() {
        let text = "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\n\
                    metadata: {name: fleet}\n\
                    spec: {extends: rocm, match: {scaleSets: ['a-{gpus}']}, gpu: {count: 3}}\n";
        let file = File { name: "fleet.yaml".to_owned(), text: text.to_owned() };
        let set = ProfileSet::compile(&[file]).unwrap_or_else(|_| ProfileSet::builtin());
        let made = |name: &str| -> Vec<usize> {
            let slots = set.get(name).map(|profile| &profile.templates);
            let slots = slots.into_iter().flat_map(|slots| slots.iter().enumerate());
            slots.filter(|(_, slot)| slot.get().is_some()).map(|(gpus, _)| gpus).collect()
        };
        set.iter().for_each(Profile::warm);
        assert_eq!(made("fleet"), [1, 2, 3, 4, 8]);
        assert_eq!(made("rocm"), [2]);
    }
}
