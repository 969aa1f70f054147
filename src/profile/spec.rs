//! `RunnerProfile`: the one kind that a user writes.
//!
//! The same types give the schema that files are checked against and the CustomResourceDefinition.
//! Parts in Kubernetes' own words stay raw JSON, so that a field this build does not know by
//! type is still passed on; their schema is Kubernetes' own.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        CSIVolumeSource, ConfigMapVolumeSource, EmptyDirVolumeSource, EnvVar,
        EphemeralVolumeSource, HostPathVolumeSource, NFSVolumeSource,
        PersistentVolumeClaimVolumeSource, PodTemplateSpec, ResourceRequirements,
        SecretVolumeSource, VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::LabelSelector},
};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::podspec::resources::AMD_GPU;

use super::{
    normal::text_of,
    template::{EPHEMERAL_STORAGE, RUNNER, name_of},
};

/// The API group of the kind.
pub const GROUP: &str = "arc-rocm.dev";
/// Its `apiVersion`.
pub const API_VERSION: &str = "arc-rocm.dev/v1alpha1";
/// Its `kind`.
pub const KIND: &str = "RunnerProfile";
/// Its plural, as in `kubectl get runnerprofiles`.
pub const PLURAL: &str = "runnerprofiles";
/// What an object's problems and its profile's origin are shown with, before its name: what
/// kubectl calls it.
pub const OBJECT_PREFIX: &str = "runnerprofiles.arc-rocm.dev/";

/// What runner pods of some scale sets get.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[kube(
    group = "arc-rocm.dev",
    version = "v1alpha1",
    kind = "RunnerProfile",
    status = "super::status::RunnerProfileStatus"
)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RunnerProfileSpec {
    /// The profile that this one builds on. `base` and `rocm` are built in.
    pub extends: Option<String>,
    /// What this profile does not inherit: JSON pointers into the inherited spec, such as `/dind` or
    /// `/template/spec/nodeSelector/pytorch`. An item of a list goes by its key. Not inherited.
    pub remove: Option<Vec<String>>,
    /// Which pods get this profile. Without it, only those that name it in the annotation
    /// `arc-rocm.dev/profile`. Not inherited.
    #[serde(rename = "match")]
    pub matches: Option<Match>,
    /// Of several profiles that match, the highest priority wins. Default 0. Not inherited.
    pub priority: Option<i32>,
    /// What runner pods of ARC's kubernetes modes get, whose jobs run in other pods.
    pub kubernetes_mode: Option<KubernetesMode>,
    /// GPUs, and what comes with them.
    pub gpu: Option<Gpu>,
    /// GIDs that own /dev/kfd and /dev/dri/renderD* on the nodes. They become the pod's
    /// supplementalGroups, and `--group-add` flags in gha-render-devices.
    pub groups: Option<Vec<i64>>,
    /// The runner container.
    pub runner: Option<Runner>,
    /// Docker-in-Docker, as a native sidecar.
    pub dind: Option<Dind>,
    /// The start wrapper of the runner container.
    pub start: Option<Start>,
    /// Scripts that the runner runs at a job's start and end.
    pub job_hooks: Option<JobHooks>,
    /// Volumes mounted at the same path in runner and dind, so that `docker run -v PATH:PATH`
    /// means the same in both.
    pub shared_volumes: Option<Vec<SharedVolume>>,
    /// Anything else, in Kubernetes' own words. A `template:` block of a scale set's values file
    /// works here as it is.
    #[schemars(with = "Option<PodTemplateSpec>")]
    pub template: Option<Value>,
}

impl RunnerProfileSpec {
    /// The extended resource that GPUs are.
    pub fn gpu_resource(&self) -> &str {
        self.gpu.as_ref().and_then(|gpu| gpu.resource.as_deref()).unwrap_or(AMD_GPU)
    }

    /// The name of the ResourceClaimTemplate that GPUs come by, with `{gpus}` in it.
    pub fn gpu_claim_template(&self) -> Option<&str> {
        self.gpu.as_ref()?.resource_claim_template_name.as_deref()
    }

