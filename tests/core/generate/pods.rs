//! Runner pods as ARC creates them, with random changes to the scale set's template.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    super::support::review, Change, Dice, Step, apply, list, object, runner, settings,
    some_container, steps, volume,
};

/// The captured pods that generated ones start from.
const BASES: [&str; 7] = [
    "plain",
    "experimental-plain",
    "dind",
    "experimental-dind",
    "dind-regular-container",
    "author-overrides",
    "kubernetes",
];

/// Names of volumes. Most are names of the profile's volumes too.
const VOLUMES: [&str; 10] = [
    "work",
    "dind-sock",
    "dind-externals",
    "docker-data",
    "podinfo",
    "models",
    "arc-rocm-work",
    "arc-rocm-scripts",
    "own",
    "cache",
];

/// Mount paths of the built-in profile, in several spellings, and others.
const PATHS: [&str; 17] = [
    "/home/runner/_work",
    "/home/runner/_work/",
    "/var/run",
    "/var/run/",
    "/run",
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/home/runner/externals",
    "/home/runner/docker-data",
    "/etc/podinfo",
    "/etc/podinfo/",
    "/models",
    "/etc/arc-rocm/docker",
    "/opt",
    "/opt/arc-rocm/",
    "/opt/arc-rocm/own",
    "/somewhere",
];

/// Resource names, with those of the profiles.
pub(super) const RESOURCES: [&str; 10] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "amd.com/gpu",
    "amd.com/cpx_nps4",
    "amd.com/nic",
    "nvidia.com/gpu",
    "example.com/nic",
    "hugepages-2Mi",
    "example.com/a~b",
];

pub(super) const PROBES: [&str; 3] = ["startupProbe", "livenessProbe", "readinessProbe"];

const TABLE: &[(&str, Change)] = &[
    ("image", image),
    ("command", command),
    ("env", env),
    ("env", env),
    ("resources", resources),
    ("resources", resources),
    ("our_volume", our_volume),
    ("our_volume", our_volume),
    ("path_mount", path_mount),
    ("path_mount", path_mount),
    ("another_container", another_container),
    ("own_dind", own_dind),
    ("claim", settings::claim),
    ("shared_ca", shared_ca),
    ("ports", settings::ports),
    ("ports", settings::ports),
    ("pod_resources", settings::pod_resources),
    ("pod_security", settings::pod_security),
    ("container_security", settings::container_security),
    ("scheduling", settings::scheduling),
    ("host", settings::host),
    ("pod_defaults", settings::pod_defaults),
    ("limit_ranger", settings::limit_ranger),
    ("dns", settings::dns),
    ("metadata", settings::metadata),
    ("empty_parent", settings::empty_parent),
    ("unknown_field", settings::unknown_field),
    ("order", settings::order),
    ("container_odds", settings::container_odds),
    ("device", settings::device),
];

/// A runner pod: a captured one with random changes.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) base: &'static str,
    steps: Vec<Step>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {:?}", self.base, self.steps)
    }
}

impl Case {
    /// The review of the pod's creation.
    pub(crate) fn review(&self) -> Value {
        let mut review = review(self.base);
        let pod = review.pointer_mut("/request/object").unwrap();
        pod["metadata"].as_object_mut().unwrap().remove("managedFields");
        *pod = apply(pod.take(), &self.steps);
        review
    }
}

pub(crate) fn cases() -> impl Strategy<Value = Case> {
    (prop::sample::select(&BASES[..]), steps(TABLE, 16))
        .prop_map(|(base, steps)| Case { base, steps })
}

fn image(pod: &mut Value, dice: &mut Dice) {
    let image = dice.pick(&[
        "ghcr.io/actions/actions-runner:2.330.0",
        "ghcr.io/actions/actions-runner",
        "ghcr.io/actions/actions-runner@sha256:0000",
        "example.com/runner:1",
        "example.com/runner",
        "example.com/runner-dind:1",
        "ghcr.io/saienduri/ghascale-rocm-dev:main",
    ]);
    let runner = runner(pod);
    runner["image"] = image.into();
    runner["imagePullPolicy"] = dice.pick(&["Always", "IfNotPresent", "Never"]).into();
}

