//! The short forms, written out as the PodTemplateSpec that they stand for.

mod dind;
mod hooks;

use serde_json::{Map, Value, json};

use super::{
    layer::layer,
    spec::{Amounts, Dind, Gpu, RunnerProfileSpec, SharedMount, SharedVolume, Start},
    template::{EPHEMERAL_STORAGE, PODINFO_PATH, PODINFO_VOLUME, RUNNER, SCRIPTS_VOLUME},
};
use crate::{
    podspec::{image::default_pull_policy, merge::Merge},
    scripts,
};

/// The variable from which jobs take their number of threads (rocm-contracts, section 1).
const CPU_VARIABLE: &str = "KUBE_CPU_REQUEST";
/// As long as ARC's own chart lets a runner wait for Docker.
pub(super) const WAIT_FOR_DOCKER_SECONDS: u32 = 120;

/// A pod template in the making: lists by the names that the short forms use.
#[derive(Default)]
struct Parts {
    /// Whether the scripts come from an image.
    has_scripts_image: bool,
    pod: Map<String, Value>,
    volumes: Vec<Value>,
    init_containers: Vec<Value>,
    runner: Map<String, Value>,
    runner_env: Vec<Value>,
    runner_mounts: Vec<Value>,
    runner_requests: Map<String, Value>,
    runner_limits: Map<String, Value>,
}

/// Writes the short forms out as a PodTemplateSpec; the runner's amounts as they are written. The
/// scripts come from `scripts_image`, or as text.
pub(super) fn expand(spec: &RunnerProfileSpec, scripts_image: Option<&str>) -> Value {
    let RunnerProfileSpec {
        extends: _,
        remove: _,
        matches: _,
        priority: _,
        kubernetes_mode: _,
        gpu,
        groups,
        runner,
        dind,
        start,
        job_hooks,
        shared_volumes,
        template,
    } = spec;
    let mut parts = Parts { has_scripts_image: scripts_image.is_some(), ..Parts::default() };
    if let Some(groups) = groups.as_ref().filter(|groups| !groups.is_empty()) {
        parts.pod.insert("securityContext".into(), json!({"supplementalGroups": groups}));
    }
    if let Some(gpu) = gpu {
        parts.gpu(gpu);
    }
    let shared = shared_volumes.as_deref().unwrap_or_default();
    match dind.as_ref().filter(|dind| dind.is_enabled()) {
        Some(dind) => parts.dind(dind, shared, template.as_ref()),
        None if shared.iter().any(dind::uses_pod_name) => {
            parts.runner_env.push(dind::pod_name());
        }
        None => {}
    }
    for shared in shared {
        parts.volumes.push(shared_volume(shared));
        parts.runner_mounts.extend(shared_mounts(shared));
    }
    if is_started(start.as_ref()) {
        parts.volumes.push(json!({"name": PODINFO_VOLUME, "emptyDir": {}}));
        parts.runner_mounts.push(json!({"name": PODINFO_VOLUME, "mountPath": PODINFO_PATH}));
        // Whole CPUs, rounded up: jobs cut a fraction off, and 0.5 would become no thread at all.
        let request = json!({"resource": "requests.cpu", "divisor": "1"});
        parts
            .runner_env
            .push(json!({"name": CPU_VARIABLE, "valueFrom": {"resourceFieldRef": request}}));
    }
    let hooks = job_hooks.as_ref().filter(|hooks| hooks.enabled != Some(false));
    if let Some(hooks) = hooks {
        parts.hooks(hooks);
    }
    if let Some(image) = scripts_image {
        let has_dind = dind.as_ref().is_some_and(Dind::is_enabled);
        parts.scripts_image(image, is_started(start.as_ref()) || hooks.is_some(), has_dind);
    }
    if let Some(runner) = runner {
        if let Some(image) = &runner.image {
            let policy = runner.image_pull_policy.as_deref();
            let policy = policy.unwrap_or_else(|| default_pull_policy(image));
            parts.runner.insert("image".into(), image.as_str().into());
            parts.runner.insert("imagePullPolicy".into(), policy.into());
        }
        for (field, into) in
            [("requests", &mut parts.runner_requests), ("limits", &mut parts.runner_limits)]
        {
            if let Some(Value::Object(amounts)) =
                runner.resources.as_ref().and_then(|all| all.get(field))
            {
                into.extend(amounts.clone());
            }
        }
        for (value, into, keys) in [
            (&runner.env, &mut parts.runner_env, &["name"] as &[_]),
            (&runner.volume_mounts, &mut parts.runner_mounts, &["mountPath"]),
        ] {
            if let Some(value) = value {
                layer_items(into, value, keys);
            }
        }
    }
    parts.template()
}

