//! Profiles that an administrator could write, with short forms and pod templates.

use arc_rocm::{
    inject::Config,
    inject::ControllerUsers,
    profile::{File, ProfileSet},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{super::validity::problems, Change, Dice, Step, apply, list, object, steps};

const TABLE: &[(&str, Change)] = &[
    ("gpu", gpu),
    ("claim", claim),
    ("runner", runner),
    ("dind", dind),
    ("dind", dind),
    ("data_root", data_root),
    ("job_hooks", job_hooks),
    ("start", start),
    ("shared_volume", shared_volume),
    ("shared_volume", shared_volume),
    ("pod_metadata", pod_metadata),
    ("scheduling", scheduling),
    ("pod_field", pod_field),
    ("pod_field", pod_field),
    ("pod_security", pod_security),
    ("another_container", another_container),
    ("another_container", another_container),
    ("runner_field", runner_field),
    ("runner_field", runner_field),
    ("runner_port", runner_port),
    ("volume", volume),
    ("dind_template", dind_template),
];

/// A profile that extends the built-in one or stands alone.
/// The image with the scripts.
const SCRIPTS_IMAGE: &str = "registry.example/arc-rocm:1";

#[derive(Clone)]
pub(crate) struct Case {
    extends: bool,
    steps: Vec<Step>,
    has_scripts_image: bool,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let image = if self.has_scripts_image { ", scripts from an image" } else { "" };
        write!(formatter, "{:?} of\n{:#}{image}", self.steps, self.document())
    }
}

pub(crate) fn cases() -> impl Strategy<Value = Case> {
    (prop::bool::weighted(0.8), steps(TABLE, 8), any::<bool>())
        .prop_map(|(extends, steps, has_scripts_image)| Case { extends, steps, has_scripts_image })
}

impl Case {
    /// The profile, with the name `test` and a match of all scale sets.
    pub(crate) fn document(&self) -> Value {
        let base = if self.extends { json!({"extends": "rocm"}) } else { json!({}) };
        let mut spec = apply(base, &self.steps);
        spec["match"] = json!({});
        spec["kubernetesMode"] = "Resources".into();
        json!({
            "apiVersion": "arc-rocm.dev/v1alpha1",
            "kind": "RunnerProfile",
            "metadata": {"name": "test"},
            "spec": spec,
        })
    }

    /// A config with this profile, or `None` if the profile's checks refuse it.
    pub(crate) fn config(&self) -> Option<Config> {
        self.configs().map(|(config, _)| config)
    }

    /// A config with this profile, and another that differs in where the scripts come from.
    pub(crate) fn configs(&self) -> Option<(Config, Config)> {
        let text = self.document().to_string();
        let profiles = ProfileSet::compile(&[File { name: "test.yaml".to_owned(), text }]);
        let inline = profiles.ok()?;
        let image = inline.clone().with_scripts_image(Some(SCRIPTS_IMAGE));
        let (profiles, other) =
            if self.has_scripts_image { (image, inline) } else { (inline, image) };
        let profile = profiles.get("test").unwrap();
        // A profile that is invalid by itself says nothing about the plan.
        let is_good = [0, 1, 8, profile.default_gpus()].into_iter().all(|gpus| {
            let problems = problems(&profile.pod_template(gpus));
            // The pod's own image resolves these problems.
            let own = ["runner: image ", "init-dind-externals: image ", "init-job-hooks: image "];
            problems.iter().all(|problem| own.iter().any(|start| problem.starts_with(start)))
        });
        let config = |profiles| Config::new(profiles, ControllerUsers::default());
        is_good.then(|| (config(profiles), config(other)))
    }
}

fn template(spec: &mut Value) -> &mut Value {
    object(object(spec, "template"), "spec")
}

/// The container `name` of the template.
fn container<'v>(spec: &'v mut Value, field: &str, name: &str) -> &'v mut Value {
    let containers = list(template(spec), field);
    let index = containers.iter().position(|c| c["name"] == name).unwrap_or_else(|| {
        containers.push(json!({"name": name}));
        containers.len() - 1
    });
    &mut containers[index]
}

