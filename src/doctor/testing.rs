//! The facts of a healthy cluster, for tests to change.

use std::sync::LazyLock;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Node, Pod},
};
use kube::core::Status;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, from_value, json, to_value};

use super::{
    Check, DryRun, EphemeralRunner, Facts, Settings,
    facts::{ProfileObject, ScaleSet},
    sample::{Samples, profile_of},
};
use crate::{
    VERSION,
    annotations::STATUS,
    certs::{self, Issued},
    tls,
};

/// The lifetime of its certificates.
pub(crate) const DAYS: i64 = 90;

static ISSUED: LazyLock<Issued> = LazyLock::new(|| certs::issue(&[], 90).unwrap());

/// The codes of a check's findings.
pub(crate) fn codes(check: &Check) -> Vec<&'static str> {
    check.findings.iter().map(|finding| finding.code.as_str()).collect()
}

/// Changes an object as JSON.
pub(crate) fn change<T: Serialize + DeserializeOwned>(object: &mut T, of: impl FnOnce(&mut Value)) {
    let mut value = to_value(&*object).unwrap();
    of(&mut value);
    *object = from_value(value).unwrap();
}

/// Adds flags to the webhook.
pub(crate) fn flags(facts: &mut Facts, more: &[&str]) {
    let deployment = facts.deployment.as_mut().unwrap().as_mut().unwrap();
    let spec = deployment.spec.template.spec.as_mut().unwrap();
    let args = spec.containers[0].args.as_mut().unwrap();
    args.extend(more.iter().map(|&flag| flag.to_owned()));
}

/// A profile for the scale sets of a pattern.
pub(crate) fn profile(name: &str, pattern: &str) -> String {
    format!(
        "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: {name}}}\n\
         spec: {{extends: rocm, match: {{scaleSets: ['{pattern}']}}}}\n"
    )
}

/// The profiles' `ConfigMap`.
pub(crate) fn config_map(text: &str) -> ConfigMap {
    from_value(json!({"data": {"fleet.yaml": text}})).unwrap()
}

/// A RunnerProfile object with the condition `Accepted`, if any.
pub(crate) fn profile_object(name: &str, spec: &Value, accepted: Option<&str>) -> ProfileObject {
    let condition = accepted.map(|status| {
        json!({
            "type": "Accepted", "status": status, "message": "spec.x: no such field", "reason": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    });
    let status = json!({"conditions": condition.into_iter().collect::<Vec<_>>()});
    from_value(json!({"metadata": {"name": name}, "spec": spec, "status": status})).unwrap()
}

/// The scale set of a plain values file.
pub(crate) fn scale_set(name: &str) -> ScaleSet {
    from_value(json!({
        "metadata": {"name": name, "namespace": "arc-runners", "labels": {}},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "runner", "image": "ghcr.io/actions/actions-runner:latest"}],
        }}},
        "status": {"phase": "Running"},
    }))
    .unwrap()
}

/// Makes the scale set opt out.
pub(crate) fn opted_out(set: &mut ScaleSet) {
    set.spec["template"]["metadata"] = json!({"labels": {"arc-rocm.dev/inject": "false"}});
}

/// A runner pod, with the webhook's annotation if it is patched.
pub(crate) fn pod(name: &str, status: Option<&str>) -> Pod {
    from_value(json!({
        "metadata": {
            "name": name,
            "namespace": "arc-runners",
            "labels": {
                "actions-ephemeral-runner": "True",
                "actions.github.com/scale-set-name": "linux.rocm.gpu.gfx942.2",
            },
            "annotations": status.map(|status| json!({STATUS: status})),
            "ownerReferences": [{
                "apiVersion": "actions.github.com/v1alpha1",
                "kind": "EphemeralRunner",
                "name": name,
                "uid": "",
                "controller": true,
            }],
        },
        "spec": {"containers": [{"name": "runner"}]},
    }))
    .unwrap()
}

/// The annotation of a patched pod.
pub(crate) fn status_of(profile: &str, digest: &str) -> String {
    json!({"profile": profile, "version": VERSION, "digest": digest}).to_string()
}

/// A runner with a status.
pub(crate) fn ephemeral_runner(name: &str, status: &Value) -> EphemeralRunner {
    let metadata = json!({"name": name, "namespace": "arc-runners"});
    from_value(json!({"metadata": metadata, "spec": {}, "status": status})).unwrap()
}

/// ARC's controller with a service account.
pub(crate) fn controller(account: &str) -> Deployment {
    from_value(json!({"metadata": {
        "name": "arc-gha-rs-controller",
        "namespace": "arc-systems",
        "labels": {
            "actions.github.com/controller-service-account-namespace": "arc-systems",
            "actions.github.com/controller-service-account-name": account,
        },
    }}))
    .unwrap()
}