/// Lays the list `over` onto `items`.
fn layer_items(items: &mut Vec<Value>, over: &Value, keys: &'static [&'static str]) {
    let mut list = Value::Array(std::mem::take(items));
    layer(&mut list, over, Merge::Keyed(keys));
    if let Value::Array(layered) = list {
        *items = layered;
    }
}

/// Whether the profile has a start wrapper.
pub(super) fn is_started(start: Option<&Start>) -> bool {
    start.is_some_and(|start| start.enabled != Some(false))
}

impl Parts {
    /// The volume with the scripts, and the runner's mount of it. dind has its own.
    fn scripts_image(&mut self, image: &str, is_runners: bool, is_dinds: bool) {
        if is_runners || is_dinds {
            self.volumes.push(json!({"name": SCRIPTS_VOLUME, "image": {"reference": image}}));
        }
        if is_runners {
            self.runner_mounts.push(scripts_mount());
        }
    }

    /// The amounts as they are written: those that are quantities are set for a number of GPUs by
    /// `compiled`, the others are there for the checks to see.
    fn gpu(&mut self, gpu: &Gpu) {
        for amounts in [&gpu.total, &gpu.per_gpu].into_iter().flatten() {
            for (name, amount) in each(amounts) {
                self.runner_requests.insert(name.into(), amount.clone());
            }
        }
    }

    /// The PodTemplateSpec of these parts.
    fn template(mut self) -> Value {
        let mut set = |field: &str, items: Vec<Value>| {
            if !items.is_empty() {
                self.runner.insert(field.into(), items.into());
            }
        };
        set("env", self.runner_env);
        set("volumeMounts", self.runner_mounts);
        let mut resources = Map::new();
        for (field, amounts) in [("requests", self.runner_requests), ("limits", self.runner_limits)]
        {
            if !amounts.is_empty() {
                resources.insert(field.into(), amounts.into());
            }
        }
        if !resources.is_empty() {
            self.runner.insert("resources".into(), resources.into());
        }
        if !self.runner.is_empty() {
            self.runner.insert("name".into(), RUNNER.into());
            self.pod.insert("containers".into(), json!([self.runner]));
        }
        for (field, items) in [("volumes", self.volumes), ("initContainers", self.init_containers)]
        {
            if !items.is_empty() {
                self.pod.insert(field.into(), items.into());
            }
        }
        json!({"spec": self.pod})
    }
}

/// Each amount that is given, by its resource's name.
pub(super) fn each(amounts: &Amounts) -> impl Iterator<Item = (&'static str, &Value)> {
    let Amounts { cpu, memory, ephemeral_storage } = amounts;
    [("cpu", cpu), ("memory", memory), (EPHEMERAL_STORAGE, ephemeral_storage)]
        .into_iter()
        .filter_map(|(name, amount)| Some((name, amount.as_ref()?)))
}

/// The mount of the volume with the scripts.
fn scripts_mount() -> Value {
    json!({"name": SCRIPTS_VOLUME, "mountPath": scripts::image::PATH, "readOnly": true})
}

fn shared_volume(shared: &SharedVolume) -> Value {
    let sources = [
        ("hostPath", &shared.host_path),
        ("emptyDir", &shared.empty_dir),
        ("persistentVolumeClaim", &shared.persistent_volume_claim),
        ("ephemeral", &shared.ephemeral),
        ("nfs", &shared.nfs),
        ("csi", &shared.csi),
        ("configMap", &shared.config_map),
        ("secret", &shared.secret),
    ];
    let mut volume = Map::new();
    volume.insert("name".into(), shared.name.as_str().into());
    for (field, source) in sources {
        if let Some(source) = source {
            volume.insert(field.into(), source.clone());
        }
    }
    volume.into()
}

fn shared_mounts(shared: &SharedVolume) -> impl Iterator<Item = Value> {
    shared.mounts().map(|SharedMount { mount_path, read_only, sub_path, sub_path_expr }| {
        let mut mount = Map::new();
        mount.insert("name".into(), shared.name.as_str().into());
        mount.insert("mountPath".into(), mount_path.into());
        if read_only == Some(true) {
            mount.insert("readOnly".into(), true.into());
        }
        for (field, path) in [("subPath", sub_path), ("subPathExpr", sub_path_expr)] {
            mount.extend(path.map(|path| (field.into(), path.into())));
        }
        mount.into()
    })
}
