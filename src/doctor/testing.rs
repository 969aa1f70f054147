//! The facts of a healthy cluster, for tests to change.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{Check, Controller, DryRun, Facts, Listed, Node, Settings, WebhookPod};
use crate::{
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

/// A profile for the scale sets of a pattern.
pub(crate) fn profile(name: &str, pattern: &str) -> String {
    format!(
        "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: {name}}}\n\
         spec: {{extends: rocm, match: {{scaleSets: ['{pattern}']}}}}\n"
    )
}

/// The `AutoscalingRunnerSet` of a plain values file.
pub(crate) fn scale_set(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "arc-runners", "labels": {}},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "runner", "image": "ghcr.io/actions/actions-runner:latest"}],
        }}},
    })
}

/// Makes the scale set opt out.
pub(crate) fn opted_out(set: &mut Value) {
    set["spec"]["template"]["metadata"] = json!({"labels": {"arc-rocm.dev/inject": "false"}});
}

/// A runner pod.
pub(crate) fn pod(name: &str, patched: bool) -> Value {
    let mut pod = json!({
        "metadata": {
            "name": name,
            "namespace": "arc-runners",
            "labels": {
                "actions-ephemeral-runner": "True",
                "actions.github.com/scale-set-name": "linux.rocm.gpu.gfx942.2",
            },
            "ownerReferences": [{
                "apiVersion": "actions.github.com/v1alpha1",
                "kind": "EphemeralRunner",
                "controller": true,
            }],
        },
        "spec": {"containers": [{"name": "runner"}]},
    });
    if patched {
        pod["metadata"]["annotations"] = json!({"arc-rocm.dev/status": "{}"});
    }
    pod
}

/// The facts of a healthy cluster.
pub(crate) fn healthy() -> Facts {
    let registration = json!({
        "metadata": {"name": "arc-rocm"},
        "webhooks": [{
            "name": "mutate.arc-rocm.dev",
            "clientConfig": {
                "caBundle": base64_simd::STANDARD.encode_to_string(&ISSUED.ca),
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
        "spec": {"replicas": 2, "template": {"spec": {
            "containers": [{
                "name": "arc-rocm",
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
        "status": {"readyReplicas": 2},
    });
    let webhook_pod = |name: &str| WebhookPod {
        name: name.to_owned(),
        image: "ghcr.io/arc-rocm/arc-rocm:0.1.0".to_owned(),
        restarts: 0,
        last_end: String::new(),
    };
    let leaf = tls::Pair::from_pem(ISSUED.certificate.as_bytes(), ISSUED.key.as_bytes()).unwrap();
    let patterns = "linux.rocm.gpu.*.{gpus}";
    Facts {
        settings: Settings { name: "arc-rocm".to_owned(), namespace: "arc-rocm".to_owned() },
        now: leaf.leaf.not_after - DAYS * 86_400,
        version: Ok("v1.37.2".to_owned()),
        registration: Ok(Some(registration)),
        other_registrations: Vec::new(),
        service: Ok(true),
        deployment: Ok(Some(deployment)),
        slices: Ok(listed(vec![json!({"endpoints": [
            {"conditions": {"ready": true}},
            {"conditions": {"ready": true}},
        ]})])),
        pods: Ok(listed(vec![webhook_pod("arc-rocm-a"), webhook_pod("arc-rocm-b")])),
        dry_run: Ok(DryRun {
            namespace: "arc-runners".to_owned(),
            code: 201,
            message: String::new(),
            warnings: vec!["arc-rocm: the pod is not created by ARC's controller".to_owned()],
            patched: false,
        }),
        certificate: Ok(Some(ISSUED.certificate.clone())),
        scale_sets: Ok(Some(listed(vec![scale_set("linux.rocm.gpu.gfx942.2")]))),
        failed: Ok(Some(Listed::default())),
        runners: Ok(listed(vec![pod("linux.rocm.gpu.gfx942.2-abcde-runner-fghij", true)])),
        namespaces: Ok([("arc-runners", "privileged"), ("arc-rocm", "restricted")]
            .map(|(name, level)| (name.to_owned(), level.to_owned()))
            .into()),
        controllers: Ok(listed(vec![Controller {
            deployment: "arc-systems/arc-gha-rs-controller".to_owned(),
            user: "system:serviceaccount:arc-systems:arc-gha-rs-controller".to_owned(),
        }])),
        nodes: Ok(listed(vec![Node {
            labels: [("pytorch".to_owned(), "yes".to_owned())].into(),
            allocatable: [("amd.com/gpu".to_owned(), 8)].into(),
        }])),
        profiles: Ok(None),
        config_map: Ok(Some([("fleet.yaml".to_owned(), profile("fleet", patterns))].into())),
    }
}

fn listed<T>(items: Vec<T>) -> Listed<T> {
    Listed { items, cut: false }
}
