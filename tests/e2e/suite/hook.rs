//! Webhooks of the suite itself, in url form: one that records what the API server sends, others
//! that stand for the mutating webhooks which a cluster has beside ours.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
    serve::Listener,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    cluster::{Cluster, pods},
    wait::{Look, WATCHED, until},
};

/// What a webhook says to a review.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// Allowed as it is.
    Allow,
    /// Allowed with these operations of a JSON patch.
    Patch(Value),
    /// Denied with this status code and message.
    Deny(u16, String),
    /// No review at all but this HTTP status.
    Http(u16),
    /// Status 200 and these bytes, whatever they are.
    Body(Vec<u8>),
    /// The same, but later.
    Late(Duration, Box<Self>),
    /// Nothing, until the API server gives up.
    Silence,
}

/// A server of one webhook; it ends with this value.
#[derive(Debug)]
pub(crate) struct Hook {
    address: SocketAddr,
    certificate: String,
    reviews: Arc<Mutex<Vec<Value>>>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

type Answer = dyn Fn(&Value) -> Verdict + Send + Sync;

#[derive(Clone)]
struct Shared {
    reviews: Arc<Mutex<Vec<Value>>>,
    answer: Arc<Answer>,
}

impl Hook {
    /// Serves on a free port of `host`, which is an IP address of this machine. `answer` gets the
    /// review's `request`.
    pub(crate) async fn serve(
        host: &str,
        answer: impl Fn(&Value) -> Verdict + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(vec![host.to_owned()])?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())?;
        let listener =
            TcpListener::bind((host, 0)).await.with_context(|| format!("listen on {host}"))?;
        let address = listener.local_addr()?;
        let (ready, streams) = mpsc::channel(16);
        let accept =
            tokio::spawn(shake_hands(listener, TlsAcceptor::from(Arc::new(config)), ready));
        let reviews = Arc::new(Mutex::new(Vec::new()));
        let shared = Shared { reviews: Arc::clone(&reviews), answer: Arc::new(answer) };
        let router = Router::new().route("/mutate", post(mutate)).with_state(shared);
        let serve = tokio::spawn(async move {
            // It ends with the task; axum::serve itself never does.
            let _ = axum::serve(Streams { streams, address }, router).await;
        });
        Ok(Self { address, certificate: made.cert.pem(), reviews, tasks: [accept, serve] })
    }

    /// The reviews so far, oldest first.
    pub(crate) fn reviews(&self) -> Vec<Value> {
        self.reviews.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Drops the reviews so far.
    pub(crate) fn forget(&self) {
        self.reviews.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How the API server finds it: the `clientConfig` of a registration.
    pub(crate) fn client_config(&self) -> Value {
        json!({
            "url": format!("https://{}/mutate", self.address),
            "caBundle": BASE64_STANDARD.encode(&self.certificate),
        })
    }

    /// A registration for CREATE of pods in one namespace, with `failurePolicy` Fail.
    ///
    /// The API server calls webhooks in the order of their configurations' names: `a-...` comes
    /// before ours, `z-...` after it.
    pub(crate) fn registration(&self, name: &str, namespace: &str) -> Value {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name, "labels": {crate::scene::LABEL: "true"}},
            "webhooks": [{
                "name": "hook.e2e.arc-rocm.dev",
                "clientConfig": self.client_config(),
                "rules": [{
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["pods"],
                    "scope": "Namespaced",
                }],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "admissionReviewVersions": ["v1"],
                "failurePolicy": "Fail",
                "matchPolicy": "Equivalent",
                "reinvocationPolicy": "IfNeeded",
                "sideEffects": "None",
                "timeoutSeconds": 5,
            }],
        })
    }
}

async fn mutate(State(shared): State<Shared>, Json(review): Json<Value>) -> Response {
    let request = &review["request"];
    let uid = request["uid"].clone();
    let mut verdict = (shared.answer)(request);
    shared.reviews.lock().unwrap_or_else(PoisonError::into_inner).push(review);
    while let Verdict::Late(after, then) = verdict {
        tokio::time::sleep(after).await;
        verdict = *then;
    }
    let response = match verdict {
        Verdict::Allow => json!({"uid": uid, "allowed": true}),
        Verdict::Patch(operations) => json!({
            "uid": uid,
            "allowed": true,
            "patchType": "JSONPatch",
            "patch": BASE64_STANDARD.encode(operations.to_string()),
        }),
        Verdict::Deny(code, message) => {
            json!({"uid": uid, "allowed": false, "status": {"code": code, "message": message}})
        }
        Verdict::Http(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return (status, "as the case wants it").into_response();
        }
        Verdict::Body(body) => {
            return ([(header::CONTENT_TYPE, "application/json")], body).into_response();
        }
        Verdict::Silence | Verdict::Late(..) => std::future::pending().await,
    };
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": response,
    });
    Json(review).into_response()
}

/// Accepts connections and passes on those whose handshake is done: one that hangs, or that a
/// port scanner made, does not keep the API server waiting.
async fn shake_hands(
    listener: TcpListener,
    tls: TlsAcceptor,
    ready: mpsc::Sender<TlsStream<TcpStream>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, ready) = (tls.clone(), ready.clone());
        tokio::spawn(async move {
            if let Ok(stream) = tls.accept(stream).await {
                // Fails if the hook has ended.
                let _ = ready.send(stream).await;
            }
        });
    }
}

/// Connections after their handshake, for axum.
struct Streams {
    streams: mpsc::Receiver<TlsStream<TcpStream>>,
    address: SocketAddr,
}

impl Listener for Streams {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.streams.recv().await {
            Some(stream) => (stream, self.address),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(self.address)
    }
}

/// Waits until the API server calls a hook for pods of its namespace.
pub(crate) async fn registered(
    cluster: &Cluster,
    hook: &Hook,
    namespace: &str,
) -> anyhow::Result<()> {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "probe-", "namespace": namespace},
        "spec": {"containers": [{"name": "probe", "image": "probe"}]},
    });
    let path = format!("{}?dryRun=All", pods(namespace));
    let before = hook.reviews().len();
    until("the API server to call a hook", WATCHED, || async {
        // What the hook says does not matter; a denial is a call as well.
        let said = cluster.create(&path, &pod).await.err().map(|refused| refused.to_string());
        Ok(if hook.reviews().len() > before {
            Look::Seen(())
        } else {
            Look::NotYet(said.unwrap_or_else(|| "not called".to_owned()))
        })
    })
    .await
}
