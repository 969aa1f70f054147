//! Changes of the API server to a pod between two calls of a webhook: it decodes the pod, fills in
//! defaults and runs its own plugins again.

use arc_rocm::podspec::Quantity;
use serde_json::{Map, Value, json};

use super::{Dice, each_object, list, object};

/// The pull policy of an image without one.
pub(crate) fn default_policy(image: &str) -> &'static str {
    let tag = image.rsplit('/').next().unwrap_or_default();
    let is_latest = !tag.contains([':', '@']) || tag.ends_with(":latest");
    if is_latest { "Always" } else { "IfNotPresent" }
}

/// [`stored`] as a change.
pub(super) fn defaults(pod: &mut Value, _: &mut Dice) {
    stored(pod);
}

/// Fills in defaults, copies limits to requests and removes null and empty fields.
pub(crate) fn stored(pod: &mut Value) {
    for field in ["containers", "initContainers"] {
        for one in list(&mut pod["spec"], field) {
            container(one);
        }
    }
    for volume in list(&mut pod["spec"], "volumes") {
        for source in ["configMap", "secret", "downwardAPI", "projected"] {
            if let Some(source) = volume[source].as_object_mut() {
                source.entry("defaultMode").or_insert(420.into());
            }
        }
        if let Some(host_path) = volume["hostPath"].as_object_mut() {
            host_path.entry("type").or_insert("".into());
        }
        if let Some(claim) = volume.pointer_mut("/ephemeral/volumeClaimTemplate") {
            object(claim, "metadata");
            let spec = object(claim, "spec").as_object_mut().unwrap();
            spec.entry("volumeMode").or_insert("Filesystem".into());
        }
        without_empty(volume.as_object_mut().unwrap());
    }
    let spec = pod["spec"].as_object_mut().unwrap();
    without_empty(spec);
    for (field, default) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
        ("priority", json!(1000)),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
        ("enableServiceLinks", json!(true)),
    ] {
        spec.entry(field).or_insert(default);
    }
}

fn container(container: &mut Value) {
    let policy = default_policy(container["image"].as_str().unwrap_or_default());
    for (field, default) in [
        ("resources", json!({})),
        ("terminationMessagePath", "/dev/termination-log".into()),
        ("terminationMessagePolicy", "File".into()),
        ("imagePullPolicy", policy.into()),
    ] {
        if container[field].is_null() {
            container[field] = default;
        }
    }
    let limits = container["resources"]["limits"].as_object().cloned();
    for (resource, limit) in limits.into_iter().flatten() {
        let requests = object(&mut container["resources"], "requests");
        if requests[&resource].is_null() {
            requests[&resource] = limit;
        }
    }
    each_object(container, &mut |object| {
        if object["containerPort"].is_number() && object["protocol"].is_null() {
            object["protocol"] = "TCP".into();
        }
        if let Some(reference) = object["fieldRef"].as_object_mut() {
            reference.entry("apiVersion").or_insert("v1".into());
        }
        if object["periodSeconds"].is_number() || object["exec"].is_object() {
            for (field, default) in [("successThreshold", 1), ("timeoutSeconds", 1)] {
                if object[field].is_null() {
                    object[field] = default.into();
                }
            }
        }
        let is_env = object["name"].is_string() && object["value"] == "";
        let is_mount = object["mountPath"].is_string() && object["readOnly"] == false;
        let members = object.as_object_mut().unwrap();
        members.retain(|key, value| {
            !(value.is_null() || (is_env && key == "value") || (is_mount && key == "readOnly"))
        });
    });
    without_empty(container.as_object_mut().unwrap());
}

/// Removes empty lists and null, which the API server does not encode.
fn without_empty(members: &mut Map<String, Value>) {
    members.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|v| !v.is_empty()));
}

/// The volume of the token, as the plugin names it.
const TOKEN: &str = "kube-api-access-x7x7x";

