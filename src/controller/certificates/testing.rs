//! An API server for tests: one Secret, both registrations, and watches of them.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method,
    body::{Bytes, Frame},
    http::{Request, Response, StatusCode},
};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::{sync::watch, time};

/// Longer than any test takes: only a hang reaches it.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

type HttpResponse = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The server. Clones share its objects.
#[derive(Clone)]
pub(super) struct ApiServer {
    objects: Arc<Mutex<Objects>>,
    /// The version of the last change, for watches.
    version: Arc<watch::Sender<u64>>,
}

/// The objects of the server.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) secret: Option<Value>,
    pub(super) configuration: Option<Value>,
    /// The registration for RunnerProfiles.
    pub(super) validating: Option<Value>,
    /// Whether every answer is that it is not available.
    pub(super) is_down: bool,
    /// Whether the registration for RunnerProfiles cannot be written.
    pub(super) is_read_only: bool,
}

impl Objects {
    const fn all(&mut self) -> [&mut Option<Value>; 3] {
        [&mut self.secret, &mut self.configuration, &mut self.validating]
    }
}

impl ApiServer {
    /// A server with a registration and no Secret.
    pub(super) fn new() -> Self {
        let server = Self { objects: Arc::default(), version: Arc::new(watch::Sender::new(1)) };
        let configuration = registration("MutatingWebhookConfiguration");
        server.change(|objects| objects.configuration = Some(configuration));
        server
    }

    /// Changes the objects and wakes the watches.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Objects) -> T) -> T {
        let done = {
            let mut objects = self.objects();
            let before = objects.all().map(|one| one.clone());
            let done = change(&mut objects);
            let version = *self.version.borrow() + 1;
            for (now, before) in objects.all().into_iter().zip(before) {
                if let Some(now) = now.as_mut().filter(|now| before.as_ref() != Some(*now)) {
                    now["metadata"]["resourceVersion"] = json!(version.to_string());
                }
            }
            done
        };
        self.version.send_modify(|version| *version += 1);
        done
    }

    /// Waits for a condition.
    pub(super) async fn until(&self, what: &str, so: impl Fn(&Objects) -> bool) {
        let is_so = self.version.subscribe();
        let seen = async {
            let mut is_so = is_so;
            is_so.wait_for(|_| so(&self.objects())).await.map(|_| ())
        };
        time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("never {what}")).unwrap();
    }

    pub(super) fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap()
    }

    /// A client of the server. Only within a runtime.
    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await?;
                let target = head.uri.to_string();
                Ok::<_, kube::Error>(server.answer(&head.method, &target, &body))
            }
        });
        Client::new(service, "arc-rocm")
    }

    fn answer(&self, method: &Method, target: &str, body: &[u8]) -> HttpResponse {
        if self.objects().is_down {
            return failed(StatusCode::SERVICE_UNAVAILABLE);
        }
        if target.contains("watch=true") {
            return self.watched();
        }
        let which = if target.contains("/secrets") {
            0
        } else if target.contains("/mutatingwebhookconfigurations") {
            1
        } else {
            2
        };
        let live = self.objects().all()[which].clone();
        if *method == Method::GET && target.contains("fieldSelector") {
            return answered(&json!({
                "metadata": {"resourceVersion": self.version.borrow().to_string()},
                "items": [],
            }));
        }
        if *method == Method::GET {
            return live.as_ref().map_or_else(|| failed(StatusCode::NOT_FOUND), answered);
        }
        if which == 2 && self.objects().is_read_only {
            return failed(StatusCode::FORBIDDEN);
        }
        let mut sent: Value = serde_json::from_slice(body).unwrap();
        // A new object has no version.
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        if live.as_ref().map(version).unwrap_or_default() != version(&sent) {
            return failed(StatusCode::CONFLICT);
        }
        if *method == Method::PATCH {
            let bundle = sent["webhooks"][0]["clientConfig"]["caBundle"].take();
            sent = live.unwrap();
            sent["webhooks"][0]["clientConfig"]["caBundle"] = bundle;
        }
        self.change(|objects| *objects.all()[which] = Some(sent));
        let stored = self.objects().all()[which].clone();
        answered(&stored.unwrap())
    }

    /// Each change is an event of the watched object.
    fn watched(&self) -> HttpResponse {
        let events = stream::unfold(self.version.subscribe(), async |mut version| {
            version.changed().await.ok()?;
            let object = json!({
                "apiVersion": "meta.k8s.io/v1",
                "kind": "PartialObjectMetadata",
                "metadata": {"name": "arc-rocm", "resourceVersion": version.borrow().to_string()},
            });
            let line = format!("{}\n", json!({"type": "MODIFIED", "object": object}));
            Some((Ok(Frame::data(Bytes::from(line))), version))
        });
        Response::new(StreamBody::new(events).boxed_unsync())
    }
}

/// A registration without a `caBundle`.
pub(super) fn registration(kind: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": "arc-rocm"},
        "webhooks": [{
            "name": "inject.arc-rocm.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {"service": {"name": "arc-rocm", "namespace": "arc-rocm"}},
        }],
    })
}

fn answered(object: &Value) -> HttpResponse {
    Response::new(Full::from(object.to_string()).boxed_unsync())
}

fn failed(status: StatusCode) -> HttpResponse {
    let reason = status.canonical_reason().unwrap_or_default();
    let object = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": reason,
        "reason": reason.replace(' ', ""),
        "code": status.as_u16(),
    });
    let mut answer = answered(&object);
    *answer.status_mut() = status;
    answer
}
