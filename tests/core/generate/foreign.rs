//! Changes of other webhooks to a patched pod, before the webhook is called again.

use serde_json::{Value, json};

use super::{
    Change, Dice, SECRET,
    api_server::{defaults, mount_token},
    each_object, list, object, some_container,
};

pub(crate) const TABLE: &[(&str, Change)] = &[
    ("strip_restart_policy", strip_restart_policy),
    ("strip_unknown", strip_unknown),
    ("insert_container", insert_container),
    ("mirror_images", mirror_images),
    ("remove_item", remove_item),
    ("remove_item", remove_item),
    ("remove_container", remove_container),
    ("label", label),
    ("reverse", reverse),
    ("defaults", defaults),
    ("mount_token", mount_token),
    ("change_env", change_env),
    ("harden", harden),
    ("drop_field", drop_field),
];

/// A webhook with old Kubernetes types drops the field.
fn strip_restart_policy(pod: &mut Value, _: &mut Dice) {
    for container in list(&mut pod["spec"], "initContainers") {
        container.as_object_mut().unwrap().remove("restartPolicy");
    }
}

fn strip_unknown(pod: &mut Value, _: &mut Dice) {
    each_object(pod, &mut |object| {
        object.as_object_mut().unwrap().retain(|key, _| !key.starts_with("future"));
    });
}

fn insert_container(pod: &mut Value, dice: &mut Dice) {
    let field = dice.pick(&["containers", "initContainers"]);
    let (name, image) = dice.pick(&[("istio-proxy", "istio/proxyv2:1"), ("agent", "agent-dind:1")]);
    let containers = list(&mut pod["spec"], field);
    if !containers.iter().any(|container| container["name"] == name) {
        let new = json!({"name": name, "image": image,
            "resources": {"requests": {"cpu": "100m"}}});
        let at = dice.below(containers.len() + 1);
        containers.insert(at, new);
    }
}

fn mirror_images(pod: &mut Value, _: &mut Dice) {
    for volume in list(&mut pod["spec"], "volumes") {
        if let Some(image) = volume["image"]["reference"].as_str() {
            let image = image.strip_prefix("mirror.example.com/").unwrap_or(image);
            volume["image"]["reference"] = format!("mirror.example.com/{image}").into();
        }
    }
    for field in ["containers", "initContainers"] {
        for container in list(&mut pod["spec"], field) {
            if let Some(image) = container["image"].as_str() {
                let image = image.strip_prefix("mirror.example.com/").unwrap_or(image);
                container["image"] = format!("mirror.example.com/{image}").into();
            }
        }
    }
}

/// Removes one volume, mount, variable or toleration of any origin.
fn remove_item(pod: &mut Value, dice: &mut Dice) {
    let field = dice.pick(&["volumes", "volumeMounts", "env", "tolerations", "args", "ports"]);
    let owner = match field {
        "volumes" | "tolerations" => Some(&mut pod["spec"]),
        _ => some_container(pod, dice),
    };
    let Some(items) = owner.and_then(|owner| owner[field].as_array_mut()) else { return };
    if !items.is_empty() {
        items.remove(dice.below(items.len()));
    }
}

fn remove_container(pod: &mut Value, dice: &mut Dice) {
    let containers = list(&mut pod["spec"], "initContainers");
    if !containers.is_empty() {
        containers.remove(dice.below(containers.len()));
    }
}

fn label(pod: &mut Value, _: &mut Dice) {
    object(&mut pod["metadata"], "labels")["example.com/seen"] = "yes".into();
    object(&mut pod["metadata"], "annotations")
        .as_object_mut()
        .unwrap()
        .remove("arc-rocm.dev/status");
}

fn reverse(pod: &mut Value, dice: &mut Dice) {
    let field = dice.pick(&["containers", "initContainers", "volumes"]);
    list(&mut pod["spec"], field).reverse();
}

