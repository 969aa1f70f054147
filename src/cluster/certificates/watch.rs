//! Being woken when something changes.

use std::{fmt::Debug, sync::Arc};

use futures::StreamExt as _;
use kube::{
    Api, Resource,
    runtime::{WatchStreamExt as _, watcher},
};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::store::Store;
use crate::cluster::trouble::Trouble;

/// Starts to wake `waker` whenever the registration changes.
pub(super) fn configuration(store: &Store, waker: &Arc<Notify>) {
    let name = store.place.configuration.clone();
    let api = store.metadata_of_configurations();
    tokio::spawn(wake(api, name, "MutatingWebhookConfiguration", Arc::clone(waker)));
}

/// Starts to wake `waker` whenever the Secret changes.
pub(super) fn secret(store: &Store, waker: &Arc<Notify>) {
    let name = store.place.secret.clone();
    tokio::spawn(wake(store.metadata_of_secrets(), name, "Secret", Arc::clone(waker)));
}

/// Wakes whenever the object of this name changes, appears or goes. `what` is for the log.
async fn wake<K>(api: Api<K>, name: String, what: &'static str, waker: Arc<Notify>)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let fields = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = watcher(api, fields).default_backoff().boxed();
    let mut trouble = Trouble::default();
    while let Some(event) = events.next().await {
        match event {
            Ok(_) => {
                trouble.ends();
                waker.notify_one();
            }
            // What it says is in the log already where the same call fails elsewhere as well.
            Err(error) => {
                if trouble.notes(&error.to_string()) {
                    tracing::warn!(%error, what, name, "cannot watch");
                }
            }
        }
    }
}