fn gpu(spec: &mut Value, dice: &mut Dice) {
    let mut gpu = json!({"count": dice.pick(&[0, 1, 2, 8])});
    if dice.chance(50) {
        gpu["perGpu"] = json!({"cpu": "10", "memory": "100Gi", "ephemeral-storage": "50G"});
        if dice.chance(30) {
            gpu["limits"] = json!(["memory"]);
        }
    }
    if dice.chance(20) {
        gpu["resource"] = dice.pick(&["amd.com/gpu", "amd.com/cpx_nps4", "example.com/gpu"]).into();
    }
    if dice.chance(20) {
        gpu["resourceClaimTemplateName"] = dice.pick(&["gpu-{gpus}", "gpus"]).into();
    }
    spec["gpu"] = gpu;
}

/// A network card, by a claim or as an extended resource.
fn claim(spec: &mut Value, dice: &mut Dice) {
    if template(spec)["hostNetwork"] == true {
        return;
    }
    let resources = if dice.chance(50) {
        let claim = json!({"name": "nic", "resourceClaimTemplateName": "nic"});
        template(spec)["resourceClaims"] = json!([claim]);
        json!({"claims": [{"name": "nic"}]})
    } else {
        json!({"limits": {dice.pick(&["amd.com/nic", "amd.com/gpu"]): "1"}})
    };
    container(spec, "containers", "runner")["resources"] = resources;
}

fn runner(spec: &mut Value, dice: &mut Dice) {
    let runner = object(spec, "runner");
    match dice.below(4) {
        0 => {
            runner["image"] =
                dice.pick(&["example.com/rocm:6", "example.com/runner-dind:6"]).into();
        }
        1 => {
            runner["env"] = json!([{"name": dice.pick(&["OWN", "OTHER", "HSA"]), "value": "x"}]);
        }
        2 => {
            let (cpu, memory) = dice.pick(&[("4", "16Gi"), ("64", "900Gi"), ("500m", "1Gi")]);
            runner["resources"] = json!({"requests": {"cpu": cpu, "memory": memory},
                "limits": {"memory": memory}});
        }
        _ => {
            runner["resources"] = json!({"requests": {"cpu": "64"},
                "limits": {"cpu": "96", "hugepages-2Mi": "4Mi"}});
        }
    }
}

fn dind(spec: &mut Value, dice: &mut Dice) {
    let dind = object(spec, "dind");
    match dice.below(7) {
        0 => dind["enabled"] = false.into(),
        1 => dind["image"] = "docker:28-dind".into(),
        2 => dind["gid"] = 999.into(),
        3 => dind["registryMirrors"] = json!(["https://mirror.example.com"]),
        4 => {
            dind["resources"] = json!({"requests": {"cpu": "4", "memory": "8Gi"},
                "limits": {"memory": "16Gi"}});
        }
        5 => dind["registryCredentials"] = json!({"secretName": "regcred"}),
        _ => dind["mtu"] = 1400.into(),
    }
}

fn job_hooks(spec: &mut Value, dice: &mut Dice) {
    spec["jobHooks"] =
        dice.pick(&[json!({}), json!({"enabled": false}), json!({"maxUsedVramMiB": 512})]);
}

fn data_root(spec: &mut Value, dice: &mut Dice) {
    object(spec, "dind")["dataRoot"] = dice.pick(&[
        json!({"emptyDir": {"sizeLimit": "100Gi"}}),
        json!({"path": "/data/docker"}),
        json!({"hostPath": {"path": "/mnt/nvme", "type": "DirectoryOrCreate"},
               "subPathExpr": "$(POD_NAME)-docker"}),
    ]);
}

fn start(spec: &mut Value, dice: &mut Dice) {
    spec["start"] = dice.pick(&[
        json!({"enabled": false}),
        json!({"groupAdd": [44, 110], "waitForDockerSeconds": 0}),
        json!({"isolation": "Empty", "cpuset": true}),
        json!({}),
    ]);
}

fn shared_volume(spec: &mut Value, dice: &mut Dice) {
    let name = dice.pick(&["models", "cache"]);
    let path = dice.pick(&["/models", "/somewhere"]);
    let volumes = list(spec, "sharedVolumes");
    if volumes.iter().any(|volume| volume["name"] == name || volume["mountPath"] == path) {
        return;
    }
    let mut volume = dice.pick(&[
        json!({"hostPath": {"path": "/mnt/models", "type": "Directory"}}),
        json!({"persistentVolumeClaim": {"claimName": "models"}}),
        json!({"configMap": {"name": "models"}, "readOnly": true}),
        json!({"emptyDir": {}, "subPathExpr": "$(POD_NAME)"}),
    ]);
    volume["name"] = name.into();
    volume["mountPath"] = path.into();
    volumes.push(volume);
}

