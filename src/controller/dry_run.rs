//! Pods that the API server checks and does not store.

use hyper::{
    Request,
    header::{ACCEPT, CONTENT_TYPE},
};
use kube::{Client, core::Status};
use serde_json::Value;

use super::REQUEST_TIMEOUT;

/// One reason why the API server refuses a pod.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PodProblem {
    /// The field, such as `spec.containers[0].image`; empty where the whole pod is refused.
    pub field: String,
    /// The API server's words.
    pub message: String,
}

/// Why the API server did not check a pod.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DryRunError {
    /// The user lacks the permission.
    #[error("this needs the permission to create pods in namespace {0} (nothing is stored)")]
    Forbidden(String),
    /// There is no such namespace.
    #[error("there is no namespace {0}")]
    NoNamespace(String),
    /// The API server answered in time with neither a pod nor a refusal.
    #[error("the API server did not check the pod")]
    Failed(#[from] kube::Error),
    /// The API server did not answer.
    #[error("the API server did not answer in {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout,
    /// The namespace's name does not make a path.
    #[error("not a namespace")]
    Path(#[from] hyper::http::Error),
}

/// Creates a pod by dry run, with strict checking of unknown fields. Returns why the API server
/// refuses it.
pub async fn create_pod(
    client: &Client,
    namespace: &str,
    pod: &Value,
) -> Result<Vec<PodProblem>, DryRunError> {
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict");
    let request = Request::post(path)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .body(pod.to_string().into_bytes())?;
    let answer = tokio::time::timeout(REQUEST_TIMEOUT, client.request::<Value>(request)).await;
    match answer.map_err(|_elapsed| DryRunError::Timeout)? {
        Ok(_) => Ok(Vec::new()),
        Err(kube::Error::Api(status)) => refusal(*status, namespace),
        Err(error) => Err(error.into()),
    }
}

/// What a status says of the pod, or why it says nothing of it.
fn refusal(status: Status, namespace: &str) -> Result<Vec<PodProblem>, DryRunError> {
    let namespace = || namespace.to_owned();
    match status.code {
        _ if is_of_authorizer(&status) => Err(DryRunError::Forbidden(namespace())),
        404 => Err(DryRunError::NoNamespace(namespace())),
        400 | 403 | 409 | 413 | 422 => {
            let causes = status.details.map(|details| details.causes).unwrap_or_default();
            if causes.is_empty() {
                return Ok(vec![PodProblem { field: String::new(), message: status.message }]);
            }
            let problem = |cause: kube::core::response::StatusCause| PodProblem {
                field: cause.field,
                message: cause.message,
            };
            Ok(causes.into_iter().map(problem).collect())
        }
        _ => Err(kube::Error::Api(status.boxed()).into()),
    }
}

/// Whether the user lacks the permission to create pods. The authorizer names the resource and, for a
/// create, no object (apiserver, `responsewriters/errors.go`); admission names the pod, or nothing.
pub(crate) fn is_of_authorizer(status: &Status) -> bool {
    let details = status.details.as_ref();
    status.code == 403 && details.is_some_and(|one| one.kind == "pods" && one.name.is_empty())
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use hyper::{body::Bytes, http::Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// What comes of an answer of this status.
    async fn answered(code: u16, answer: Value) -> Result<Vec<PodProblem>, DryRunError> {
        let service = tower::service_fn(move |request: Request<Body>| {
            assert_eq!(
                request.uri(),
                "/api/v1/namespaces/arc-runners/pods?dryRun=All&fieldValidation=Strict"
            );
            let body = Full::new(Bytes::from(answer.to_string()));
            async move { Ok::<_, kube::Error>(Response::builder().status(code).body(body).unwrap()) }
        });
        let client = Client::new(service, "default");
        create_pod(&client, "arc-runners", &json!({"kind": "Pod"})).await
    }

    fn failure(code: u16, message: &str, causes: &Value) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "message": message, "details": {"causes": causes},
        })
    }

    #[tokio::test]
    async fn accepted_pod_has_no_problem() {
        assert_eq!(answered(201, json!({"kind": "Pod"})).await.unwrap(), []);
    }

    #[tokio::test]
    async fn invalid_pod_has_a_problem_for_each_cause() {
        let causes = json!([
            {"field": "spec.containers[0].image", "message": "Required value"},
            {"field": "spec.volumes[1].name", "message": "Duplicate value"},
        ]);
        let problems = answered(422, failure(422, "invalid", &causes)).await.unwrap();
        let problem = |field: &str, message: &str| PodProblem {
            field: field.to_owned(),
            message: message.to_owned(),
        };
        assert_eq!(
            problems,
            [
                problem("spec.containers[0].image", "Required value"),
                problem("spec.volumes[1].name", "Duplicate value"),
            ]
        );
    }

    #[tokio::test]
    async fn refusal_without_causes_is_one_problem_of_the_pod() {
        for (code, message) in [
            (403, "pods \"x\" is forbidden: violates PodSecurity \"baseline:latest\""),
            (403, "pods \"x\" is forbidden: no PriorityClass with name ci was found"),
            (400, "strict decoding error: unknown field \"spec.x\""),
        ] {
            let problems = answered(code, failure(code, message, &json!([]))).await.unwrap();
            assert_eq!(problems.len(), 1, "{message}");
            assert_eq!((problems[0].field.as_str(), problems[0].message.as_str()), ("", message));
        }
    }

    #[tokio::test]
    async fn missing_permission_is_no_problem_of_the_pod() {
        let mut answer = failure(403, "pods is forbidden: User \"dev\"", &json!([]));
        answer["details"]["kind"] = json!("pods");
        let error = answered(403, answer.clone()).await.unwrap_err();
        assert!(matches!(error, DryRunError::Forbidden(namespace) if namespace == "arc-runners"));
        answer["details"]["name"] = json!("x");
        assert_eq!(answered(403, answer).await.unwrap().len(), 1, "admission names the pod");
    }

    #[tokio::test]
    async fn missing_namespace_and_failing_server_are_errors() {
        let answer = failure(404, "namespaces \"arc-runners\" not found", &json!([]));
        let error = answered(404, answer).await.unwrap_err();
        assert!(matches!(error, DryRunError::NoNamespace(_)), "{error}");
        let error = answered(500, failure(500, "etcd", &json!([]))).await.unwrap_err();
        assert!(matches!(error, DryRunError::Failed(_)), "{error}");
    }
}
