//! The wire form of `admission.k8s.io/v1` `AdmissionReview`.
//!
//! Our own types, because kube's response writes the patch as a list of numbers (kube#1781) and
//! decodes the pod into a type that drops fields it does not know.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::podspec::{Bounded, Json, MAX_VALUES, Text};

/// The only version that the webhook registers for.
pub(super) const API_VERSION: &str = "admission.k8s.io/v1";
pub(super) const KIND: &str = "AdmissionReview";

/// The review by which the API server would ask about the creation of `pod` by `user`.
pub(crate) fn of_pod(uid: &str, pod: &Value, namespace: &str, user: &str) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "name": pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default(),
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": {"username": user},
            "object": pod,
        },
    })
}

/// Why a body is not an `AdmissionReview` that can be answered. The caller gets an HTTP 400,
/// which the API server turns into a retriable 500.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or cut short, or of another shape.
    #[error("the body is not an AdmissionReview: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Another kind or version.
    #[error("expected {KIND} of {API_VERSION}, got {kind:?} of {api_version:?}")]
    WrongKind {
        /// The kind that came.
        kind: String,
        /// The apiVersion that came.
        api_version: String,
    },
    /// A review without a request, such as an answer sent back.
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// An answer must echo the uid, so a request without one cannot be answered.
    #[error("the request has no uid")]
    NoUid,
    /// The object has more values than are read.
    #[error("the object has more than {MAX_VALUES} values")]
    TooManyValues {
        /// The request's uid.
        uid: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a, R> {
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow, default)]
    kind: Text<'a>,
    request: Option<R>,
}

/// What the API server asks. Fields that are not used are not decoded.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    /// Identifies the request; the answer repeats it.
    #[serde(borrow, default)]
    pub uid: Text<'a>,
    /// The kind of the object.
    #[serde(borrow, default)]
    pub kind: GroupVersionKind<'a>,
    /// The subresource, such as `exec`; empty for the object itself.
    #[serde(borrow, default)]
    pub sub_resource: Text<'a>,
    /// The object's name; empty when it is to be generated.
    #[serde(borrow, default)]
    pub name: Text<'a>,
    /// The namespace; unlike the object's own field it is always there for a pod.
    #[serde(borrow, default)]
    pub namespace: Text<'a>,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    #[serde(borrow, default)]
    pub operation: Text<'a>,
    /// Who asks.
    #[serde(borrow, default)]
    pub user_info: UserInfo<'a>,
    /// The object; absent for a DELETE.
    #[serde(skip)]
    pub object: Option<Json<'a>>,
    #[serde(borrow, default, rename = "object")]
    read: Bounded<'a>,
    /// Whether nothing will be stored.
    #[serde(default)]
    pub dry_run: Option<bool>,
}

/// The kind of an object.
#[derive(Debug, Default, Deserialize)]
pub struct GroupVersionKind<'a> {
    /// The API group, empty for core.
    #[serde(borrow, default)]
    pub group: Text<'a>,
    /// The version.
    #[serde(borrow, default)]
    pub version: Text<'a>,
    /// The kind.
    #[serde(borrow, default)]
    pub kind: Text<'a>,
}

/// The authenticated user.
#[derive(Debug, Default, Deserialize)]
pub struct UserInfo<'a> {
    /// The user's name, such as `system:serviceaccount:arc-systems:arc-gha-rs-controller`.
    #[serde(borrow, default)]
    pub username: Text<'a>,
}

/// The request of the review in `body`; `uid` returns its uid.
pub(super) fn request<'a, R: Deserialize<'a>>(
    body: &'a [u8],
    uid: fn(&R) -> &str,
) -> Result<R, Unreadable> {
    let Envelope { api_version, kind, request } = serde_json::from_slice(body)?;
    if &*kind != KIND || &*api_version != API_VERSION {
        return Err(Unreadable::WrongKind {
            kind: kind.to_string(),
            api_version: api_version.to_string(),
        });
    }
    let request = request.ok_or(Unreadable::NoRequest)?;
    if uid(&request).is_empty() {
        return Err(Unreadable::NoUid);
    }
    Ok(request)
}

/// Reads the request of a review.
pub fn read(body: &[u8]) -> Result<Request<'_>, Unreadable> {
    let mut request = request(body, |request: &Request<'_>| &request.uid)?;
    let Some(object) = request.read.0.take() else {
        return Err(Unreadable::TooManyValues { uid: request.uid.to_string() });
    };
    request.object = Some(object).filter(|object| !object.is_null());
    Ok(request)
}