fn pod_metadata(spec: &mut Value, dice: &mut Dice) {
    let map = dice.pick(&["labels", "annotations"]);
    let metadata = object(object(spec, "template"), "metadata");
    object(metadata, map)[dice.pick(&["example.com/key", "team"])] = "rocm".into();
}

fn scheduling(spec: &mut Value, dice: &mut Dice) {
    let pod = template(spec);
    match dice.below(5) {
        0 => object(pod, "nodeSelector")["example.com/key"] = "on".into(),
        1 => {
            let key = dice.pick(&["restartPolicy", "pytorch", "terminationMessagePolicy"]);
            object(pod, "nodeSelector")[key] = "maybe".into();
        }
        2 => {
            pod["tolerations"] = json!([{"key": "amd.com/gpu", "operator": "Exists",
                "effect": "NoSchedule"}]);
        }
        3 => pod["priorityClassName"] = "high".into(),
        _ => pod["imagePullSecrets"] = json!([{"name": "regcred"}]),
    }
}

fn pod_field(spec: &mut Value, dice: &mut Dice) {
    let (field, value) = dice.pick(&[
        ("serviceAccountName", json!("rocm")),
        ("terminationGracePeriodSeconds", json!(600)),
        ("restartPolicy", json!("Never")),
        ("dnsPolicy", json!("None")),
        ("dnsConfig", json!({"nameservers": ["10.9.0.1", "10.9.0.2"], "searches": ["a.example"]})),
        ("hostAliases", json!([{"ip": "10.0.0.9", "hostnames": ["mirror"]}])),
        ("schedulerName", json!("gang")),
        ("enableServiceLinks", json!(false)),
        ("hostNetwork", json!(true)),
        ("hostPID", json!(true)),
        ("hostIPC", json!(true)),
        (
            "topologySpreadConstraints",
            json!([{"maxSkew": 2, "topologyKey":
            "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {}}]),
        ),
    ]);
    let pod = template(spec);
    if field == "dnsPolicy" {
        pod["dnsConfig"] = json!({"nameservers": ["10.9.0.1"]});
    }
    pod[field] = value;
    if pod["hostNetwork"] == true {
        pod.as_object_mut().unwrap().remove("initContainers");
        pod.as_object_mut().unwrap().remove("containers");
    }
}

fn pod_security(spec: &mut Value, dice: &mut Dice) {
    let context = object(template(spec), "securityContext");
    let (field, value) = dice.pick(&[
        ("fsGroup", json!(1001)),
        ("runAsUser", json!(1001)),
        ("runAsUser", json!(0)),
        ("runAsNonRoot", json!(true)),
        ("supplementalGroups", json!([44])),
        ("seccompProfile", json!({"type": "RuntimeDefault"})),
    ]);
    context[field] = value;
}

/// A container beside the runner, a sidecar or an init container.
fn another_container(spec: &mut Value, dice: &mut Dice) {
    if template(spec)["hostNetwork"] == true {
        return;
    }
    let (field, name) = dice.pick(&[
        ("containers", "metrics"),
        ("containers", "proxy"),
        ("initContainers", "logger"),
        ("initContainers", "sidecar"),
        ("initContainers", "prepare"),
    ]);
    let mut new = json!({"name": name, "image": "example.com/tool:1"});
    let runs = field == "containers" || name != "prepare";
    if runs && field == "initContainers" {
        new["restartPolicy"] = "Always".into();
    }
    match dice.below(6) {
        0 if runs => new["startupProbe"] = json!({"exec": {"command": ["true"]}}),
        1 if runs => {
            let port = dice.pick(&[80, 8080, 9100]);
            new["ports"] = json!([{"containerPort": port, "name": "metrics"}]);
        }
        2 => {
            new["resources"] = json!({"requests": {"cpu": "2", "memory": "1Gi"},
                "limits": {"cpu": "4"}});
        }
        3 => {
            new["securityContext"] = dice.pick(&[
                json!({"privileged": true}),
                json!({"runAsUser": 1001, "allowPrivilegeEscalation": false}),
                json!({"capabilities": {"add": ["CAP_SYS_ADMIN"]}}),
                json!({"runAsUser": 0}),
                json!({"runAsNonRoot": true}),
            ]);
        }
        4 => {
            new["volumeMounts"] = json!([{"name": "work", "mountPath": "/work"}]);
            let volumes = list(template(spec), "volumes");
            if !volumes.iter().any(|volume| volume["name"] == "work") {
                volumes.push(json!({"name": "work", "emptyDir": {}}));
            }
        }
        _ => new["command"] = json!(["sleep", "infinity"]),
    }
    *container(spec, field, name) = new;
}

fn runner_field(spec: &mut Value, dice: &mut Dice) {
    if template(spec)["hostNetwork"] == true {
        return;
    }
    let runner = container(spec, "containers", "runner");
    match dice.below(6) {
        0 => {
            runner["securityContext"] = dice.pick(&[
                json!({"privileged": true}),
                json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}),
                json!({"capabilities": {"add": ["CAP_SYS_ADMIN"]}}),
                json!({"runAsUser": 1001, "runAsNonRoot": true}),
                json!({"runAsUser": 0}),
            ]);
        }
        1 => runner["envFrom"] = json!([{"configMapRef": {"name": "rocm"}}]),
        2 => runner["lifecycle"] = json!({"preStop": {"exec": {"command": ["sync"]}}}),
        3 => runner["command"] = json!(["/opt/run.sh"]),
        4 => {
            runner["env"] = json!([
                {"name": "no_proxy", "value": "local"},
                {"name": "NODE_EXTRA_CA_CERTS", "value": "/home/runner/_work/ca.crt"},
            ]);
        }
        _ => runner["livenessProbe"] = json!({"exec": {"command": ["true"]}}),
    }
}

fn runner_port(spec: &mut Value, dice: &mut Dice) {
    if template(spec)["hostNetwork"] == true {
        return;
    }
    let port = dice.pick(&[80, 8080, 9100]);
    let name = dice.pick(&["http", "metrics"]);
    container(spec, "containers", "runner")["ports"] =
        json!([{"containerPort": port, "name": name}]);
}

/// A template over the expanded short form of dind.
fn dind_template(spec: &mut Value, dice: &mut Dice) {
    if spec["extends"] != "rocm" || spec["dind"]["enabled"] == false {
        return;
    }
    let name = dice.pick(&["dind", "init-dind-externals"]);
    let container = container(spec, "initContainers", name);
    match dice.below(6) {
        0 => {
            container["env"] = json!([{"name": "HTTP_PROXY", "value": "http://proxy"},
                {"name": "OWN", "value": "dinds"}]);
        }
        1 => container["image"] = "example.com/engine-dind:1".into(),
        2 => container["resources"] = json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}),
        3 if name == "dind" => container["command"] = json!(["dockerd-entrypoint.sh"]),
        4 if name == "dind" => container["startupProbe"] = json!({"tcpSocket": {"port": 2375}}),
        _ => {
            container["volumeMounts"] =
                json!([{"name": "dind-externals", "mountPath": "/externals", "readOnly": true}]);
        }
    }
}

/// A volume with the name of a built-in one and another source, or with a long name.
fn volume(spec: &mut Value, dice: &mut Dice) {
    let long = "a".repeat(60);
    let name = dice.pick(&["own", "work", long.as_str()]).to_owned();
    let path = if name == "work" { "/home/runner/_work" } else { "/own" };
    let (kind, source) = dice.pick(&[
        ("configMap", json!({"name": "files"})),
        ("secret", json!({"secretName": "files"})),
        ("hostPath", json!({"path": "/mnt/own"})),
    ]);
    let volumes = list(template(spec), "volumes");
    if volumes.iter().any(|volume| volume["name"] == name.as_str()) {
        return;
    }
    volumes.push(json!({"name": name, kind: source}));
    let mounts = list(object(spec, "runner"), "volumeMounts");
    if !mounts.iter().any(|mount| mount["mountPath"] == path) {
        mounts.push(json!({"name": name, "mountPath": path}));
    }
}
