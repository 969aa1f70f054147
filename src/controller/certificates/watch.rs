//! Wakes the certificate tasks when the Secret or the registration changes.

use std::{fmt::Debug, pin::pin, sync::Arc};

use futures::{Stream, StreamExt as _};
use kube::{
    Api, Resource,
    runtime::watcher::{self, Event, watcher},
};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::store::Store;
use crate::controller::watched::watched;

/// Starts to wake `waker` whenever the registration changes.
pub(super) fn configuration(store: &Store, waker: &Arc<Notify>) {
    let name = store.refs.configuration.clone();
    let events = watch(store.metadata_of_configurations(), &name);
    tokio::spawn(wake(events, name, "MutatingWebhookConfiguration", Arc::clone(waker)));
}

/// Starts to wake `waker` whenever the registration for RunnerProfiles changes.
pub(super) fn validating(store: &Store, waker: &Arc<Notify>) {
    let name = store.refs.configuration.clone();
    let events = watch(store.metadata_of_validating(), &name);
    tokio::spawn(wake(events, name, "ValidatingWebhookConfiguration", Arc::clone(waker)));
}

/// Starts to wake `waker` whenever the Secret changes.
pub(super) fn secret(store: &Store, waker: &Arc<Notify>) {
    let name = store.refs.secret.clone();
    let events = watch(store.metadata_of_secrets(), &name);
    tokio::spawn(wake(events, name, "Secret", Arc::clone(waker)));
}

/// Watches the object of this name.
fn watch<K>(
    api: Api<K>,
    name: &str,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + use<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    watcher(api, watcher::Config::default().fields(&format!("metadata.name={name}")))
}

/// Wakes on each event of the watch. `what` is for the log.
async fn wake<K: Send>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    name: String,
    what: &'static str,
    waker: Arc<Notify>,
) {
    let mut events = pin!(watched(events));
    while let Some(event) = events.next().await {
        match event {
            // No response yet: the next event has one.
            Ok(Event::Init) => {}
            Ok(_) => waker.notify_one(),
            Err(failed) if failed.is_new => {
                tracing::warn!(
                    error = failed.message,
                    what,
                    name,
                    "cannot watch the object; retrying"
                );
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, stream};

    use super::*;

    #[tokio::test]
    async fn watch_wakes_on_events_and_not_on_attempts() {
        let wakes = async |events: Vec<watcher::Result<Event<()>>>| {
            let waker = Arc::new(Notify::new());
            wake(stream::iter(events), "a".to_owned(), "Secret", Arc::clone(&waker)).await;
            waker.notified().now_or_never().is_some()
        };
        let failure = Err(watcher::Error::NoResourceVersion);
        assert!(!wakes(vec![Ok(Event::Init), failure, Ok(Event::Init)]).await);
        assert!(wakes(vec![Ok(Event::Init), Ok(Event::InitDone)]).await);
        assert!(wakes(vec![Ok(Event::Apply(()))]).await);
        assert!(wakes(vec![Ok(Event::Delete(()))]).await);
    }
}