/// The ServiceAccount plugin mounts its token into new containers.
pub(super) fn mount_token(pod: &mut Value, _: &mut Dice) {
    let path = "/var/run/secrets/kubernetes.io/serviceaccount";
    for container in list(&mut pod["spec"], "initContainers") {
        let mounts = list(container, "volumeMounts");
        if !mounts.iter().any(|mount| mount["mountPath"] == path) {
            mounts.push(json!({"name": TOKEN, "mountPath": path, "readOnly": true}));
        }
    }
    let volumes = list(&mut pod["spec"], "volumes");
    if !volumes.iter().any(|volume| volume["name"] == TOKEN) {
        volumes.push(json!({"name": TOKEN, "projected": {"sources": [], "defaultMode": 420}}));
    }
}

/// A namespace's `LimitRange`, for containers and one resource.
#[derive(Clone, Debug)]
pub(crate) struct LimitRange {
    resource: &'static str,
    /// `defaultRequest`.
    request: &'static str,
    /// `default`.
    limit: Option<&'static str>,
    min: Option<&'static str>,
}

impl LimitRange {
    /// Values below, between and above those that profiles give and that dind has.
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let resource = dice.pick(&["cpu", "memory", "ephemeral-storage", "example.com/nic"]);
        // In rising order, so that no default request is above the default limit.
        let amounts: &[&str] = match resource {
            "cpu" => &["1m", "100m", "500m", "1", "5", "40", "64", "10k"],
            "memory" => &["1Mi", "128Mi", "512Mi", "8Gi", "450000Mi", "1Ti", "100Ti"],
            "ephemeral-storage" => &["1Mi", "1Gi", "50G", "100G", "10Ti"],
            _ => &["1", "4"],
        };
        let request = dice.below(amounts.len());
        let limit = if resource.contains('/') {
            Some(request)
        } else {
            dice.chance(60).then(|| request + dice.below(amounts.len() - request))
        };
        let amount = |index: usize| amounts[index];
        // Not above what any profile gives.
        let min = (request > 0 && !resource.contains('/') && dice.chance(30)).then_some(1);
        Self { resource, request: amounts[request], limit: limit.map(amount), min: min.map(amount) }
    }

    /// What the LimitRanger plugin does: each container gets what it has not, and the note says
    /// what that was in this run.
    pub(crate) fn fill(&self, pod: &mut Value) {
        let mut notes = Vec::new();
        for (field, what) in [("initContainers", "init container"), ("containers", "container")] {
            for container in list(&mut pod["spec"], field) {
                let name = container["name"].as_str().unwrap_or_default().to_owned();
                for (map, kind, amount) in
                    [("requests", "request", Some(self.request)), ("limits", "limit", self.limit)]
                {
                    let Some(amount) = amount else { continue };
                    let amounts = object(object(container, "resources"), map);
                    if amounts[self.resource].is_null() {
                        amounts[self.resource] = amount.into();
                        notes.push(format!("{} {kind} for {what} {name}", self.resource));
                    }
                }
            }
        }
        if !notes.is_empty() {
            let note = format!("LimitRanger plugin set: {}", notes.join("; "));
            object(&mut pod["metadata"], "annotations")["kubernetes.io/limit-ranger"] = note.into();
        }
    }

    /// Whether the plugin's note says that it filled in a request of its resource.
    pub(crate) fn has_filled(&self, pod: &Value) -> bool {
        let note = pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"].as_str();
        note.is_some_and(|note| note.contains(&format!("{} request", self.resource)))
    }

    /// The reason for which the plugin refuses the pod at the end, if it does.
    pub(crate) fn refusal(&self, pod: &Value) -> Option<String> {
        let min: Quantity = self.min?.parse().unwrap();
        let lists = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array());
        lists.into_iter().flatten().flatten().find_map(|container| {
            let amounts = ["requests", "limits"].map(|map| &container["resources"][map]);
            let amounts = amounts.into_iter().filter_map(|map| map[self.resource].as_str());
            let low = amounts.into_iter().find(|amount| amount.parse::<Quantity>().unwrap() < min);
            low.map(|low| format!("{}: {} {low}", container["name"], self.resource))
        })
    }
}

/// The pod that the API server sends when it calls the webhook again.
pub(crate) fn again(pod: &Value) -> Value {
    let mut pod = pod.clone();
    defaults(&mut pod, &mut Dice(0));
    mount_token(&mut pod, &mut Dice(0));
    pod
}
