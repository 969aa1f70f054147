//! The Secret and the registrations in the API server.

use std::collections::BTreeMap;

use futures::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};
use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
        core::v1::Secret,
    },
};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
    core::PartialObjectMeta,
    runtime::watcher::{self, watcher},
};
use serde_json::Value;

use super::registration::Registration;
use crate::{
    certs::CertBundle,
    controller::{MANAGER, watch::watched},
};

/// `404 Not Found`: an object that was read is gone.
const NOT_FOUND: u16 = 404;
/// `409 Conflict` or `AlreadyExists`: another write came first.
const CONFLICT: u16 = 409;

/// The Secret, if there is one to keep, and the registrations.
pub(super) struct Store {
    pub(super) secret: Option<Object<Secret>>,
    /// The `MutatingWebhookConfiguration`.
    pub(super) pods: Object<DynamicObject>,
    /// The `ValidatingWebhookConfiguration`, if its `caBundle` is to be kept.
    pub(super) profiles: Option<Object<DynamicObject>>,
}

/// One object of the API server. It is displayed as kind and name.
pub(super) struct Object<K> {
    name: String,
    kind: String,
    api: Api<K>,
    metadata: Api<PartialObjectMeta<K>>,
}

impl<K: Clone + std::fmt::Debug + serde::de::DeserializeOwned> Object<K> {
    /// The object; `None` if it does not exist.
    pub(super) async fn read(&self) -> kube::Result<Option<K>> {
        self.api.get_opt(&self.name).await
    }
}

impl Object<Secret> {
    pub(super) fn secret(client: &Client, namespace: &str, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: "Secret".to_owned(),
            api: Api::namespaced(client.clone(), namespace),
            metadata: Api::namespaced(client.clone(), namespace),
        }
    }

    /// Creates the Secret, or replaces the webhook's keys in the one that was read. False if another
    /// write came first.
    pub(super) async fn write(
        &self,
        read: Option<Secret>,
        bundle: &CertBundle,
    ) -> kube::Result<bool> {
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let data = bundle.data().into_iter().flatten();
        let data = data.map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes())));
        let written = if let Some(mut secret) = read {
            secret.data.get_or_insert_default().extend(data);
            match self.api.replace(&self.name, &params, &secret).await {
                Err(kube::Error::Api(status)) if status.code == NOT_FOUND => return Ok(false),
                written => written,
            }
        } else {
            let mut secret = Secret { data: Some(data.collect()), ..Secret::default() };
            secret.metadata.name = Some(self.name.clone());
            secret.type_ = Some("kubernetes.io/tls".to_owned());
            self.api.create(&params, &secret).await
        };
        match written {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == CONFLICT => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Object<DynamicObject> {
    pub(super) fn pods(client: &Client, name: &str) -> Self {
        Self::registration::<MutatingWebhookConfiguration>(client, name)
    }

    pub(super) fn profiles(client: &Client, name: &str) -> Self {
        Self::registration::<ValidatingWebhookConfiguration>(client, name)
    }

    fn registration<K: Resource<DynamicType = ()>>(client: &Client, name: &str) -> Self {
        let resource = ApiResource::erase::<K>(&());
        Self {
            name: name.to_owned(),
            api: Api::all_with(client.clone(), &resource),
            metadata: Api::all_with(client.clone(), &resource),
            kind: resource.kind,
        }
    }

    pub(super) async fn registration_read(&self) -> kube::Result<Option<Registration>> {
        Ok(self.read().await?.map(|object| Registration::read(&self.kind, object)))
    }

    /// Applies a change of the `caBundle`. Returns what is there now; `None` if another write came
    /// first.
    pub(super) async fn publish(&self, change: &Value) -> kube::Result<Option<Registration>> {
        let params = PatchParams::apply(MANAGER).force();
        match self.api.patch(&self.name, &params, &Patch::Apply(change)).await {
            Ok(object) => Ok(Some(Registration::read(&self.kind, object))),
            Err(kube::Error::Api(status)) if [CONFLICT, NOT_FOUND].contains(&status.code) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl<K> std::fmt::Display for Object<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl<K> Object<K>
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
    PartialObjectMeta<K>: Resource,
{
    /// One item for each change. Of the Secret, the metadata is enough.
    fn changes(&self) -> BoxStream<'static, ()> {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        let events = watched(watcher(self.metadata.clone(), config), self.to_string());
        events.filter_map(async |event| event.ok().map(drop)).boxed()
    }
}

impl Store {
    /// One item for each change of any of the objects.
    pub(super) fn changes(&self) -> impl Stream<Item = ()> + Send + Unpin + use<> {
        let registrations = [Some(&self.pods), self.profiles.as_ref()];
        let registrations = registrations.into_iter().flatten().map(Object::changes);
        stream::select_all(registrations.chain(self.secret.as_ref().map(Object::changes)))
    }
}

/// The data of a Secret.
pub(super) fn data(secret: Option<&Secret>) -> BTreeMap<String, Vec<u8>> {
    let data = secret.and_then(|secret| secret.data.as_ref());
    data.into_iter().flatten().map(|(key, bytes)| (key.clone(), bytes.0.clone())).collect()
}
