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
    clock::{Clock, noted},
    live::{Kind, Live},
};
use crate::{certs::Kept, cluster::MANAGER};

/// Where things are.
#[derive(Clone, Debug)]
pub struct Place {
    /// The namespace of the Secret.
    pub namespace: String,
    /// The Secret.
    pub secret: String,
    /// The `MutatingWebhookConfiguration`.
    pub configuration: String,
    /// Whether to keep the `caBundle` of a `ValidatingWebhookConfiguration` of that name, too.
    pub validates: bool,
}

/// Access to them.
pub(super) struct Store {
    pub(super) place: Place,
    /// The API server's, as of its last answer.
    pub(super) clock: Arc<Clock>,
    client: Client,
    secrets: Api<Secret>,
    configurations: Api<MutatingWebhookConfiguration>,
    validating: Api<ValidatingWebhookConfiguration>,
}

/// How a write that depends on nothing having been written meanwhile has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Written {
    Done,
    /// Somebody was first: it is to be read again.
    Conflict,
}

impl Store {
    pub(super) fn new(client: &Client, place: Place) -> Self {
        let clock = Arc::new(Clock::new());
        let client = noted(client, &clock);
        Self {
            clock,
            secrets: Api::namespaced(client.clone(), &place.namespace),
            configurations: Api::all(client.clone()),
            validating: Api::all(client.clone()),
            client,
            place,
        }
    }

    /// For a watch, without content.
    pub(super) fn metadata_of_secrets(&self) -> Api<PartialObjectMeta<Secret>> {
        Api::namespaced(self.client.clone(), &self.place.namespace)
    }

    /// The same.
    pub(super) fn metadata_of_configurations(
        &self,
    ) -> Api<PartialObjectMeta<MutatingWebhookConfiguration>> {
        Api::all(self.client.clone())
    }

    /// The same.
    pub(super) fn metadata_of_validating(
        &self,
    ) -> Api<PartialObjectMeta<ValidatingWebhookConfiguration>> {
        Api::all(self.client.clone())
    }

    pub(super) async fn secret(&self) -> kube::Result<Option<Secret>> {
        self.secrets.get_opt(&self.place.secret).await
    }

    pub(super) async fn live(&self) -> kube::Result<Option<Live>> {
        let found = self.configurations.get_opt(&self.place.configuration).await?;
        Ok(found.as_ref().map(Live::mutating))
    }

    /// The registration for RunnerProfiles, if it is to be kept and exists.
    pub(super) async fn validating(&self) -> kube::Result<Option<Live>> {
        if !self.place.validates {
            return Ok(None);
        }
        let found = self.validating.get_opt(&self.place.configuration).await?;
        Ok(found.as_ref().map(Live::validating))
    }

    /// Creates the Secret, or replaces our part of the one that was read.
    pub(super) async fn write(&self, read: Option<Secret>, kept: &Kept) -> kube::Result<Written> {
        let Some(data) = kept.data() else { return Ok(Written::Conflict) };
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let data = data.map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes())));
        if let Some(mut secret) = read {
            secret.data.get_or_insert_default().extend(data);
            outcome(self.secrets.replace(&self.place.secret, &params, &secret).await, &[409, 404])
        } else {
            let mut secret = Secret { data: Some(data.into()), ..Secret::default() };
            secret.metadata.name = Some(self.place.secret.clone());
            secret.type_ = Some("kubernetes.io/tls".to_owned());
            // 404 is that there is no such namespace.
            outcome(self.secrets.create(&params, &secret).await, &[409])
        }
    }

    /// Applies the registration's `caBundle`.
    pub(super) async fn publish(&self, live: &Live, bundle: &str) -> kube::Result<Written> {
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(live.publication(bundle));
        let name = &self.place.configuration;
        let faster = &[409, 404];
        match live.kind {
            Kind::Mutating => {
                outcome(self.configurations.patch(name, &params, &patch).await, faster)
            }
            Kind::Validating => outcome(self.validating.patch(name, &params, &patch).await, faster),
        }
    }
}

/// The data of a Secret.
pub(super) fn data(secret: Option<&Secret>) -> BTreeMap<String, Vec<u8>> {
    let data = secret.and_then(|secret| secret.data.as_ref());
    data.into_iter().flatten().map(|(key, bytes)| (key.clone(), bytes.0.clone())).collect()
}

/// What a write came to; these codes are that somebody else was faster: 409 is `Conflict` and
/// `AlreadyExists`, 404 of what was read that it was deleted meanwhile.
fn outcome<K>(result: kube::Result<K>, faster: &[u16]) -> kube::Result<Written> {
    match result {
        Ok(_) => Ok(Written::Done),
        Err(kube::Error::Api(status)) if faster.contains(&status.code) => Ok(Written::Conflict),
        Err(error) => Err(error),
    }
}