    /// The number of GPUs that the runner's own resources give, in `template` or in `runner`: it
    /// is the number wherever else another one may stand.
    pub fn fixed_gpus(&self) -> Option<u32> {
        let containers = self.template.as_ref().and_then(|it| it.pointer("/spec/containers"));
        let mut containers = containers.and_then(Value::as_array).into_iter().flatten();
        let in_template = containers
            .find(|container| name_of(container) == RUNNER)
            .and_then(|container| container.get("resources"));
        let in_runner = self.runner.as_ref().and_then(|runner| runner.resources.as_ref());
        [in_template, in_runner].into_iter().flatten().find_map(|resources| {
            let amount = |map: &str| resources.get(map)?.get(self.gpu_resource());
            text_of(amount("limits").or_else(|| amount("requests"))?)?.parse().ok()
        })
    }
}

/// Which pods a profile is for. All that is given must match; an empty `match` matches every
/// runner pod.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Match {
    /// Patterns for the scale set's name, of which one must match. `*` is any text; `{gpus}` is a
    /// run of digits that no other digit touches, and gives the number of GPUs.
    pub scale_sets: Option<Vec<String>>,
    /// With `true`, a runner that asks for the profile's `gpu.resource` by itself matches as one
    /// whose scale set's name does.
    pub requests_gpu: Option<bool>,
    /// Patterns for the namespace, of which one must match. `*` is any text.
    pub namespaces: Option<Vec<String>>,
    /// Patterns for the GitHub organization, of which one must match. `*` is any text.
    pub organizations: Option<Vec<String>>,
    /// Patterns for the GitHub repository, of which one must match. `*` is any text.
    pub repositories: Option<Vec<String>>,
    /// Patterns for the GitHub enterprise, of which one must match. `*` is any text.
    pub enterprises: Option<Vec<String>>,
    /// A selector over the pod's labels.
    #[schemars(with = "Option<LabelSelector>")]
    pub selector: Option<Value>,
}

/// What a runner pod of ARC's kubernetes modes gets.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum KubernetesMode {
    /// Nothing: its jobs run in other pods, and GPUs that it held would idle.
    #[default]
    Skip,
    /// GPUs, groups, node selector, tolerations and the rest of the pod's own fields, but no
    /// dind, no volumes and no start wrapper.
    Resources,
}

/// GPUs, and what comes with them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Gpu {
    /// The extended resource. Default `amd.com/gpu`.
    pub resource: Option<String>,
    /// The ResourceClaimTemplate, in the runners' namespace, that GPUs come by instead (Dynamic
    /// Resource Allocation). `{gpus}` in its name is the number of GPUs: `gpu-{gpus}`.
    pub resource_claim_template_name: Option<String>,
    /// The number of GPUs where neither the scale set's name (`{gpus}`) nor the annotation
    /// `arc-rocm.dev/gpus` gives it. 0 is a CPU runner.
    #[schemars(range(min = 0, max = 64))]
    pub count: Option<u32>,
    /// Requests of the runner, times the number of GPUs.
    pub per_gpu: Option<Amounts>,
    /// Requests of the runner, whatever the number of GPUs.
    pub total: Option<Amounts>,
    /// Requests of a runner with this number of GPUs, such as `"2"`, in place of those in `perGpu`
    /// and `total`, which hold for all other numbers.
    pub by_count: Option<BTreeMap<String, Amounts>>,
    /// Which of these requests are limits as well. Ephemeral storage always is.
    pub limits: Option<Vec<AmountName>>,
}

/// A resource of [`Amounts`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AmountName {
    /// CPU cores.
    Cpu,
    /// Memory.
    Memory,
}

impl AmountName {
    /// The resource's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

impl Gpu {
    /// The numbers of GPUs that have amounts of their own. Other keys are a problem.
    pub fn by_count(&self) -> impl Iterator<Item = (u32, &Amounts)> {
        let counts = self.by_count.iter().flatten();
        counts.filter_map(|(count, amounts)| Some((count.parse().ok()?, amounts)))
    }

