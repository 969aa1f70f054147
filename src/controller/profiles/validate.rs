//! Checking an object before it is stored.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, response::Response, routing::post};
use kube::{Api, api::ListParams};
use tokio::{
    sync::{Mutex, watch::Receiver},
    time::{Instant, sleep_until, timeout},
};

use super::{Compiled, Latest, stored::Stored};
use crate::{
    admission::{ProfileDecision, ProfileRequest, Unreadable},
    profile::Object,
    server::{ReviewBody, Service, busy, review_response},
};

/// The path for reviews of RunnerProfiles.
const PATH: &str = "/validate";

/// Between two reads of all objects, so that a flood of bad objects does not burden the API server.
const LIST_INTERVAL: Duration = Duration::from_millis(200);
/// The longest wait for such a read. Less than the webhook's timeout.
const LIST_TIMEOUT: Duration = Duration::from_secs(2);

/// Answers reviews of RunnerProfiles.
#[derive(Debug)]
pub(super) struct Validator {
    api: Api<Stored>,
    latest: Receiver<Latest>,
    /// When the objects may be read again.
    next_list: Mutex<Instant>,
}

impl Validator {
    pub(super) fn new(api: Api<Stored>, latest: Receiver<Latest>) -> Self {
        Self { api, latest, next_list: Mutex::new(Instant::now()) }
    }

    /// The `AdmissionReview` that answers the one in `body`; `None` before the objects have been read.
    async fn answer(&self, service: &Service, body: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        let request = ProfileRequest::read(body)?;
        let decision = if request.is_checked() {
            let Some(latest) = self.latest.borrow().clone() else { return Ok(None) };
            self.decide(service, &request, &latest).await
        } else {
            request.decide(&[], &[])
        };
        if let Some((field, message)) = decision.problems.first() {
            let problems = decision.problems.len();
            tracing::info!(
                profile = request.name,
                problems,
                first = format!("{field}: {message}"),
                "a RunnerProfile was refused when it was applied"
            );
        }
        Ok(Some(request.answer(&decision)))
    }

    async fn decide(
        &self,
        service: &Service,
        request: &ProfileRequest,
        latest: &Arc<Compiled>,
    ) -> ProfileDecision {
        let decision = decide(service, request, latest, None).await;
        if decision == ProfileDecision::default() {
            return decision;
        }
        // What was applied a moment before may not have come by the watch yet. Where the objects
        // cannot be read, those that are known have to do.
        match timeout(LIST_TIMEOUT, self.list()).await {
            Ok(Ok(objects)) => decide(service, request, latest, Some(objects)).await,
            _ => decision,
        }
    }

    /// All objects, as the API server has them now.
    async fn list(&self) -> kube::Result<Vec<Object>> {
        let mut next = self.next_list.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + LIST_INTERVAL;
        let list = self.api.list(&ListParams::default()).await?;
        Ok(list.items.iter().map(Stored::object).collect())
    }
}

/// Decides beside `objects`, or those of `latest`.
async fn decide(
    service: &Service,
    request: &ProfileRequest,
    latest: &Arc<Compiled>,
    objects: Option<Vec<Object>>,
) -> ProfileDecision {
    let (request, latest) = (request.clone(), Arc::clone(latest));
    let decide = move || {
        let objects = objects.as_deref().unwrap_or(&latest.objects);
        request.decide(&latest.files, objects)
    };
    service.run_heavy(decide).await
}

