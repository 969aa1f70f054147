//! What ARC's charts install around its controller, as far as the stand-in needs it: the
//! definition of EphemeralRunner, the ServiceAccount and its rights.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ACCOUNT, NAMESPACE};
use crate::{
    cluster::{Cluster, User, path_of},
    rights::{self, rule},
    scene::LABEL,
    wait::{Look, until},
};

const CRD: &str =
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ephemeralrunners.actions.github.com";
const ESTABLISHED: Duration = Duration::from_secs(30);
const GONE: Duration = Duration::from_mins(1);

/// The controller, with the `User-Agent` of its client: the captured pods' `managedFields` name
/// the program `arc-manager`.
pub(crate) fn user() -> User {
    User {
        agent: Some("arc-manager/v0.14.2 (linux/amd64) actions-runner-controller".to_owned()),
        ..User::service_account(NAMESPACE, ACCOUNT)
    }
}

/// Makes what is not there yet, once for the suite. Returns the paths of what was made, to be
/// deleted at the end: a real installation of ARC stays as it is.
pub(crate) async fn install(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let mut made = Vec::new();
    let own = format!("/api/v1/namespaces/{NAMESPACE}");
    until("an earlier run's namespace of ARC to be gone", GONE, || async {
        Ok(match cluster.find(&own).await? {
            Some(namespace) if namespace["metadata"]["deletionTimestamp"].is_string() => {
                Look::NotYet(namespace["status"].to_string())
            }
            _ => Look::Seen(()),
        })
    })
    .await?;
    for object in [definition(), namespace(), account(), cluster_role(), cluster_role_binding()] {
        let path = path_of(&object)?;
        if cluster.find(&path).await?.is_none() {
            cluster.apply(&object).await?;
            made.push(path);
        }
    }
    until("EphemeralRunner to be served", ESTABLISHED, || async {
        let definition = cluster.get(CRD).await?;
        let conditions = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let established = conditions
            .iter()
            .any(|condition| condition["type"] == "Established" && condition["status"] == "True");
        Ok(if established { Look::Seen(()) } else { Look::NotYet(json!(conditions).to_string()) })
    })
    .await?;
    Ok(made)
}

/// The rights in a namespace with scale sets: the chart's `manager_role.yaml`.
pub(crate) async fn grant(cluster: &Cluster, namespace: &str) -> anyhow::Result<()> {
    let written = ["create", "delete", "get", "list", "patch", "update"];
    let rules = [
        rule("", &["pods"], &["create", "delete", "get"]),
        rule("", &["pods/status"], &["get"]),
        rule("", &["secrets", "serviceaccounts"], &written),
    ];
    rights::grant(cluster, namespace, "gha-rs-manager", &user(), &rules).await
}

/// ARC's own definition has the whole PodTemplateSpec as its schema, 1 MB of it; this one takes
/// anything.
fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "ephemeralrunners.actions.github.com", "labels": {LABEL: "true"}},
        "spec": {
            "group": "actions.github.com",
            "scope": "Namespaced",
            "names": {
                "kind": "EphemeralRunner",
                "listKind": "EphemeralRunnerList",
                "plural": "ephemeralrunners",
                "singular": "ephemeralrunner",
            },
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": true,
                }},
            }],
        },
    })
}

fn namespace() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {LABEL: "true"}},
    })
}

fn account() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": ACCOUNT, "namespace": NAMESPACE},
    })
}

/// The part of the chart's `ClusterRole` that this stand-in uses.
fn cluster_role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "e2e-gha-rs-controller", "labels": {LABEL: "true"}},
        "rules": [
            rule(
                "actions.github.com",
                &["ephemeralrunners"],
                &["create", "delete", "get", "list", "patch", "update", "watch"],
            ),
            rule("actions.github.com", &["ephemeralrunners/finalizers"], &["patch", "update"]),
            rule("actions.github.com", &["ephemeralrunners/status"], &["get", "patch", "update"]),
            rule("", &["pods"], &["list", "watch"]),
            rule("", &["serviceaccounts"], &["list", "watch"]),
        ],
    })
}

fn cluster_role_binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "e2e-gha-rs-controller", "labels": {LABEL: "true"}},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "e2e-gha-rs-controller",
        },
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
    })
}