    /// Whether the request of this resource is its limit as well.
    pub fn is_limit(&self, name: &str) -> bool {
        name == EPHEMERAL_STORAGE
            || self.limits.iter().flatten().any(|limited| limited.as_str() == name)
    }
}

/// Requests of the runner. Ephemeral storage is also its limit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Amounts {
    /// CPU cores.
    #[schemars(with = "Option<Quantity>")]
    pub cpu: Option<Value>,
    /// Memory.
    #[schemars(with = "Option<Quantity>")]
    pub memory: Option<Value>,
    /// Ephemeral storage, as request and limit.
    #[schemars(with = "Option<Quantity>")]
    pub ephemeral_storage: Option<Value>,
}

/// The runner container.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Runner {
    /// The image, where the scale set has only the chart's default.
    pub image: Option<String>,
    /// Its pull policy.
    pub image_pull_policy: Option<String>,
    /// Requests and limits.
    #[schemars(with = "Option<ResourceRequirements>")]
    pub resources: Option<Value>,
    /// Environment variables.
    #[schemars(with = "Option<Vec<EnvVar>>")]
    pub env: Option<Value>,
    /// Mounts of volumes of `template`.
    #[schemars(with = "Option<Vec<VolumeMount>>")]
    pub volume_mounts: Option<Value>,
}

/// Docker-in-Docker.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Dind {
    /// `false` takes an inherited dind away.
    pub enabled: Option<bool>,
    /// The image. Default `docker:29-dind`.
    pub image: Option<String>,
    /// Its pull policy.
    pub image_pull_policy: Option<String>,
    /// The GID of Docker's socket; the `docker` group of the runner image. Default 123.
    pub gid: Option<u32>,
    /// Where dockerd keeps images and containers.
    pub data_root: Option<DataRoot>,
    /// Registries to ask first for images of Docker Hub.
    pub registry_mirrors: Option<Vec<String>>,
    /// Registries to talk to without TLS.
    pub insecure_registries: Option<Vec<String>>,
    /// The MTU of Docker's networks and of those that jobs create, where that of the pod network is
    /// below 1500. Needs Docker 24 or later.
    #[schemars(range(min = 68, max = 65535))]
    pub mtu: Option<u32>,
    /// Requests and limits.
    #[schemars(with = "Option<ResourceRequirements>")]
    pub resources: Option<Value>,
    /// More arguments of dockerd.
    pub extra_args: Option<Vec<String>>,
    /// Environment variables of dockerd; jobs do not see them.
    #[schemars(with = "Option<Vec<EnvVar>>")]
    pub env: Option<Value>,
    /// Registry credentials for the runner's docker CLI.
    pub registry_credentials: Option<RegistryCredentials>,
}

impl Dind {
    /// Whether there is a dind: a profile that extends another can take it away.
    pub fn is_enabled(&self) -> bool {
        self.enabled != Some(false)
    }
}

/// Where dockerd keeps images and containers: at most one volume source; an emptyDir without.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DataRoot {
    /// The directory, the same in dind and runner. Default `/var/lib/docker`.
    pub path: Option<String>,
    /// A directory that goes with the pod.
    #[schemars(with = "Option<EmptyDirVolumeSource>")]
    pub empty_dir: Option<Value>,
    /// A directory of the node. Needs `subPathExpr`: two dockerds on one directory corrupt it.
    #[schemars(with = "Option<HostPathVolumeSource>")]
    pub host_path: Option<Value>,
    /// A claim. Needs `subPathExpr`: two dockerds on one directory corrupt it.
    #[schemars(with = "Option<PersistentVolumeClaimVolumeSource>")]
    pub persistent_volume_claim: Option<Value>,
    /// A claim made for the pod.
    #[schemars(with = "Option<EphemeralVolumeSource>")]
    pub ephemeral: Option<Value>,
    /// The directory inside the volume, such as `$(POD_NAME)-docker`.
    pub sub_path_expr: Option<String>,
}

/// Registry credentials.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryCredentials {
    /// A Secret of type `kubernetes.io/dockerconfigjson` in the scale set's namespace.
    pub secret_name: String,
}

