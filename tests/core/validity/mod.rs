//! A small copy of the API server's pod validation, for the fields that a plan changes
//! (`k8s.io/kubernetes` `pkg/apis/core/validation/validation.go`, v1.35, and the kubelet's checks
//! of a container's user). It shares only the type for quantities with the plan.

mod resources;
mod security;

use std::collections::BTreeSet;

use arc_rocm::scripts::image::PATH;
use serde_json::Value;

const NO_VOLUME: &str = "missing volume";

/// The ends of problems that the plan repairs.
pub(crate) const REPAIRED: [&str; 2] = [NO_VOLUME, "must equal limit"];

/// The volume sources of a pod.
const SOURCES: [&str; 19] = [
    "awsElasticBlockStore",
    "azureFile",
    "cephfs",
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "fc",
    "glusterfs",
    "hostPath",
    "image",
    "iscsi",
    "nfs",
    "persistentVolumeClaim",
    "projected",
    "rbd",
    "secret",
    "vsphereVolume",
];

const HANDLERS: [&str; 4] = ["exec", "httpGet", "tcpSocket", "grpc"];

/// Collects the problems.
struct Findings(Vec<String>);

impl Findings {
    fn check(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if !holds {
            self.0.push(problem());
        }
    }

    fn unique<T: Ord + std::fmt::Debug>(&mut self, what: &str, items: impl Iterator<Item = T>) {
        let mut seen = BTreeSet::new();
        for item in items {
            let text = format!("{what}: {item:?} twice");
            self.check(seen.insert(item), || text);
        }
    }
}

/// The problems for which the API server, or the kubelet for users, would refuse the pod.
pub(crate) fn problems(pod: &Value) -> Vec<String> {
    let mut found = Findings(Vec::new());
    let spec = &pod["spec"];
    annotations(&pod["metadata"]["annotations"], &mut found);
    volumes(spec, &mut found);
    found.unique("container", containers(spec).map(|(_, c)| text(c, "name")));
    for (list, container) in containers(spec) {
        one_container(spec, list, container, &mut found);
    }
    ports(spec, &mut found);
    resources::check(spec, &mut found);
    security::check(spec, &mut found);
    pod_fields(spec, &mut found);
    found.0
}

/// `TotalAnnotationSizeLimitB` of apimachinery.
fn annotations(annotations: &Value, found: &mut Findings) {
    let size = |(key, value): (&String, &Value)| key.len() + value.as_str().map_or(0, str::len);
    let bytes: usize = annotations.as_object().into_iter().flatten().map(size).sum();
    if bytes > 256 << 10 {
        found.0.push(format!("annotations: too long: {bytes} bytes"));
    }
}

/// All containers, each with the name of its list.
pub(crate) fn containers(spec: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    ["initContainers", "containers"]
        .into_iter()
        .flat_map(move |list| items(&spec[list]).iter().map(move |container| (list, container)))
}