fn command(pod: &mut Value, dice: &mut Dice) {
    let container = if dice.chance(70) { Some(runner(pod)) } else { some_container(pod, dice) };
    let Some(container) = container else { return };
    for field in ["command", "args"] {
        let words = dice.pick(&[
            json!(null),
            json!([]),
            json!(["/home/runner/run.sh"]),
            json!(["/bin/bash", "-c", "echo $0 -- \"$@\"; exec /home/runner/run.sh"]),
            json!(["--", "arc-rocm-start"]),
            json!(["dockerd", "--debug"]),
        ]);
        if dice.chance(20) {
            container.as_object_mut().unwrap().remove(field);
        } else {
            container[field] = words;
        }
    }
}

fn env(pod: &mut Value, dice: &mut Dice) {
    let name = dice.pick(&[
        "DOCKER_HOST",
        "POD_NAME",
        "NODE_NAME",
        "http_proxy",
        "HTTPS_PROXY",
        "no_proxy",
        "SSL_CERT_DIR",
        "DOCKER_GROUP_GID",
        "OWN",
        "OTHER",
    ]);
    let value = match dice.below(4) {
        0 => json!({"name": name, "value": dice.secret()}),
        1 => json!({"name": name, "value": ""}),
        2 => json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
        _ => json!({"name": name, "valueFrom":
            {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}),
    };
    let value = match name {
        "DOCKER_HOST" if dice.chance(60) => {
            json!({"name": name, "value": "unix:///var/run/docker.sock"})
        }
        _ => value,
    };
    let container = if dice.chance(70) { Some(runner(pod)) } else { some_container(pod, dice) };
    let Some(container) = container else { return };
    let env = list(container, "env");
    // The controller appends its own variables too.
    let at = if dice.chance(80) { 0 } else { env.len() };
    env.insert(at, value);
}

/// Requests, limits or both of one resource.
fn resources(pod: &mut Value, dice: &mut Dice) {
    let resource = dice.pick(&RESOURCES);
    let amount = dice.quantity(resource);
    let container = if dice.chance(70) { Some(runner(pod)) } else { some_container(pod, dice) };
    let Some(container) = container else { return };
    let resources = object(container, "resources");
    match dice.below(5) {
        0 => object(resources, "requests")[resource] = amount,
        1 => object(resources, "limits")[resource] = amount,
        2 => object(resources, "requests")[resource] = dice.quantity(resource),
        _ => {
            object(resources, "requests")[resource] = amount.clone();
            object(resources, "limits")[resource] = amount;
        }
    }
    if resource.starts_with("hugepages-") {
        object(resources, "requests")["cpu"] = "1".into();
    }
}

fn our_volume(pod: &mut Value, dice: &mut Dice) {
    let name = dice.pick(&VOLUMES);
    let volumes = list(&mut pod["spec"], "volumes");
    if !volumes.iter().any(|volume| volume["name"] == name) || dice.chance(3) {
        volumes.push(volume(name, dice));
    }
}

/// A mount at one of [`PATHS`], of a volume that may be missing.
fn path_mount(pod: &mut Value, dice: &mut Dice) {
    let (path, name) = (dice.pick(&PATHS), dice.pick(&VOLUMES));
    let mut mount = json!({"name": name, "mountPath": path});
    match dice.below(8) {
        0 => mount["subPath"] = "sub".into(),
        1 | 4 | 5 => mount["subPathExpr"] = "$(OWN)-x".into(),
        2 => mount["readOnly"] = true.into(),
        3 => mount["readOnly"] = false.into(),
        _ => {}
    }
    let has_variable = mount.get("subPathExpr").is_some();
    let container = if dice.chance(80) { Some(runner(pod)) } else { some_container(pod, dice) };
    let Some(container) = container else { return };
    if has_variable {
        let env = list(container, "env");
        env.insert(
            0,
            match dice.below(4) {
                0 => json!({"name": "OWN", "value": "$(OTHER)-$(POD_NAME)"}),
                1 | 2 => json!({"name": "OWN", "valueFrom":
                {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}}}),
                _ => json!({"name": "OWN", "value": dice.secret()}),
            },
        );
    }
    let mounts = list(container, "volumeMounts");
    if !mounts.iter().any(|mount| mount["mountPath"] == path) {
        mounts.push(mount);
    }
    if dice.chance(80) && !list(&mut pod["spec"], "volumes").iter().any(|v| v["name"] == name) {
        let volume = volume(name, dice);
        list(&mut pod["spec"], "volumes").push(volume);
    }
}

