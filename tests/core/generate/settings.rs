//! Settings of pod and containers beside Docker: security, scheduling, metadata, and unusual but
//! valid values.

use serde_json::{Value, json};

use super::{
    Dice, each_object, list, object,
    pods::{PROBES, RESOURCES},
    runner, some_container,
};

/// Keys that a JSON pointer must escape, and others.
const KEYS: [&str; 7] = [
    "example.com/key",
    "a~b",
    "~1",
    "~0/~1",
    "schlüssel/größe",
    "restartPolicy",
    "terminationMessagePolicy",
];

pub(super) fn ports(pod: &mut Value, dice: &mut Dice) {
    let mut port = json!({"containerPort": dice.pick(&[80, 8080, 9100]), "protocol": "TCP"});
    if dice.chance(50) {
        port["name"] = dice.pick(&["http", "metrics"]).into();
    }
    if dice.chance(30) {
        port["hostPort"] = port["containerPort"].clone();
    }
    let Some(container) = some_container(pod, dice) else { return };
    let ports = list(container, "ports");
    let same = |other: &Value| {
        other["containerPort"] == port["containerPort"]
            || (!port["name"].is_null() && other["name"] == port["name"])
    };
    if !ports.iter().any(same) {
        ports.push(port);
    }
}

pub(super) fn pod_resources(pod: &mut Value, dice: &mut Dice) {
    let resource = dice.pick(&["cpu", "memory"]);
    let amount = match resource {
        "cpu" => dice.pick(&["8", "64", "100", "40"]),
        _ => dice.pick(&["16Gi", "900Gi", "1000Gi", "450000Mi"]),
    };
    let resources = object(&mut pod["spec"], "resources");
    for field in ["requests", "limits"] {
        if dice.chance(70) {
            object(resources, field)[resource] = amount.into();
        }
    }
}

/// A resource claim, by a name that profiles use too, and a container that uses it.
pub(super) fn claim(pod: &mut Value, dice: &mut Dice) {
    let name = dice.pick(&["gpu", "gpu", "nic"]);
    let template = dice.pick(&["gpu-1", "gpu-2", "nic"]);
    let claims = list(&mut pod["spec"], "resourceClaims");
    if !claims.iter().any(|claim| claim["name"] == name) {
        claims.push(json!({"name": name, "resourceClaimTemplateName": template}));
    }
    let container = if dice.chance(70) { Some(runner(pod)) } else { some_container(pod, dice) };
    let Some(container) = container.filter(|_| dice.chance(90)) else { return };
    let used = list(object(container, "resources"), "claims");
    if !used.iter().any(|claim| claim["name"] == name) {
        used.push(json!({"name": name}));
    }
}

pub(super) fn pod_security(pod: &mut Value, dice: &mut Dice) {
    let context = object(&mut pod["spec"], "securityContext");
    match dice.below(6) {
        0 => context["runAsNonRoot"] = true.into(),
        1 => context["runAsUser"] = dice.pick(&[0, 1001]).into(),
        2 => context["runAsGroup"] = 123.into(),
        3 => context["fsGroup"] = 1001.into(),
        4 => {
            let group = dice.pick(&[44, 110, 993]);
            let groups = list(context, "supplementalGroups");
            if !groups.contains(&json!(group)) {
                groups.push(group.into());
            }
        }
        _ => {
            context["sysctls"] = json!([{"name": dice.pick(&["net.core.somaxconn", "kernel.shm_rmid_forced"]),
                        "value": "1"}]);
        }
    }
}

pub(super) fn container_security(pod: &mut Value, dice: &mut Dice) {
    let Some(container) = some_container(pod, dice) else { return };
    let context = object(container, "securityContext");
    match dice.below(6) {
        0 => context["allowPrivilegeEscalation"] = false.into(),
        1 => context["runAsNonRoot"] = true.into(),
        2 => context["runAsUser"] = dice.pick(&[0, 1001]).into(),
        3 => context["privileged"] = dice.chance(50).into(),
        4 => {
            context["capabilities"] =
                json!({"add": [dice.pick(&["CAP_SYS_ADMIN", "NET_ADMIN"])], "drop": ["ALL"]});
        }
        _ => context["readOnlyRootFilesystem"] = true.into(),
    }
}

