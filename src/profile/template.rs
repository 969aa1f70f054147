//! What a profile compiles to: the overlay that the plan lays under a pod.

use serde_json::{Map, Value};

pub use crate::podspec::RUNNER;
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
/// Where the Secret with registry credentials is mounted in the runner.
pub const REGISTRY_CREDENTIALS_PATH: &str = "/etc/arc-rocm/docker";
/// The file of the Secret there, in the form of the docker CLI's own.
pub const REGISTRY_CREDENTIALS_FILE: &str = "config.json";
/// The variable that holds the socket's GID, as in ARC's chart.
pub const GID_VARIABLE: &str = "DOCKER_GROUP_GID";
/// Volumes that mean nothing without the dind container that this profile adds.
pub const DIND_VOLUMES: [&str; 3] = [SOCKET_VOLUME, EXTERNALS_VOLUME, DATA_VOLUME];

/// An overlay for one GPU count: a PodTemplateSpec taken apart, everything checked.
#[derive(Clone, Debug, Default)]
pub struct Template {
    /// `metadata.labels` and `metadata.annotations`.
    pub metadata: Map<String, Value>,
    /// Fields of the pod's spec, but for the lists below.
    pub spec: Map<String, Value>,
    /// `spec.volumes`
    pub volumes: Vec<Value>,
    /// `spec.initContainers`, in the order in which they go in.
    pub init_containers: Vec<Value>,
    /// `spec.containers`
    pub containers: Vec<Value>,
    /// The GPUs that the runner asks for; none on a CPU profile.
    pub gpu: Option<Gpu>,
    /// The start wrapper, unless the profile does without.
    pub start: Option<Start>,
}

/// GPUs that a runner asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gpu {
    /// The extended resource, such as `amd.com/gpu`.
    pub resource: String,
    /// How many; at least 1.
    pub count: u32,
}

/// What the start wrapper is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Start {
    /// The GIDs that `gha-render-devices` passes on with `--group-add`; without, those that the
    /// render nodes have.
    pub group_add: Option<Vec<i64>>,
    /// Whether `gha-gpu-isolation-settings` gets the GPUs' indices among all of the node.
    pub rocr_indices: bool,
    /// Whether jobs are told the runner's cpuset.
    pub cpuset: bool,
    /// How long to wait for Docker, in seconds; 0 does not wait.
    pub wait_for_docker: u32,
    /// Whether registry credentials are there for the docker CLI.
    pub docker_config: bool,
}

/// Names of the items of a list.
pub(crate) fn name_of(item: &Value) -> &str {
    item.get("name").and_then(Value::as_str).unwrap_or_default()
}

impl Template {
    /// The overlay's container `name` in `containers`.
    pub(crate) fn container(&self, name: &str) -> Option<&Value> {
        self.containers.iter().find(|container| name_of(container) == name)
    }

    /// The overlay's dind container, in whichever list it is.
    pub(crate) fn dind(&self) -> Option<&Value> {
        self.init_containers.iter().chain(&self.containers).find(|item| name_of(item) == DIND)
    }
}