/// A node.
pub(crate) fn node(labels: &Value, allocatable: &Value) -> Node {
    from_value(json!({
        "metadata": {"name": "n", "labels": labels},
        "status": {"allocatable": allocatable, "nodeInfo": {
            "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "containerd://2.1.4",
            "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "v1.37.2", "machineID": "",
            "operatingSystem": "linux", "osImage": "", "systemUUID": "",
        }},
    }))
    .unwrap()
}

/// The API server's refusal.
pub(crate) fn status(code: u16, message: &str) -> Status {
    from_value(json!({"status": "Failure", "code": code, "message": message})).unwrap()
}

/// The facts of a healthy cluster.
pub(crate) fn healthy() -> Facts {
    let registration = json!({
        "metadata": {"name": "arc-rocm"},
        "webhooks": [{
            "name": "mutate.arc-rocm.dev",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {
                "caBundle": k8s_openapi::ByteString(ISSUED.ca.clone().into_bytes()),
                "service": {"name": "arc-rocm", "namespace": "arc-rocm", "path": "/mutate", "port": 443},
            },
            "rules": [{
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
                "scope": "Namespaced",
            }],
            "objectSelector": {
                "matchLabels": {"actions-ephemeral-runner": "True"},
                "matchExpressions": [
                    {"key": "arc-rocm.dev/inject", "operator": "NotIn", "values": ["false"]},
                ],
            },
            "namespaceSelector": {"matchExpressions": [{
                "key": "kubernetes.io/metadata.name",
                "operator": "NotIn",
                "values": ["arc-rocm", "kube-system"],
            }]},
            "failurePolicy": "Fail",
            "reinvocationPolicy": "IfNeeded",
            "sideEffects": "None",
        }],
    });
    let deployment = json!({
        "spec": {"replicas": 2, "selector": {}, "template": {"spec": {
            "containers": [{
                "name": "arc-rocm",
                "image": format!("ghcr.io/arc-rocm/arc-rocm:{VERSION}"),
                "args": ["serve", "--tls-cert=/tls/tls.crt", "--profiles=/profiles"],
                "volumeMounts": [
                    {"name": "tls", "mountPath": "/tls"},
                    {"name": "profiles", "mountPath": "/profiles"},
                ],
            }],
            "volumes": [
                {"name": "tls", "secret": {"secretName": "arc-rocm-tls"}},
                {"name": "profiles", "configMap": {"name": "arc-rocm-profiles"}},
            ],
        }}},
        "status": {"readyReplicas": 2, "updatedReplicas": 2},
    });
    let namespace = |name| from_value(json!({"metadata": {"name": name}})).unwrap();
    let leaf = tls::Pair::from_pem(ISSUED.certificate.as_bytes(), ISSUED.key.as_bytes()).unwrap();
    let allocatable =
        json!({"amd.com/gpu": "8", "cpu": "191500m", "memory": "2Ti", "ephemeral-storage": "3T"});
    let mut facts = Facts {
        settings: Settings { name: "arc-rocm".to_owned(), namespace: "arc-rocm".to_owned() },
        now: leaf.leaf.not_after - DAYS * 86_400,
        version: Ok("v1.37.2".to_owned()),
        registration: Ok(Some(from_value(registration).unwrap())),
        other_registrations: Vec::new(),
        deployment: Ok(Some(from_value(deployment).unwrap())),
        certificate: Ok(Some(ISSUED.certificate.clone())),
        config_map: Ok(Some(config_map(&profile("fleet", "linux.rocm.gpu.*.{gpus}")))),
        profiles: Ok(Vec::new()),
        runtime_classes: Ok(Vec::new()),
        scale_sets: Ok(vec![scale_set("linux.rocm.gpu.gfx942.2")]),
        runners: Ok(Vec::new()),
        runner_pods: Ok(Vec::new()),
        namespaces: Ok(["arc-runners", "arc-rocm"].map(namespace).into()),
        controllers: Ok(vec![controller("arc-gha-rs-controller")]),
        nodes: Ok(vec![node(&json!({"pytorch": "yes"}), &allocatable)]),
        dry_run: Ok(DryRun { namespace: "arc-runners".to_owned(), called: true, refusal: None }),
        trials: [("arc-runners/linux.rocm.gpu.gfx942.2".to_owned(), Ok(None))].into(),
    };
    let name = "linux.rocm.gpu.gfx942.2-abcde-runner-fghij";
    let config = Samples::of(&facts).config;
    let bare = to_value(pod(name, None)).unwrap();
    let (profile, digest) = profile_of(&bare, "arc-runners", &config).unwrap();
    facts.runner_pods = Ok(vec![pod(name, Some(&status_of(&profile, &digest)))]);
    facts.runners = Ok(vec![ephemeral_runner(name, &json!({"phase": "Running", "ready": true}))]);
    facts
}
