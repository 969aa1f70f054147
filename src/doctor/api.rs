//! Reads from the API server: an object, or all objects of a kind.

use std::fmt::Debug;

use kube::{
    Api, Resource,
    api::ListParams,
    core::{ApiResource, GroupVersionKind},
};
use serde::de::DeserializeOwned;

use super::facts::{Known, Unknown};
use crate::{controller::REQUEST_TIMEOUT, telemetry::Chain};

/// Objects in one response: pods with long environments have some 30 KB each.
const PAGE: u32 = 250;
/// Characters of a message: the API server quotes whole objects in some.
const MESSAGE: usize = 600;

/// A kind whose type is not in this program's client library.
pub(super) fn kind(group: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1alpha1", kind), plural)
}

/// An object; `None` if it does not exist.
pub(super) async fn get<K>(api: Api<K>, name: &str) -> Known<Option<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let what = format!("{} {name}", resource::<K>(&()));
    ask(api.get(name)).await.map_err(|failure| failure.of("get", &what, api.namespace()))
}

/// All objects, page by page; none if the kind is not served.
pub(super) async fn list<K>(api: Api<K>, kind: &K::DynamicType, labels: &str) -> Known<Vec<K>>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let mut params = ListParams::default().labels(labels).limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = ask(api.list(&params)).await;
        let page =
            page.map_err(|failure| failure.of("list", &resource::<K>(kind), api.namespace()))?;
        let Some(page) = page else { return Ok(all) };
        all.extend(page.items.into_iter().map(|mut object| {
            object.meta_mut().managed_fields = None;
            object
        }));
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok(all);
        }
    }
}

/// `deployments.apps`, as `kubectl auth can-i` takes it.
fn resource<K: Resource>(kind: &K::DynamicType) -> String {
    match (K::plural(kind), K::group(kind)) {
        (plural, group) if group.is_empty() => plural.into_owned(),
        (plural, group) => format!("{plural}.{group}"),
    }
}

/// Why a request has no result.
#[derive(Debug)]
pub(super) enum Failure {
    /// The user lacks the permission.
    Forbidden,
    /// Another reason, for people.
    Other(String),
}

impl Failure {
    /// The same with the permission that is missing.
    pub(super) fn of(self, verb: &str, what: &str, namespace: Option<&str>) -> Unknown {
        match self {
            Self::Forbidden => {
                let place = namespace.map(|namespace| format!(" in namespace {namespace}"));
                Unknown::Forbidden(format!("{verb} {what}{}", place.unwrap_or_default()))
            }
            Self::Other(message) => Unknown::Failed(message),
        }
    }
}

/// The result of a request within its time; `None` for 404.
pub(super) async fn ask<T>(
    call: impl Future<Output = kube::Result<T>>,
) -> Result<Option<T>, Failure> {
    match tokio::time::timeout(REQUEST_TIMEOUT, call).await {
        Ok(Ok(object)) => Ok(Some(object)),
        Ok(Err(kube::Error::Api(status))) => match status.code {
            404 => Ok(None),
            403 => Err(Failure::Forbidden),
            _ => Err(Failure::Other(cut(&status.message))),
        },
        Ok(Err(error)) => Err(Failure::Other(cut(&Chain(&error).to_string()))),
        Err(_elapsed) => Err(Failure::Other(format!(
            "the API server did not answer within {} s",
            REQUEST_TIMEOUT.as_secs()
        ))),
    }
}

/// A message of a bounded length.
pub(super) fn cut(message: &str) -> String {
    match message.char_indices().nth(MESSAGE) {
        Some((end, _)) => format!("{}...", message.get(..end).unwrap_or_default()),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http_body_util::Full;
    use hyper::{Request, Response, body::Bytes};
    use k8s_openapi::api::{apps::v1::Deployment, core::v1::Node};
    use kube::{Client, ResourceExt, client::Body};
    use serde_json::{Value, json};

    use super::*;

    /// A client whose API server answers with these, one after the other, and the requests to it.
    fn answering(answers: Vec<(u16, Value)>) -> (Client, Arc<Mutex<Vec<String>>>) {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answers, seen) = (Arc::new(Mutex::new(answers.into_iter())), Arc::clone(&requests));
        let service = tower::service_fn(move |request: Request<Body>| {
            seen.lock().unwrap().push(request.uri().to_string());
            let (code, answer) = answers.lock().unwrap().next().unwrap();
            let body = Full::new(Bytes::from(answer.to_string()));
            async move { Ok::<_, kube::Error>(Response::builder().status(code).body(body).unwrap()) }
        });
        (Client::new(service, "default"), requests)
    }

    fn failure(code: u16) -> (u16, Value) {
        let status = json!({"kind": "Status", "status": "Failure", "code": code, "message": "no"});
        (code, status)
    }

    #[tokio::test]
    async fn list_reads_every_page() {
        let page = |name: &str, token: &str| {
            let item = json!({"metadata": {"name": name, "managedFields": [{"manager": "m"}]}});
            (200, json!({"metadata": {"continue": token}, "items": [item]}))
        };
        let (client, requests) = answering(vec![page("a", "next"), page("b", "")]);
        let nodes: Vec<Node> = list(Api::all(client), &(), "x=y").await.unwrap();
        assert_eq!(nodes.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(nodes[0].metadata.managed_fields, None);
        let requests = requests.lock().unwrap();
        assert!(requests[0].contains("limit=250") && requests[0].contains("labelSelector=x%3Dy"));
        assert!(requests[1].contains("continue=next"), "{requests:?}");
    }

    #[tokio::test]
    async fn missing_kind_is_an_empty_list() {
        let (client, _) = answering(vec![failure(404), failure(404)]);
        assert_eq!(list::<Node>(Api::all(client.clone()), &(), "").await, Ok(Vec::new()));
        assert_eq!(get::<Node>(Api::all(client), "x").await, Ok(None));
    }

    #[tokio::test]
    async fn missing_permission_is_named_as_kubectl_takes_it() {
        let (client, _) = answering(vec![failure(403), failure(403)]);
        let unknown = list::<Node>(Api::all(client.clone()), &(), "").await.unwrap_err();
        assert_eq!(unknown.to_string(), "needs permission to list nodes");
        let api: Api<Deployment> = Api::namespaced(client, "arc-rocm");
        let unknown = get(api, "x").await.unwrap_err().to_string();
        assert_eq!(unknown, "needs permission to get deployments.apps x in namespace arc-rocm");
    }

    #[tokio::test]
    async fn other_failure_has_the_api_servers_message() {
        let (client, _) = answering(vec![failure(410)]);
        let unknown = list::<Node>(Api::all(client), &(), "").await.unwrap_err();
        assert_eq!(unknown, Unknown::Failed("no".to_owned()));
    }

    #[test]
    fn long_message_is_cut_between_characters() {
        let long = "ü".repeat(MESSAGE + 1);
        assert_eq!(cut(&long).chars().count(), MESSAGE + 3);
        assert_eq!(cut("short"), "short");
    }
}