pub(super) fn scheduling(pod: &mut Value, dice: &mut Dice) {
    let spec = &mut pod["spec"];
    match dice.below(7) {
        0 => object(spec, "nodeSelector")["pytorch"] = dice.pick(&["yes", "no", ""]).into(),
        1 => {
            let key = dice.pick(&KEYS);
            object(spec, "nodeSelector")[key] = dice.pick(&["Always", "", "File"]).into();
        }
        2 => list(spec, "tolerations").push(dice.pick(&[
            json!({"key": "amd.com/gpu", "operator": "Exists"}),
            json!({"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"}),
            json!({"operator": "Exists"}),
        ])),
        3 => {
            spec["priorityClassName"] = dice.pick(&["batch", "high"]).into();
            spec["priority"] = 100.into();
        }
        4 => {
            spec["topologySpreadConstraints"] = json!([{"maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}]);
        }
        5 => {
            spec["affinity"] = json!({"nodeAffinity":
                {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}});
        }
        _ => list(spec, "imagePullSecrets").push(json!({"name": dice.pick(&["regcred", "own"])})),
    }
}

pub(super) fn host(pod: &mut Value, dice: &mut Dice) {
    let field = dice.pick(&[
        "hostUsers",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "shareProcessNamespace",
        "setHostnameAsFQDN",
    ]);
    pod["spec"][field] = dice.chance(50).into();
}

pub(super) fn pod_defaults(pod: &mut Value, dice: &mut Dice) {
    let (field, value) = dice.pick(&[
        ("restartPolicy", json!("Always")),
        ("restartPolicy", json!("OnFailure")),
        ("restartPolicy", json!("Never")),
        ("dnsPolicy", json!("Default")),
        ("schedulerName", json!("volcano")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("terminationGracePeriodSeconds", json!(7200)),
        ("enableServiceLinks", json!(false)),
        ("serviceAccountName", json!("own")),
        ("serviceAccountName", json!("default")),
        ("automountServiceAccountToken", json!(false)),
        ("activeDeadlineSeconds", json!(3600)),
        ("runtimeClassName", json!("kata")),
        ("os", json!({"name": "linux"})),
    ]);
    if field == "serviceAccountName" {
        pod["spec"]["serviceAccount"] = value.clone();
    }
    pod["spec"][field] = value;
}

/// Values that the LimitRanger filled in, with its note. Its default limit is also its default
/// request, so a limit is never alone.
pub(super) fn limit_ranger(pod: &mut Value, dice: &mut Dice) {
    let resource = dice.pick(&["cpu", "memory"]);
    let (request, limit) = match resource {
        "cpu" => dice.pick(&[("500m", "1"), ("1", "64")]),
        _ => dice.pick(&[("128Mi", "512Mi"), ("1Gi", "1Ti")]),
    };
    let both = dice.chance(60);
    let resources = object(runner(pod), "resources");
    let mut notes = Vec::new();
    for (kind, field, amount, wanted) in
        [("request", "requests", request, true), ("limit", "limits", limit, both)]
    {
        let map = object(resources, field);
        if wanted && map.get(resource).is_none() {
            map[resource] = amount.into();
            notes.push(format!("{resource} {kind} for container runner"));
        }
    }
    if !notes.is_empty() {
        let annotations = object(&mut pod["metadata"], "annotations");
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        annotations["kubernetes.io/limit-ranger"] = note.into();
    }
}

pub(super) fn dns(pod: &mut Value, dice: &mut Dice) {
    let spec = &mut pod["spec"];
    match dice.below(3) {
        0 => {
            let servers = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
            object(spec, "dnsConfig")["nameservers"] = json!(servers[..=dice.below(3)]);
        }
        1 => object(spec, "dnsConfig")["options"] = json!([{"name": "ndots", "value": "2"}]),
        _ => {
            let alias = json!({"ip": dice.pick(&["10.0.0.9", "10.0.0.8"]), "hostnames": ["a"]});
            list(spec, "hostAliases").push(alias);
        }
    }
}

pub(super) fn metadata(pod: &mut Value, dice: &mut Dice) {
    let metadata = &mut pod["metadata"];
    // Near the API server's limit of 256 KiB. Rare, because a large pod takes time.
    if dice.below(8) == 0 {
        let bytes = (256 << 10) - 250 - dice.below(250);
        object(metadata, "annotations")["x"] = "x".repeat(bytes).into();
        return;
    }
    match dice.below(4) {
        0 => {
            object(metadata, "annotations")["arc-rocm.dev/gpus"] =
                dice.pick(&["0", "1", "8", "x", "99"]).into();
        }
        1 => object(metadata, "annotations")["arc-rocm.dev/status"] = "{}".into(),
        2 => object(metadata, "annotations")[dice.pick(&KEYS)] = "anything ☃".into(),
        _ => object(metadata, "labels")[dice.pick(&KEYS)] = "Always".into(),
    }
}

/// Makes a parent absent, null or empty.
pub(super) fn empty_parent(pod: &mut Value, dice: &mut Dice) {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    let mut set = |parent: &mut Value, field: &str, is_list: bool| {
        if !parent.get(field).is_none_or(empty) {
            return;
        }
        match dice.below(3) {
            0 => parent[field] = Value::Null,
            1 => parent[field] = if is_list { json!([]) } else { json!({}) },
            _ => {
                parent.as_object_mut().unwrap().remove(field);
            }
        }
    };
    for (field, is_list) in [
        ("initContainers", true),
        ("volumes", true),
        ("nodeSelector", false),
        ("securityContext", false),
        ("tolerations", true),
        ("affinity", false),
        ("dnsConfig", false),
    ] {
        set(&mut pod["spec"], field, is_list);
    }
    let runner = runner(pod);
    for (field, is_list) in [
        ("env", true),
        ("volumeMounts", true),
        ("resources", false),
        ("ports", true),
        ("args", true),
        ("securityContext", false),
    ] {
        set(runner, field, is_list);
    }
    if runner["resources"].is_object() {
        set(&mut runner["resources"], "limits", false);
        set(&mut runner["resources"], "requests", false);
    }
}

/// A field that no type has, in some object.
pub(super) fn unknown_field(pod: &mut Value, dice: &mut Dice) {
    let mut count = 0;
    each_object(&mut pod["spec"], &mut |_| count += 1);
    let (at, key, value) = (dice.below(count), dice.marker(), dice.marker());
    let mut index = 0;
    each_object(&mut pod["spec"], &mut |object| {
        // In a map of strings or quantities, an object as value would be invalid.
        let is_map = object.as_object().unwrap().keys().any(|key| {
            key.contains(['/', '.']) || RESOURCES.contains(&key.as_str()) || key == "pytorch"
        });
        if index == at && !is_map && !object.as_object().unwrap().is_empty() {
            object[&key] = json!({"nested": [value, 1, null, {"deep": true}]});
        }
        index += 1;
    });
}

/// Reorders lists: the runner may be at any position.
pub(super) fn order(pod: &mut Value, dice: &mut Dice) {
    let field = dice.pick(&["containers", "initContainers", "volumes"]);
    if let Some(items) = pod["spec"][field].as_array_mut() {
        items.reverse();
    }
}

pub(super) fn container_odds(pod: &mut Value, dice: &mut Dice) {
    let Some(container) = some_container(pod, dice) else { return };
    match dice.below(5) {
        0 => {
            container["resizePolicy"] = json!([{"resourceName": "cpu",
                "restartPolicy": dice.pick(&["NotRequired", "RestartContainer"])}]);
        }
        1 => container["envFrom"] = json!([{"secretRef": {"name": "own"}}]),
        2 => container["terminationMessagePath"] = "/tmp/log".into(),
        3 => container["workingDir"] = "/work".into(),
        _ if container["restartPolicy"] == "Always" => {
            container[dice.pick(&PROBES)] = json!({"exec": {"command": ["true"]}});
        }
        _ => container["stdin"] = true.into(),
    }
}

pub(super) fn device(pod: &mut Value, dice: &mut Dice) {
    let claim = json!({"name": "block", "persistentVolumeClaim": {"claimName": "block"}});
    let volumes = list(&mut pod["spec"], "volumes");
    if !volumes.iter().any(|volume| volume["name"] == "block") {
        volumes.push(if dice.chance(80) {
            claim
        } else {
            json!({"name": "block", "emptyDir": {}})
        });
    }
    if dice.chance(50) {
        runner(pod)["volumeDevices"] = json!([{"name": "block", "devicePath": "/dev/own"}]);
    }
}
