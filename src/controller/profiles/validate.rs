//! Checking an object before it is stored.

use std::{sync::Arc, time::Duration};

use kube::{Api, api::ListParams};
use tokio::{
    sync::{Mutex, watch::Receiver},
    time::{Instant, sleep_until, timeout},
};

use super::{Latest, stored::Stored};
use crate::{
    admission::{ProfileDecision, ProfileRequest},
    profile::Object,
    server::{Unvalidated, ValidateHook},
};

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

    /// For the server.
    pub(super) fn into_hook(self) -> ValidateHook {
        let validator = Arc::new(self);
        Box::new(move |body| {
            let validator = Arc::clone(&validator);
            Box::pin(async move { validator.answer(&body).await })
        })
    }

    /// The `AdmissionReview` that answers the one in `body`.
    async fn answer(&self, body: &[u8]) -> Result<Vec<u8>, Unvalidated> {
        let request = ProfileRequest::read(body).map_err(Unvalidated::Unreadable)?;
        let decision = if request.is_checked() {
            self.decide(&request).await?
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
        Ok(request.answer(&decision))
    }

    async fn decide(&self, request: &ProfileRequest) -> Result<ProfileDecision, Unvalidated> {
        let Some(latest) = self.latest.borrow().clone() else { return Err(Unvalidated::NotReady) };
        let decision = decide(request, &latest, None).await?;
        if decision == ProfileDecision::default() {
            return Ok(decision);
        }
        // What was applied a moment before may not have come by the watch yet. Where the objects
        // cannot be read, those that are known have to do.
        match timeout(LIST_TIMEOUT, self.list()).await {
            Ok(Ok(objects)) => decide(request, &latest, Some(objects)).await,
            _ => Ok(decision),
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

/// Decides beside `objects`, or those of `latest`. It takes milliseconds, so it keeps no thread
/// from answering reviews of pods.
async fn decide(
    request: &ProfileRequest,
    latest: &Arc<super::Compiled>,
    objects: Option<Vec<Object>>,
) -> Result<ProfileDecision, Unvalidated> {
    let (request, latest) = (request.clone(), Arc::clone(latest));
    let decide = move || {
        let objects = objects.as_deref().unwrap_or(&latest.objects);
        request.decide(&latest.files, objects)
    };
    tokio::task::spawn_blocking(decide).await.map_err(|_| Unvalidated::Panicked)
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use hyper::http;
    use kube::{Client, client::Body};
    use serde_json::{Value, json};
    use tokio::sync::watch::channel;

    use super::{super::Compiled, *};

    /// An API server that has `items`, and how often it was asked.
    fn api(items: Value) -> (Api<Stored>, Arc<AtomicUsize>) {
        let lists = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&lists);
        let service = tower::service_fn(move |_: http::Request<Body>| {
            counter.fetch_add(1, Ordering::Relaxed);
            let list = json!({
                "apiVersion": "arc-rocm.dev/v1alpha1",
                "kind": "RunnerProfileList",
                "metadata": {"resourceVersion": "1"},
                "items": items,
            });
            let response = http::Response::new(Body::from(list.to_string().into_bytes()));
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

    async fn response(validator: &Validator, spec: &Value) -> Value {
        let answer = validator.answer(&review(spec)).await.unwrap();
        serde_json::from_slice::<Value>(&answer).unwrap()["response"].take()
    }

    #[tokio::test]
    async fn base_applied_a_moment_ago_counts() {
        let base = json!({"metadata": {"name": "common", "uid": "u"}, "spec": {"extends": "rocm"}});
        let (api, lists) = api(json!([base]));
        let (_sender, latest) = channel(Some(nothing()));
        let validator = Validator::new(api, latest);
        let good = response(&validator, &json!({"extends": "rocm"})).await;
        assert_eq!(
            (good, lists.load(Ordering::Relaxed)),
            (json!({"uid": "1", "allowed": true}), 0)
        );
        let child = response(&validator, &json!({"extends": "common"})).await;
        assert_eq!(
            (child, lists.load(Ordering::Relaxed)),
            (json!({"uid": "1", "allowed": true}), 1)
        );
        let bad = response(&validator, &json!({"extends": "common", "gpus": 1})).await;
        assert_eq!((&bad["allowed"], &bad["status"]["code"]), (&json!(false), &json!(422)));
    }

    #[tokio::test]
    async fn review_before_the_objects_are_read_is_not_answered() {
        let (_sender, latest) = channel(None);
        let validator = Validator::new(api(json!([])).0, latest);
        let answer = validator.answer(&review(&json!({"extends": "rocm"}))).await;
        assert!(matches!(answer, Err(Unvalidated::NotReady)));
    }
}