fn change_env(pod: &mut Value, dice: &mut Dice) {
    let name = dice.pick(&["DOCKER_HOST", "HTTP_PROXY", "POD_NAME", "NODE_EXTRA_CA_CERTS"]);
    let Some(container) = some_container(pod, dice) else { return };
    let env = list(container, "env");
    env.retain(|variable| variable["name"] != name);
    env.insert(0, json!({"name": name, "value": format!("{SECRET}foreign")}));
}

fn harden(pod: &mut Value, dice: &mut Dice) {
    let Some(container) = some_container(pod, dice) else { return };
    let context = object(container, "securityContext");
    if context["privileged"] != true {
        context["allowPrivilegeEscalation"] = false.into();
    }
}

fn drop_field(pod: &mut Value, dice: &mut Dice) {
    let field = dice.pick(&["command", "startupProbe", "securityContext", "resources", "image"]);
    if field == "image" {
        pod["spec"].as_object_mut().unwrap().remove("nodeSelector");
    } else if let Some(container) = some_container(pod, dice) {
        container.as_object_mut().unwrap().remove(field);
    }
}

/// Fields that a policy fills in where they are unset, each with a usual value: Kyverno's `+(field)`,
/// Gatekeeper's Assign with `MustNotExist`, the guardrails of AKS.
const FILLED: [(&str, &str); 7] = [
    ("allowPrivilegeEscalation", "false"),
    ("readOnlyRootFilesystem", "true"),
    ("runAsNonRoot", "true"),
    ("runAsUser", "1001"),
    ("runAsGroup", "1001"),
    ("capabilities", r#"{"drop": ["ALL"]}"#),
    ("seccompProfile", r#"{"type": "RuntimeDefault"}"#),
];

/// Fields that a policy fills in for the whole pod.
const FILLED_IN_POD: [(&str, &str); 5] = [
    ("runAsNonRoot", "true"),
    ("runAsUser", "1001"),
    ("runAsGroup", "1001"),
    ("fsGroup", "1001"),
    ("seccompProfile", r#"{"type": "RuntimeDefault"}"#),
];

/// Requests and limits that a policy fills in. Limits are below and above what runners ask for.
const AMOUNTS: [(&str, [&str; 2], [&str; 3]); 3] = [
    ("cpu", ["10m", "100m"], ["500m", "4", "128"]),
    ("memory", ["16Mi", "128Mi"], ["512Mi", "8Gi", "1Ti"]),
    ("ephemeral-storage", ["10Mi", "50Mi"], ["1Gi", "50G", "1Ti"]),
];

/// Fills in unset security and resource fields of the containers and of the pod, as policies do. The
/// seed says which fields: for a container of a name the same ones, whatever is beside it. A pod that has
/// resources as a whole gets none for its containers.
pub(crate) fn fill(pod: &mut Value, seed: u64) {
    let mut of_pod = Dice(seed);
    let amounts: &[_] = if pod["spec"]["resources"].is_null() { &AMOUNTS } else { &[] };
    for list_name in ["containers", "initContainers"] {
        for container in list(&mut pod["spec"], list_name) {
            let name = container["name"].as_str().unwrap_or_default();
            let mix = |seed: u64, byte| seed.rotate_left(5) ^ u64::from(byte);
            let mut dice = Dice(name.bytes().fold(seed, mix));
            fill_unset(object(container, "securityContext"), &FILLED, &mut dice);
            for (resource, requests, limits) in amounts {
                for (map, amount) in
                    [("requests", dice.pick(requests)), ("limits", dice.pick(limits))]
                {
                    let there = object(object(container, "resources"), map);
                    if dice.chance(30) && there[*resource].is_null() {
                        there[*resource] = amount.into();
                    }
                }
            }
        }
    }
    if of_pod.chance(50) {
        fill_unset(object(&mut pod["spec"], "securityContext"), &FILLED_IN_POD, &mut of_pod);
    }
}

fn fill_unset(context: &mut Value, fields: &[(&str, &str)], dice: &mut Dice) {
    for (field, value) in fields {
        if dice.chance(40) && context[*field].is_null() {
            context[*field] = serde_json::from_str(value).unwrap();
        }
    }
}