pub(crate) fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(crate) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn is_label(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn given<'v>(value: &'v Value, fields: &'v [&str]) -> impl Iterator<Item = &'v str> {
    fields.iter().copied().filter(|field| !value[*field].is_null())
}

fn volumes(spec: &Value, found: &mut Findings) {
    let volumes = items(&spec["volumes"]);
    found.unique("volume", volumes.iter().map(|volume| text(volume, "name")));
    for volume in volumes {
        let name = text(volume, "name");
        found.check(is_label(name), || format!("volume {name:?}: not a DNS label"));
        let sources = given(volume, &SOURCES).count();
        found.check(sources == 1, || format!("volume {name}: {sources} sources"));
    }
}

fn one_container(spec: &Value, list: &str, container: &Value, found: &mut Findings) {
    let name = text(container, "name");
    found.check(is_label(name), || format!("{name:?}: not a DNS label"));
    let image = text(container, "image");
    found.check(!image.is_empty() && image.trim() == image, || format!("{name}: image {image:?}"));
    mounts(spec, container, found);
    scripts_image(spec, container, found);
    let is_sidecar = list == "initContainers" && container["restartPolicy"] == "Always";
    for probe in ["startupProbe", "livenessProbe", "readinessProbe", "lifecycle"] {
        let Some(value) = container.get(probe).filter(|value| !value.is_null()) else { continue };
        found.check(list == "containers" || is_sidecar, || {
            format!(
                "{name}: {probe} may not be set for init containers without restartPolicy=Always"
            )
        });
        if probe != "lifecycle" {
            let handlers = given(value, &HANDLERS).count();
            found.check(handlers == 1, || format!("{name}.{probe}: {handlers} handlers"));
        }
    }
    for env in items(&container["env"]) {
        let both = !text(env, "value").is_empty() && !env["valueFrom"].is_null();
        let variable = text(env, "name");
        found.check(!both && !variable.is_empty(), || format!("{name}: env {variable:?}"));
    }
    for policy in items(&container["resizePolicy"]) {
        let restarts = policy["restartPolicy"] == "RestartContainer";
        found.check(!(restarts && spec["restartPolicy"] == "Never"), || {
            format!("{name}: resizePolicy RestartContainer in a pod with restartPolicy Never")
        });
    }
    found.unique(
        &format!("{name}.resizePolicy"),
        items(&container["resizePolicy"]).iter().map(|policy| text(policy, "resourceName")),
    );
}

fn mounts(spec: &Value, container: &Value, found: &mut Findings) {
    let name = text(container, "name");
    let volume =
        |wanted: &str| items(&spec["volumes"]).iter().find(|volume| text(volume, "name") == wanted);
    let mounts = items(&container["volumeMounts"]);
    let devices = items(&container["volumeDevices"]);
    let paths = mounts.iter().map(|mount| text(mount, "mountPath"));
    let paths = paths.chain(devices.iter().map(|device| text(device, "devicePath")));
    found.unique(&format!("{name}: mount path"), paths);
    for mount in mounts {
        let (path, from) = (text(mount, "mountPath"), text(mount, "name"));
        found.check(volume(from).is_some(), || format!("{name}: mount of {from}: {NO_VOLUME}"));
        found.check(!path.is_empty() && !path.contains(':'), || format!("{name}: path {path:?}"));
        let both = !text(mount, "subPath").is_empty() && !text(mount, "subPathExpr").is_empty();
        found.check(!both, || format!("{name}: {path}: subPath and subPathExpr"));
        let is_privileged = container["securityContext"]["privileged"] == true;
        found.check(mount["mountPropagation"] != "Bidirectional" || is_privileged, || {
            format!("{name}: {path}: Bidirectional mount propagation without privileged")
        });
        // The API server accepts it, but the kubelet cannot start the container.
        for variable in text(mount, "subPathExpr").split("$(").skip(1) {
            let variable = variable.split(')').next().unwrap_or_default();
            let known = items(&container["env"]).iter().any(|env| text(env, "name") == variable);
            found.check(known, || format!("{name}: {path}: variable {variable} is missing"));
        }
    }
    found.unique(&format!("{name}: device"), devices.iter().map(|device| text(device, "name")));
    for device in devices {
        let from = text(device, "name");
        let Some(volume) = volume(from) else {
            found.0.push(format!("{name}: device of {from}: no volume"));
            continue;
        };
        let is_block = given(volume, &["persistentVolumeClaim", "ephemeral"]).count() == 1;
        found.check(is_block, || format!("{name}: device of {from}: not a claim"));
        found.check(!mounts.iter().any(|mount| text(mount, "name") == from), || {
            format!("{name}: {from} is both mounted and a device")
        });
    }
}

/// Checks that a container that runs a script from the image has the image, and that the runtime can
/// make the directory of each mount: that of a mount inside the image it cannot.
fn scripts_image(spec: &Value, container: &Value, found: &mut Findings) {
    let name = text(container, "name");
    let images = items(&spec["volumes"]).iter().filter(|volume| !volume["image"].is_null());
    let images: Vec<&str> = images.map(|volume| text(volume, "name")).collect();
    let mounts = items(&container["volumeMounts"]);
    let has_image =
        mounts.iter().any(|one| one["mountPath"] == PATH && images.contains(&text(one, "name")));
    let words = items(&container["command"]).iter().filter_map(Value::as_str);
    let values = items(&container["env"]).iter().map(|one| text(one, "value"));
    let below = format!("{PATH}/");
    let runs = words.chain(values).any(|text| text.starts_with(&below));
    found.check(!runs || has_image, || format!("{name}: a script of {PATH} without the image"));
    let inside = mounts.iter().any(|mount| {
        let path = text(mount, "mountPath");
        path.starts_with(&below) && path != below
    });
    found.check(!(runs && inside), || format!("{name}: a mount inside {PATH}"));
}

fn ports(spec: &Value, found: &mut Findings) {
    let on_host = spec["hostNetwork"] == true;
    let mut host_ports = Vec::new();
    for (_, container) in containers(spec) {
        let name = text(container, "name");
        let ports = items(&container["ports"]);
        let names = ports.iter().map(|port| text(port, "name")).filter(|name| !name.is_empty());
        found.unique(&format!("{name}: port"), names);
        for port in ports {
            let number = port["containerPort"].as_i64().unwrap_or_default();
            found.check((1..=65535).contains(&number), || format!("{name}: port {number}"));
            // SetDefaults_PodSpec: with hostNetwork each port becomes a host port, and another
            // number is refused.
            let host = match port["hostPort"].as_i64().unwrap_or_default() {
                0 if on_host => number,
                host => host,
            };
            found.check(!on_host || host == number, || {
                format!("{name}: hostPort {host} of port {number} in a pod with hostNetwork")
            });
            if host != 0 {
                let protocol = port["protocol"].as_str().unwrap_or("TCP");
                host_ports.push((host, protocol, text(port, "hostIP")));
            }
        }
    }
    found.unique("host port", host_ports.into_iter());
}

fn pod_fields(spec: &Value, found: &mut Findings) {
    let flag = |field: &str| spec[field].as_bool();
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        let both = flag("hostUsers") == Some(false) && flag(field) == Some(true);
        found.check(!both, || format!("hostUsers false with {field}"));
    }
    let devices = containers(spec).any(|(_, one)| !items(&one["volumeDevices"]).is_empty());
    found.check(!(flag("hostUsers") == Some(false) && devices), || {
        "hostUsers false with volumeDevices".to_owned()
    });
    found.check(
        !(flag("shareProcessNamespace") == Some(true) && flag("hostPID") == Some(true)),
        || "shareProcessNamespace with hostPID".to_owned(),
    );
    let (account, old) = (text(spec, "serviceAccountName"), text(spec, "serviceAccount"));
    found.check(account == old || old.is_empty() || account.is_empty(), || {
        format!("serviceAccountName {account} is not serviceAccount {old}")
    });
    let dns = &spec["dnsConfig"];
    let (servers, searches) = (items(&dns["nameservers"]).len(), items(&dns["searches"]).len());
    found.check(servers <= 3, || format!("{servers} nameservers"));
    found.check(searches <= 32, || format!("{searches} DNS search paths"));
    found.check(spec["dnsPolicy"] != "None" || servers > 0, || {
        "dnsPolicy None without nameservers".to_owned()
    });
    let spread = items(&spec["topologySpreadConstraints"]).iter();
    found.unique(
        "topologySpreadConstraint",
        spread.map(|one| (text(one, "topologyKey"), text(one, "whenUnsatisfiable"))),
    );
    let policy = text(spec, "restartPolicy");
    let known = ["", "Always", "OnFailure", "Never"].contains(&policy);
    found.check(known, || format!("restartPolicy {policy}"));
}

/// The problem for which the Priority admission plugin would answer 403 when it runs again: a
/// value that it computed for another class (`plugin/pkg/admission/priority`).
pub(crate) fn priority_problem(original: &Value, patched: &Value) -> Option<String> {
    let (before, after) = (&original["spec"], &patched["spec"]);
    if text(before, "priorityClassName") == text(after, "priorityClassName") {
        return None;
    }
    ["priority", "preemptionPolicy"]
        .into_iter()
        .find(|field| !after[*field].is_null() && after[*field] == before[*field])
        .map(|field| format!("{field} is that of another priority class"))
}
