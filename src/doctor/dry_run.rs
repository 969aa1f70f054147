//! A runner pod as a dry run: the API server itself reports whether it reaches and trusts the webhook.
//! Nothing is stored.

use hyper::Method;
use kube::Client;
use serde_json::{Value, json};

use super::{
    call,
    facts::{DryRun, Known, Unknown, text},
};
use crate::{annotations::STATUS, podspec::RUNNER_LABEL};

/// The name of the pod.
const NAME: &str = "arc-rocm-doctor";

/// Creates a runner pod in `namespace` as a dry run.
pub(super) async fn run(client: &Client, namespace: &str) -> Known<DryRun> {
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
    let answer = call::send(client, Method::POST, &path, Some(&pod(namespace))).await?;
    let message = match answer.code {
        200..300 => String::new(),
        code => call::refusal(code, &answer.object),
    };
    // The words of the authorizer; refusals by admission have others.
    if answer.code == 403 && message.contains("cannot create resource") {
        let needs = format!("create pods in namespace {namespace} (nothing is stored)");
        return Err(Unknown::Forbidden(needs));
    }
    Ok(DryRun {
        namespace: namespace.to_owned(),
        code: answer.code,
        message,
        warnings: answer.warnings,
        patched: !text(&answer.object, &status_pointer()).is_empty(),
    })
}

fn status_pointer() -> String {
    format!("/metadata/annotations/{}", STATUS.replace('/', "~1"))
}

/// A pod that the registration selects and Pod Security `restricted` allows. A `matchCondition` may
/// require its owner, which does not exist. The user is not ARC's controller, so the webhook skips the
/// pod with a warning.
fn pod(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "labels": {
                RUNNER_LABEL: "True",
                "actions.github.com/scale-set-name": NAME,
                "actions.github.com/scale-set-namespace": namespace,
            },
            "ownerReferences": [{
                "apiVersion": "actions.github.com/v1alpha1",
                "kind": "EphemeralRunner",
                "name": NAME,
                "uid": "00000000-0000-0000-0000-000000000000",
                "controller": true,
            }],
        },
        "spec": {
            "automountServiceAccountToken": false,
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "runner",
                "image": "ghcr.io/actions/actions-runner:latest",
                "command": ["/home/runner/run.sh"],
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        admission::{of_pod, read, subject},
        inject::{Config, Skip},
    };

    #[test]
    fn dry_run_pod_is_skipped_with_a_warning() {
        let review = of_pod("x", &pod("arc-runners"), "arc-runners", "kubernetes-admin");
        let body = serde_json::to_vec(&review).unwrap();
        let request = read(&body).unwrap();
        let skip = subject(&request, &Config::default()).map(|_| ()).unwrap_err();
        assert_eq!(skip, Skip::ControllerUser);
        assert!(skip.is_warned());
    }
}
