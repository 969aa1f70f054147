//! What a profile compiles to: the template that the plan lays under a pod.

use std::sync::Arc;

use serde_json::Value;

pub use crate::podspec::RUNNER;
use crate::podspec::{Json, Quantity};

/// The Docker-in-Docker container's name in ARC's charts.
pub const DIND: &str = "dind";
/// The name of the init container that copies the runner's externals in ARC's charts.
pub const INIT_EXTERNALS: &str = "init-dind-externals";
/// The init container that writes the scripts of job hooks.
pub const INIT_HOOKS: &str = "init-job-hooks";
/// Init containers that have the runner's image unless the profile gives them another.
pub const HAS_RUNNERS_IMAGE: [&str; 2] = [INIT_EXTERNALS, INIT_HOOKS];
/// The volume that the scripts of job hooks are on.
pub const HOOKS_VOLUME: &str = "job-hooks";
/// The webhook's own image, where pods have the scripts from it.
pub const SCRIPTS_VOLUME: &str = "arc-rocm-scripts";
/// The volume that holds Docker's socket, as ARC's charts name it.
pub const SOCKET_VOLUME: &str = "dind-sock";
/// The volume that holds the copied externals, as ARC's charts name it.
pub const EXTERNALS_VOLUME: &str = "dind-externals";
/// The volume below dockerd's data-root, as the seed names it.
pub const DATA_VOLUME: &str = "docker-data";
/// The volume that jobs work in, as ARC's charts name it.
pub const WORK_VOLUME: &str = "work";
/// The volume with the files that tell jobs their GPUs, as the seed names it.
pub const PODINFO_VOLUME: &str = "podinfo";
/// The volume with the Secret of registry credentials.
pub const REGISTRY_CREDENTIALS_VOLUME: &str = "registry-credentials";
/// Where jobs look for the files that tell them their GPUs (rocm-contracts: every consumer has this path
/// built in).
pub const PODINFO_PATH: &str = "/etc/podinfo";
/// The runner's work directory, as ARC registers it.
pub const WORK_PATH: &str = "/home/runner/_work";
/// The runner's externals.
pub const EXTERNALS_PATH: &str = "/home/runner/externals";
/// The image of dind where a profile names none: Docker's official one, of a pinned major version.
pub const DIND_IMAGE: &str = "docker:29-dind";
/// The GID of the `docker` group in GitHub's runner image.
pub const DOCKER_GID: u32 = 123;
/// Docker's own data-root.
pub const DATA_ROOT: &str = "/var/lib/docker";
/// The one amount of `gpu` that is always a limit as well.
pub const EPHEMERAL_STORAGE: &str = "ephemeral-storage";
/// Where the Secret with registry credentials is mounted in the runner.
pub const REGISTRY_CREDENTIALS_PATH: &str = "/etc/arc-rocm/docker";
/// The file of the Secret there, in the form of the docker CLI's own.
pub const REGISTRY_CREDENTIALS_FILE: &str = "config.json";
/// The variable that holds the socket's GID, as in ARC's chart.
pub const GID_VARIABLE: &str = "DOCKER_GROUP_GID";
/// Volume sources that live and die with the pod.
pub const SCRATCH: [&str; 2] = ["emptyDir", "ephemeral"];
/// The variable that tells job hooks the number of the runner's GPUs. A template has it without a
/// value, which the plan fills in.
pub const GPUS_VARIABLE: &str = "ARC_ROCM_GPUS";
/// The name of the claim for the runner's GPUs.
pub const GPU_CLAIM: &str = "gpu";
/// What the number of GPUs takes the place of.
pub const GPUS: &str = "{gpus}";
/// Volumes that mean nothing without the dind container that this profile adds.
pub const DIND_VOLUMES: [&str; 3] = [SOCKET_VOLUME, EXTERNALS_VOLUME, DATA_VOLUME];

/// Requests of containers that run beside the runner, by resource: 1m of CPU gives the same shares
/// as no request does (the kubelet's least), and 1Mi is far below what any node has to spare.
pub const LEAST: [(&str, &str); 3] =
    [("cpu", "1m"), ("memory", "1Mi"), ("ephemeral-storage", "1Mi")];

