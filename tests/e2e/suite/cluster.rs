//! The cluster's API, as JSON: what is sent and what comes back is what is on the wire.
//!
//! Typed objects would drop what k8s-openapi does not know and could not send what a strict
//! API server has to refuse. Paths are those of the Kubernetes API: `/api/v1/namespaces/NS/pods`.

use std::{fmt, time::Duration};

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderName, HeaderValue, Method, Request, header};
use kube::{Client, Config, client::Body};
use serde_json::Value;

use crate::wait::Look;

/// Longer than the API server's own limit for a request, which is 60 s.
const ANSWER: Duration = Duration::from_secs(75);
/// The field manager of all that the suite applies.
const MANAGER: &str = "arc-rocm-e2e";

/// A connection to the API server, as one user.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    config: Config,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct User {
    /// The user's name, such as `system:serviceaccount:NAMESPACE:NAME`.
    pub(crate) name: String,
    /// The groups beside `system:authenticated`, which the API server adds.
    pub(crate) groups: Vec<String>,
    /// The `User-Agent`, whose first part becomes the manager in `managedFields`.
    pub(crate) agent: Option<String>,
}

impl User {
    /// A service account, with the groups that its token would have.
    pub(crate) fn service_account(namespace: &str, name: &str) -> Self {
        Self {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ],
            agent: None,
        }
    }
}

/// A successful answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The body; null where it is no JSON.
    pub(crate) object: Value,
    /// The texts of the `Warning` headers, as kubectl prints them.
    pub(crate) warnings: Vec<String>,
}

/// An answer that is an error.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// The HTTP status; 0 without an answer.
    pub(crate) code: u16,
    /// The Status' reason, such as `Forbidden`; empty where there is none.
    pub(crate) reason: String,
    /// The Status' message.
    pub(crate) message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}: {}", self.code, self.reason, self.message)
    }
}

impl std::error::Error for Refused {}

impl Refused {
    fn unanswered(error: &dyn fmt::Display) -> Self {
        Self { code: 0, reason: String::new(), message: error.to_string() }
    }
}

impl Cluster {
    /// Connects as `KUBECONFIG` says.
    pub(crate) async fn connect() -> anyhow::Result<Self> {
        let mut config = Config::infer().await.context("KUBECONFIG")?;
        // A 503 is an answer that cases want to see, and that ARC's client does not retry.
        config.default_retry = false;
        let client = Client::try_from(config.clone()).context("KUBECONFIG")?;
        Ok(Self { client, config })
    }

    /// The same cluster as another user, by impersonation.
    pub(crate) fn by(&self, user: &User) -> anyhow::Result<Self> {
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(user.name.clone());
        config.auth_info.impersonate_groups = Some(user.groups.clone());
        if let Some(agent) = &user.agent {
            config.headers.push((header::USER_AGENT, HeaderValue::from_str(agent)?));
        }
        let client = Client::try_from(config.clone())?;
        Ok(Self { client, config })
    }

    /// The API server's address, and its authorities as a kubeconfig has them.
    pub(crate) fn server(&self) -> anyhow::Result<(String, String)> {
        let authorities = self.config.root_cert.as_deref().context("no authority")?;
        let mut pem = String::new();
        for der in authorities {
            pem += "-----BEGIN CERTIFICATE-----\n";
            pem += &BASE64_STANDARD.encode(der);
            pem += "\n-----END CERTIFICATE-----\n";
        }
        Ok((self.config.cluster_url.to_string(), BASE64_STANDARD.encode(pem)))
    }