/// The route of [`PATH`].
pub(super) fn router(validator: Validator) -> Router<Arc<Service>> {
    let validator = Arc::new(validator);
    let review = async move |State(service): State<Arc<Service>>, body: ReviewBody| -> Response {
        match validator.answer(&service, &body.bytes).await {
            Ok(None) => busy("the RunnerProfiles were not read yet, try again"),
            Ok(Some(answer)) => review_response(Ok(answer)),
            Err(unreadable) => review_response(Err(unreadable)),
        }
    };
    Router::new().route(PATH, post(review))
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use axum::{
        body::{Body, to_bytes},
        http::{Request, Response, StatusCode},
    };
    use kube::Client;
    use serde_json::{Value, json};
    use tokio::sync::watch::channel;
    use tower::ServiceExt as _;

    use super::*;
    use crate::{
        inject::Config,
        server::{self, Limits},
        telemetry::Metrics,
    };

    /// An API server that has `items`, and how often it was asked.
    fn api(items: Value) -> (Api<Stored>, Arc<AtomicUsize>) {
        let lists = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&lists);
        let service = tower::service_fn(move |_: Request<kube::client::Body>| {
            counter.fetch_add(1, Ordering::Relaxed);
            let list = json!({
                "apiVersion": "arc-rocm.dev/v1alpha1",
                "kind": "RunnerProfileList",
                "metadata": {"resourceVersion": "1"},
                "items": items,
            });
            let response = Response::new(kube::client::Body::from(list.to_string().into_bytes()));
            async move { Ok::<_, kube::Error>(response) }
        });
        (Api::all(Client::new(service, "arc-rocm")), lists)
    }

    /// Neither files nor objects.
    fn nothing() -> Arc<Compiled> {
        let (files, objects, acceptances) = (Vec::new(), Vec::new(), BTreeMap::new());
        Arc::new(Compiled { files, objects, acceptances })
    }

    fn review(spec: &Value) -> Vec<u8> {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "1",
                "kind": {"group": "arc-rocm.dev", "version": "v1alpha1", "kind": "RunnerProfile"},
                "operation": "CREATE",
                "object": {"metadata": {"name": "a"}, "spec": spec},
            },
        });
        review.to_string().into_bytes()
    }

    /// The response to a body: its status, and its own body.
    async fn post(router: &Router, body: Vec<u8>) -> (StatusCode, Value) {
        let request = Request::post(PATH).body(Body::from(body)).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// What a server with this validator serves.
    fn serving(api: Api<Stored>, latest: Receiver<Latest>) -> Router {
        let service =
            Arc::new(Service::new(Config::default(), Metrics::default(), Limits::default()));
        server::router(&service, router(Validator::new(api, latest)))
    }

    async fn allowed(router: &Router, spec: &Value) -> bool {
        let (status, answer) = post(router, review(spec)).await;
        assert_eq!((status, &answer["response"]["uid"]), (StatusCode::OK, &json!("1")), "{answer}");
        answer["response"]["allowed"].as_bool().unwrap()
    }

    #[tokio::test]
    async fn base_applied_a_moment_ago_counts() {
        let base = json!({"metadata": {"name": "common", "uid": "u"}, "spec": {"extends": "rocm"}});
        let (api, lists) = api(json!([base]));
        let (_sender, latest) = channel(Some(nothing()));
        let router = serving(api, latest);
        assert!(allowed(&router, &json!({"extends": "rocm"})).await);
        assert_eq!(lists.load(Ordering::Relaxed), 0);
        assert!(allowed(&router, &json!({"extends": "common"})).await);
        assert_eq!(lists.load(Ordering::Relaxed), 1);
        assert!(!allowed(&router, &json!({"extends": "common", "gpus": 1})).await);
    }

    #[tokio::test]
    async fn every_problem_is_in_the_answer() {
        let (_sender, latest) = channel(Some(nothing()));
        let router = serving(api(json!([])).0, latest);
        let (status, answer) = post(&router, review(&json!({"gpus": 1, "group": []}))).await;
        let response = &answer["response"];
        assert_eq!((status, &response["status"]["code"]), (StatusCode::OK, &json!(422)));
        let causes = response["status"]["details"]["causes"].as_array().unwrap();
        assert_eq!(causes.len(), 2, "{causes:?}");
        assert_eq!(post(&router, b"{}".to_vec()).await.0, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn review_before_the_objects_are_read_is_retriable() {
        let (_sender, latest) = channel(None);
        let router = serving(api(json!([])).0, latest);
        let (status, _) = post(&router, review(&json!({"extends": "rocm"}))).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