/// A PodTemplateSpec taken apart, everything checked. One for all numbers of GPUs: what depends on
/// the number is the runner's resources.
#[derive(Clone, Debug, Default)]
pub struct Template {
    /// `metadata.labels`
    pub labels: Fields,
    /// `metadata.annotations`
    pub annotations: Fields,
    /// Fields of the pod's spec, but for the lists below.
    pub spec: Fields,
    /// `spec.volumes`
    pub volumes: Vec<Json<'static>>,
    /// `spec.initContainers`, in the order in which they go in.
    pub init_containers: Vec<Json<'static>>,
    /// `spec.containers`; the runner's without requests and limits.
    pub containers: Vec<Json<'static>>,
    /// The runner's requests and limits.
    pub resources: Vec<RunnerResource>,
    /// The extended resource that GPUs are asked for by.
    pub gpu_resource: String,
    /// The name of the ResourceClaimTemplate that GPUs are asked for by instead, with [`GPUS`].
    pub gpu_claim_template: Option<String>,
    /// The start wrapper, unless the profile does without.
    pub start: Option<Start>,
    /// The same with the scripts' text, where this one has [`SCRIPTS_VOLUME`]: for a pod that has no
    /// room for its mount.
    pub inline: Option<Arc<Self>>,
}

/// Fields by their names.
pub type Fields = Vec<(String, Json<'static>)>;

/// Request and limit of one resource of the runner.
#[derive(Clone, Debug)]
pub struct RunnerResource {
    /// The resource.
    pub name: String,
    /// The request, if the profile has one.
    pub request: Option<Amount>,
    /// The limit, if the profile has one.
    pub limit: Option<Amount>,
}

/// An amount of a resource.
#[derive(Clone, Debug)]
pub enum Amount {
    /// The same for every number of GPUs.
    Fixed(Quantity),
    /// So much for each GPU; nothing without GPUs.
    PerGpu(Quantity),
    /// The first for a runner with so many GPUs; the second for all others.
    ByCount(u32, Quantity, Box<Self>),
}

impl Amount {
    /// The amount for a runner with `gpus` GPUs; `None` where that is nothing, or too large.
    pub fn of(&self, gpus: u32) -> Option<Quantity> {
        match self {
            Self::Fixed(amount) => Some(amount.clone()),
            Self::PerGpu(_) if gpus == 0 => None,
            Self::PerGpu(amount) => amount.checked_times(gpus),
            Self::ByCount(count, amount, _) if *count == gpus => Some(amount.clone()),
            Self::ByCount(_, _, others) => others.of(gpus),
        }
    }
}

/// What the start wrapper is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// The command up to the options: a shell with the script, or with its file in an image.
    pub command: Vec<Json<'static>>,
    /// The options that are the same for every runner of the profile, such as `--group-add=110`.
    pub options: Vec<String>,
    /// How long to wait for Docker, in seconds; 0 does not wait.
    pub wait_for_docker: u32,
    /// Whether registry credentials are there for the docker CLI.
    pub docker_config: bool,
}

/// The name of a list's item.
pub(crate) fn name_of(item: &Value) -> &str {
    item.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// The name of the ResourceClaimTemplate for `gpus` GPUs; `None` without GPUs.
pub(crate) fn gpu_claim_template(name: &str, gpus: u32) -> Option<String> {
    (gpus > 0).then(|| name.replace(GPUS, &gpus.to_string()))
}

impl Template {
    /// The container `name` of `containers`.
    pub fn container(&self, name: &str) -> Option<&Json<'static>> {
        self.containers.iter().find(|container| container.text("name") == name)
    }

    /// The dind container, in whichever list it is.
    pub fn dind(&self) -> Option<&Json<'static>> {
        self.init_containers.iter().chain(&self.containers).find(|one| one.text("name") == DIND)
    }

    /// The field `name` of the pod's spec.
    pub fn field(&self, name: &str) -> Option<&Json<'static>> {
        self.spec.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// Whether the profile says anything of GPUs; one whose number is 0 does.
    pub fn has_gpus(&self) -> bool {
        self.gpu_claim_template.is_some() || self.gpu().is_some()
    }

    /// The claim for the GPUs of a runner with `gpus` GPUs, an item of `spec.resourceClaims`;
    /// `None` without GPUs, or where they are an extended resource.
    pub fn gpu_claim(&self, gpus: u32) -> Option<Json<'static>> {
        let name = gpu_claim_template(self.gpu_claim_template.as_deref()?, gpus)?;
        let members = [("name", GPU_CLAIM.into()), ("resourceClaimTemplateName", name.into())];
        Some(Json::Object(members.map(|(key, value)| (key.into(), value)).into()))
    }

    fn gpu(&self) -> Option<&RunnerResource> {
        self.resources.iter().find(|resource| resource.name == self.gpu_resource)
    }

    /// The number of GPUs that a runner with `gpus` GPUs asks for: 0 on a profile without GPUs.
    pub fn gpus(&self, gpus: u32) -> u32 {
        if self.gpu_claim_template.is_some() {
            return gpus;
        }
        let amount = self.gpu().and_then(|gpu| gpu.limit.as_ref()?.of(gpus));
        amount.and_then(|amount| u32::try_from(amount.whole()?).ok()).unwrap_or_default()
    }
}
