//! The Secret and the registration in the API server.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
        core::v1::Secret,
    },
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::PartialObjectMeta,
};

use super::{
    clock::{ApiServerClock, recording},
    live::{Kind, Live},
};
use crate::{certs::CertBundle, controller::MANAGER};

/// The names of the Secret and the registration.
#[derive(Clone, Debug)]
pub struct ObjectRefs {
    /// The namespace of the Secret.
    pub namespace: String,
    /// The Secret.
    pub secret: String,
    /// The `MutatingWebhookConfiguration`.
    pub configuration: String,
    /// Whether to also keep the `caBundle` of a `ValidatingWebhookConfiguration` of this name.
    pub validates: bool,
}

/// Access to the Secret and the registration.
pub(super) struct Store {
    pub(super) refs: ObjectRefs,
    /// The API server's clock.
    pub(super) clock: Arc<ApiServerClock>,
    client: Client,
    secrets: Api<Secret>,
    configurations: Api<MutatingWebhookConfiguration>,
    validating: Api<ValidatingWebhookConfiguration>,
}

/// How a compare-and-swap write ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Written {
    Done,
    /// The object was changed meanwhile: read it again.
    Conflict,
}

impl Store {
    pub(super) fn new(client: &Client, refs: ObjectRefs) -> Self {
        let clock = Arc::new(ApiServerClock::new());
        let client = recording(client, &clock);
        Self {
            clock,
            secrets: Api::namespaced(client.clone(), &refs.namespace),
            configurations: Api::all(client.clone()),
            validating: Api::all(client.clone()),
            client,
            refs,
        }
    }

    /// For a watch that gets metadata only.
    pub(super) fn metadata_of_secrets(&self) -> Api<PartialObjectMeta<Secret>> {
        Api::namespaced(self.client.clone(), &self.refs.namespace)
    }

    /// For a watch that gets metadata only.
    pub(super) fn metadata_of_configurations(
        &self,
    ) -> Api<PartialObjectMeta<MutatingWebhookConfiguration>> {
        Api::all(self.client.clone())
    }

    /// For a watch that gets metadata only.
    pub(super) fn metadata_of_validating(
        &self,
    ) -> Api<PartialObjectMeta<ValidatingWebhookConfiguration>> {
        Api::all(self.client.clone())
    }

    pub(super) async fn secret(&self) -> kube::Result<Option<Secret>> {
        self.secrets.get_opt(&self.refs.secret).await
    }

    pub(super) async fn live(&self) -> kube::Result<Option<Live>> {
        let found = self.configurations.get_opt(&self.refs.configuration).await?;
        Ok(found.as_ref().map(Live::mutating))
    }

    /// The registration for RunnerProfiles, if it exists and the webhook keeps its `caBundle`.
    pub(super) async fn validating(&self) -> kube::Result<Option<Live>> {
        if !self.refs.validates {
            return Ok(None);
        }
        let found = self.validating.get_opt(&self.refs.configuration).await?;
        Ok(found.as_ref().map(Live::validating))
    }

    /// Creates the Secret, or replaces the webhook's keys in the one that was read.
    pub(super) async fn write(
        &self,
        read: Option<Secret>,
        bundle: &CertBundle,
    ) -> kube::Result<Written> {
        let Some(data) = bundle.data() else { return Ok(Written::Conflict) };
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let data = data.map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes())));
        if let Some(mut secret) = read {
            secret.data.get_or_insert_default().extend(data);
            outcome(self.secrets.replace(&self.refs.secret, &params, &secret).await, &[409, 404])
        } else {
            let mut secret = Secret { data: Some(data.into()), ..Secret::default() };
            secret.metadata.name = Some(self.refs.secret.clone());
            secret.type_ = Some("kubernetes.io/tls".to_owned());
            // 404: there is no such namespace.
            outcome(self.secrets.create(&params, &secret).await, &[409])
        }
    }

    /// Applies the registration's `caBundle`.
    pub(super) async fn publish(&self, live: &Live, bundle: &str) -> kube::Result<Written> {
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(live.publication(bundle));
        let name = &self.refs.configuration;
        let conflicts = &[409, 404];
        match live.kind {
            Kind::Mutating => {
                outcome(self.configurations.patch(name, &params, &patch).await, conflicts)
            }
            Kind::Validating => {
                outcome(self.validating.patch(name, &params, &patch).await, conflicts)
            }
        }
    }
}

/// The data of a Secret.
pub(super) fn data(secret: Option<&Secret>) -> BTreeMap<String, Vec<u8>> {
    let data = secret.and_then(|secret| secret.data.as_ref());
    data.into_iter().flatten().map(|(key, bytes)| (key.clone(), bytes.0.clone())).collect()
}

/// The result of a write. The codes `conflicts` mean that the object was changed meanwhile: 409 is
/// `Conflict` or `AlreadyExists`, and 404 of an object that was read that it was deleted.
fn outcome<K>(result: kube::Result<K>, conflicts: &[u16]) -> kube::Result<Written> {
    match result {
        Ok(_) => Ok(Written::Done),
        Err(kube::Error::Api(status)) if conflicts.contains(&status.code) => Ok(Written::Conflict),
        Err(error) => Err(error),
    }
}