    /// kube's own client, for watches and port-forwards.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Sends one request.
    ///
    /// `body` is sent as `content_type`; `path` may have a query.
    ///
    /// # Errors
    ///
    /// The API server's Status, or that there was no answer.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<Reply, Refused> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from(body))
            .map_err(|error| Refused::unanswered(&error))?;
        let sent = tokio::time::timeout(ANSWER, self.client.send(request)).await;
        let response = sent
            .map_err(|late| Refused::unanswered(&late))?
            .map_err(|error| Refused::unanswered(&error))?;
        let (head, body) = response.into_parts();
        let body = body.collect_bytes().await.map_err(|error| Refused::unanswered(&error))?;
        let object = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
        if head.status.is_success() {
            let warnings = head.headers.get_all(HeaderName::from_static("warning"));
            return Ok(Reply { object, warnings: warnings.iter().filter_map(warning).collect() });
        }
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let message = match text("message") {
            "" => object.to_string(),
            message => message.to_owned(),
        };
        Err(Refused { code: head.status.as_u16(), reason: text("reason").to_owned(), message })
    }

    /// What is at a path.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Refused> {
        Ok(self.call(Method::GET, path, JSON, Vec::new()).await?.object)
    }

    /// What is at a path, if there is something.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<Value>, Refused> {
        match self.get(path).await {
            Ok(object) => Ok(Some(object)),
            Err(refused) if refused.code == 404 => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    /// The items of a list; `path` may have a query with selectors.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<Value>, Refused> {
        let mut list = self.get(path).await?;
        Ok(match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        })
    }

    /// Creates an object below a path, such as `/api/v1/namespaces/NS/pods?dryRun=All`.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Reply, Refused> {
        self.call(Method::POST, path, JSON, object.to_string().into_bytes()).await
    }

    /// Changes an object by a JSON merge patch.
    pub(crate) async fn merge(&self, path: &str, change: &Value) -> Result<Value, Refused> {
        let body = change.to_string().into_bytes();
        Ok(self.call(Method::PATCH, path, "application/merge-patch+json", body).await?.object)
    }

    /// Applies an object by server-side apply with strict field validation.
    pub(crate) async fn apply(&self, object: &Value) -> anyhow::Result<Value> {
        let path = path_of(object)?;
        let query = format!("{path}?fieldManager={MANAGER}&force=true&fieldValidation=Strict");
        let body = object.to_string().into_bytes();
        let reply = self.call(Method::PATCH, &query, "application/apply-patch+yaml", body).await;
        Ok(reply.with_context(|| format!("apply {path}"))?.object)
    }

    /// Deletes what is at a path; that it is gone already is no error.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), Refused> {
        match self.call(Method::DELETE, path, JSON, Vec::new()).await {
            Ok(_) => Ok(()),
            Err(refused) if refused.code == 404 => Ok(()),
            Err(refused) => Err(refused),
        }
    }

    /// Whether a path is empty, for [`until`](crate::wait::until).
    pub(crate) async fn gone(&self, path: &str) -> anyhow::Result<Look<()>> {
        Ok(match self.find(path).await? {
            None => Look::Seen(()),
            Some(object) => Look::NotYet(format!("{path}: {}", object["status"])),
        })
    }
}

const JSON: &str = "application/json";

/// The text of a header such as `299 - "no such field"`.
fn warning(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let quoted = text.split_once('"')?.1.rsplit_once('"')?.0;
    Some(quoted.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// Kinds that are in no namespace.
const CLUSTER_SCOPED: &[&str] = &[
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PriorityClass",
    "RunnerProfile",
    "RuntimeClass",
    "ValidatingWebhookConfiguration",
];

/// The path of an object, by its `apiVersion`, `kind`, namespace and name.
pub(crate) fn path_of(object: &Value) -> anyhow::Result<String> {
    let text = |pointer: &str| {
        let value = object.pointer(pointer).and_then(Value::as_str);
        value.with_context(|| format!("no {pointer} in {object}"))
    };
    let (version, kind, name) = (text("/apiVersion")?, text("/kind")?, text("/metadata/name")?);
    let root = if version.contains('/') { "/apis" } else { "/api" };
    let plural = match kind.to_lowercase() {
        kind if kind.ends_with('s') => format!("{kind}es"),
        kind if kind.ends_with('y') => format!("{}ies", kind.trim_end_matches('y')),
        kind => format!("{kind}s"),
    };
    if CLUSTER_SCOPED.contains(&kind) {
        return Ok(format!("{root}/{version}/{plural}/{name}"));
    }
    let namespace = text("/metadata/namespace")?;
    Ok(format!("{root}/{version}/namespaces/{namespace}/{plural}/{name}"))
}

/// The pods of a namespace.
pub(crate) fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

/// A text in an object, empty where there is none.
pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
