//! Pods as dry runs: the API server itself reports whether it calls the webhook and takes a pod.
//! Nothing is stored.

use hyper::{
    Request,
    header::{CONTENT_TYPE, WARNING},
};
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Client, client::Body, core::Status};
use serde::{Deserialize as _, Serialize};
use serde_json::{Value, json};

use super::{
    api::{Failure, ask, cut},
    facts::{DryRun, Known, Unknown},
};
use crate::{
    annotations::{INJECT, STATUS},
    controller::dry_run::is_of_authorizer,
    podspec::{OWNER_KIND, RUNNER, RUNNER_LABEL},
};

/// The name of the pods.
const NAME: &str = "arc-rocm-doctor";
/// The prefix of the webhook's warnings.
const PREFIX: &str = "arc-rocm: ";

/// Creates a plain runner pod in `namespace`. The user is not ARC's controller, so the webhook skips the
/// pod with a warning, which proves the call.
pub(super) async fn call(client: &Client, namespace: &str) -> Known<DryRun> {
    let (outcome, warnings) = create(client, namespace, &plain(namespace)).await?;
    let is_patched = |pod: &Value| {
        pod.pointer("/metadata/annotations").is_some_and(|all| all.get(STATUS).is_some())
    };
    let warned = warnings.iter().any(|warning| warning.contains(PREFIX));
    let called = warned || outcome.as_ref().is_ok_and(is_patched);
    Ok(DryRun { namespace: namespace.to_owned(), called, refusal: outcome.err() })
}

/// Creates the runner pod of a scale set, already patched: the webhook is not called. Returns why the
/// API server refuses it.
pub(super) async fn try_out(
    client: &Client,
    namespace: &str,
    pod: &Value,
) -> Known<Option<Status>> {
    let pod = complete(pod).map_err(|error| Unknown::Failed(format!("the runner pod: {error}")))?;
    let (outcome, _) = create(client, namespace, &pod).await?;
    Ok(outcome.err())
}