/// An init container, a sidecar or an ordinary container, some with the name of a profile's.
fn another_container(pod: &mut Value, dice: &mut Dice) {
    let name = dice.pick(&[
        "init-dind-externals",
        "logger",
        "sidecar",
        "prepare",
        "proxy",
        "metrics",
        "extra-init",
    ]);
    let mut container = json!({
        "name": name,
        "image": dice.pick(&["busybox:1", "docker:dind", "example.com/dind-tools:2", "a/b"]),
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    });
    let mut field = "containers";
    if dice.chance(60) {
        field = "initContainers";
        if dice.chance(50) {
            container["restartPolicy"] = "Always".into();
        } else if dice.chance(10) {
            container["restartPolicy"] = "Never".into();
        }
    }
    if field == "containers" || container["restartPolicy"] == "Always" {
        container[dice.pick(&PROBES)] =
            json!({"tcpSocket": {"port": 80}, "periodSeconds": 10, "failureThreshold": 3});
    }
    let taken = ["initContainers", "containers"].iter().any(|list| {
        pod["spec"][*list].as_array().is_some_and(|all| all.iter().any(|c| c["name"] == name))
    });
    if !taken {
        let containers = list(&mut pod["spec"], field);
        let at = dice.below(containers.len() + 1);
        containers.insert(at, container);
    }
}

fn own_dind(pod: &mut Value, dice: &mut Dice) {
    let field = dice.pick(&["initContainers", "containers"]);
    let mut dind = json!({
        "name": dice.pick(&["dind", "docker", "daemon"]),
        "image": dice.pick(&["docker:dind", "docker:27-dind-rootless", "example.com/engine:1"]),
        "args": ["dockerd", "--host=unix:///var/run/docker.sock"],
        "securityContext": {"privileged": true},
        "resources": {},
    });
    if field == "initContainers" {
        dind["restartPolicy"] = "Always".into();
    }
    if dice.chance(70) {
        dind["volumeMounts"] = json!([
            {"name": "work", "mountPath": "/home/runner/_work"},
            {"name": "dind-sock", "mountPath": "/var/run"},
        ]);
        for name in ["work", "dind-sock"] {
            let volumes = list(&mut pod["spec"], "volumes");
            if !volumes.iter().any(|volume| volume["name"] == name) {
                volumes.push(json!({"name": name, "emptyDir": {}}));
            }
        }
    }
    let taken = ["initContainers", "containers"].iter().any(|list| {
        let all = pod["spec"][*list].as_array();
        all.is_some_and(|all| all.iter().any(|c| c["name"] == dind["name"]))
    });
    if !taken {
        list(&mut pod["spec"], field).push(dind);
    }
}

/// The variables and mount of ARC's chart for `githubServerTLS`.
fn shared_ca(pod: &mut Value, dice: &mut Dice) {
    let path = dice.pick(&["/usr/local/share/ca-certificates/ca.crt", "/var/run", "/certs"]);
    let file = if path.contains("crt") { path.to_owned() } else { format!("{path}/ca.crt") };
    let runner = runner(pod);
    list(runner, "env").insert(0, json!({"name": "NODE_EXTRA_CA_CERTS", "value": file}));
    let mounts = list(runner, "volumeMounts");
    if mounts.iter().any(|mount| mount["mountPath"] == path) {
        return;
    }
    mounts.push(json!({"name": "certs", "mountPath": path, "subPath": "ca.crt"}));
    let volumes = list(&mut pod["spec"], "volumes");
    if !volumes.iter().any(|volume| volume["name"] == "certs") {
        volumes.push(json!({"name": "certs", "configMap": {"name": "ca", "defaultMode": 420}}));
    }
}