/// The start wrapper.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Start {
    /// `false` takes an inherited wrapper away.
    pub enabled: Option<bool>,
    /// The `--group-add` flags of gha-render-devices. Default: `groups`, and without those the
    /// GIDs that /dev/kfd and the container's render nodes have.
    pub group_add: Option<Vec<i64>>,
    /// What gha-gpu-isolation-settings says. Default `RocrIndices`.
    pub isolation: Option<Isolation>,
    /// More lines of gha-gpu-isolation-settings, by variable. A job's container gets them with those
    /// of `isolation`.
    pub isolation_env: Option<BTreeMap<String, String>>,
    /// Whether gha-render-devices and gha-docker-cpu-flags also name the CPUs that the runner's
    /// cpuset has. Default `false`.
    pub cpuset: Option<bool>,
    /// How long to wait for Docker before the runner fails, in seconds; 0 does not wait.
    /// Default 120.
    #[schemars(range(min = 0, max = 3600))]
    pub wait_for_docker_seconds: Option<u32>,
}

/// How a job's container that has all of /dev/dri learns which GPUs are its own.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Isolation {
    /// `ROCR_VISIBLE_DEVICES` with the GPUs' indices among all of the node: for containers with
    /// `--device /dev/dri`. One that has its own devices only counts from 0, and must not get it.
    #[default]
    RocrIndices,
    /// Nothing, in an empty file: for jobs that pass the file on beside their own devices.
    Empty,
}

/// Scripts that the runner runs at a job's start (is memory of the GPUs held by others?) and end
/// (are containers left?).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JobHooks {
    /// `false` takes inherited hooks away.
    pub enabled: Option<bool>,
    /// The memory of a GPU, in MiB, that may be in use at a job's start; with more the job fails.
    /// Default 1024.
    #[serde(rename = "maxUsedVramMiB")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_used_vram_mib: Option<u32>,
}

/// A volume mounted at the same path in runner and dind: exactly one source.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SharedVolume {
    /// The volume's name.
    pub name: String,
    /// Where, in both.
    pub mount_path: String,
    /// Whether it can only be read.
    pub read_only: Option<bool>,
    /// The directory or file inside the volume.
    pub sub_path: Option<String>,
    /// The same with variables, such as `$(POD_NAME)`.
    pub sub_path_expr: Option<String>,
    /// More places for the same volume, in both.
    pub also: Option<Vec<SharedMount>>,
    /// A directory of the node.
    #[schemars(with = "Option<HostPathVolumeSource>")]
    pub host_path: Option<Value>,
    /// A directory that goes with the pod.
    #[schemars(with = "Option<EmptyDirVolumeSource>")]
    pub empty_dir: Option<Value>,
    /// A claim.
    #[schemars(with = "Option<PersistentVolumeClaimVolumeSource>")]
    pub persistent_volume_claim: Option<Value>,
    /// A claim made for the pod.
    #[schemars(with = "Option<EphemeralVolumeSource>")]
    pub ephemeral: Option<Value>,
    /// An NFS export.
    #[schemars(with = "Option<NFSVolumeSource>")]
    pub nfs: Option<Value>,
    /// A CSI volume.
    #[schemars(with = "Option<CSIVolumeSource>")]
    pub csi: Option<Value>,
    /// Files of a ConfigMap.
    #[schemars(with = "Option<ConfigMapVolumeSource>")]
    pub config_map: Option<Value>,
    /// Files of a Secret.
    #[schemars(with = "Option<SecretVolumeSource>")]
    pub secret: Option<Value>,
}

/// One place of a shared volume.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SharedMount {
    /// Where, in both.
    pub mount_path: String,
    /// Whether it can only be read.
    pub read_only: Option<bool>,
    /// The directory or file inside the volume.
    pub sub_path: Option<String>,
    /// The same with variables, such as `$(POD_NAME)`.
    pub sub_path_expr: Option<String>,
}

impl SharedVolume {
    /// All places of the volume.
    pub fn mounts(&self) -> impl Iterator<Item = SharedMount> {
        let Self { mount_path, read_only, sub_path, sub_path_expr, also, .. } = self.clone();
        let first = SharedMount { mount_path, read_only, sub_path, sub_path_expr };
        std::iter::once(first).chain(also.into_iter().flatten())
    }
}