/// A pod that the registration selects and Pod Security `restricted` allows. A `matchCondition`
/// requires its owner, which does not exist.
fn plain(namespace: &str) -> Value {
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
                "kind": OWNER_KIND,
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
                "name": RUNNER,
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

/// A sample as a pod of its own: under another name, on no node, and for no webhook of this project.
fn complete(sample: &Value) -> serde_json::Result<Pod> {
    let mut pod = Pod::deserialize(sample)?;
    let ObjectMeta { labels, annotations, .. } = pod.metadata;
    let mut labels = labels.unwrap_or_default();
    labels.insert(INJECT.to_owned(), "false".to_owned());
    let (name, labels) = (Some(NAME.to_owned()), Some(labels));
    pod.metadata = ObjectMeta { name, labels, annotations, ..ObjectMeta::default() };
    if let Some(spec) = &mut pod.spec {
        spec.node_name = None;
    }
    Ok(pod)
}

/// The created pod or the refusal, and the texts of the `Warning` headers. `kube::Api` has no headers.
async fn create(
    client: &Client,
    namespace: &str,
    pod: &impl Serialize,
) -> Known<(Result<Value, Status>, Vec<String>)> {
    let failed = |error: &dyn std::error::Error| Unknown::Failed(error.to_string());
    let body = serde_json::to_vec(pod).map_err(|error| failed(&error))?;
    let request = Request::post(format!("/api/v1/namespaces/{namespace}/pods?dryRun=All"))
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .map_err(|error| failed(&error))?;
    let exchange = async {
        let (head, body) = client.send(request).await?.into_parts();
        Ok((head, body.collect_bytes().await?))
    };
    let unknown = |failure: Failure| failure.of("create", "pods", Some(namespace));
    let answer = ask(exchange).await.map_err(unknown)?;
    let (head, body) = answer.ok_or_else(|| unknown(Failure::Forbidden))?;
    let texts = head.headers.get_all(WARNING).iter().filter_map(|value| value.to_str().ok());
    let warnings = texts.map(str::to_owned).collect();
    if head.status.is_success() {
        return Ok((Ok(serde_json::from_slice(&body).map_err(|error| failed(&error))?), warnings));
    }
    let mut status: Status = serde_json::from_slice(&body).map_err(|error| failed(&error))?;
    status.code = head.status.as_u16();
    status.message = cut(&status.message);
    if is_of_authorizer(&status) {
        return Err(unknown(Failure::Forbidden));
    }
    Ok((Err(status), warnings))
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use hyper::{Response, body::Bytes};

    use super::*;
    use crate::{
        admission::{of_pod, read, subject},
        inject::{Config, Skip},
    };

    fn answering(code: u16, answer: &Value, warning: Option<&'static str>) -> Client {
        let answer = answer.to_string();
        let service = tower::service_fn(move |request: Request<Body>| {
            assert_eq!(request.uri(), "/api/v1/namespaces/arc-runners/pods?dryRun=All");
            let mut response = Response::builder().status(code);
            if let Some(warning) = warning {
                response = response.header(WARNING, format!("299 - \"{warning}\""));
            }
            let response = response.body(Full::new(Bytes::from(answer.clone()))).unwrap();
            async move { Ok::<_, kube::Error>(response) }
        });
        Client::new(service, "default")
    }

    fn forbidden(details: &Value) -> Value {
        json!({
            "kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden",
            "message": "no", "details": details,
        })
    }

    #[test]
    fn plain_pod_is_skipped_with_a_warning() {
        let review = of_pod("x", &plain("arc-runners"), "arc-runners", "kubernetes-admin");
        let body = serde_json::to_vec(&review).unwrap();
        let request = read(&body).unwrap();
        let skip = subject(&request, &Config::default()).map(|_| ()).unwrap_err();
        assert_eq!(skip, Skip::ControllerUser);
        assert!(skip.is_warned());
    }

    #[tokio::test]
    async fn warning_or_status_annotation_proves_the_call() {
        let call = async |code, answer, warning| {
            call(&answering(code, &answer, warning), "arc-runners").await.unwrap()
        };
        let warning = "arc-rocm: the pod is not created by ARC's controller";
        assert!(call(201, json!({}), Some(warning)).await.called);
        assert!(!call(201, json!({}), Some("would violate PodSecurity")).await.called);
        let patched = json!({"metadata": {"annotations": {STATUS: "{}"}}});
        assert!(call(201, patched, None).await.called);
        // A quota refuses after the webhooks.
        let refused =
            call(403, forbidden(&json!({"kind": "pods", "name": NAME})), Some(warning)).await;
        assert!(refused.called && refused.refusal.unwrap().code == 403);
    }

    #[tokio::test]
    async fn authorizer_and_admission_are_told_apart() {
        let outcome = async |details| {
            try_out(&answering(403, &forbidden(&details), None), "arc-runners", &json!({})).await
        };
        let unknown = outcome(json!({"kind": "pods"})).await.unwrap_err();
        assert_eq!(unknown.to_string(), "needs permission to create pods in namespace arc-runners");
        assert!(outcome(json!({"kind": "pods", "name": NAME})).await.unwrap().is_some());
        // A webhook of another project gives no details.
        assert!(outcome(json!({})).await.unwrap().is_some());
    }

    #[test]
    fn sample_is_no_pod_that_exists() {
        let pod = complete(&json!({
            "metadata": {"name": "x", "uid": "1", "labels": {"a": "b"}},
            "spec": {"nodeName": "n", "containers": []},
        }));
        let pod = serde_json::to_value(pod.unwrap()).unwrap();
        let labels = json!({"a": "b", INJECT: "false"});
        assert_eq!(pod["metadata"], json!({"name": NAME, "labels": labels}));
        assert_eq!(pod["spec"], json!({"containers": []}));
    }
}
