//! Watching the objects. While the API server does not answer, the objects seen last stay.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use kube::{
    Api, ResourceExt,
    runtime::watcher::{self, Event, watcher},
};
use tokio::{
    sync::watch::Sender,
    time::{Instant, sleep_until, timeout},
};

use super::{ObjectWithStatus, Snapshot, stored::Stored};
use crate::{
    controller::watched::watched,
    server::{Gate, Service},
};

/// How long nothing has to change until a change is passed on: `kubectl apply` of a folder is one
/// change.
const QUIET: Duration = Duration::from_millis(100);
/// The longest that changes are held back.
const MAX_DELAY: Duration = Duration::from_secs(1);
/// How often to look for a kind that the API server does not know.
const MISSING: Duration = Duration::from_mins(1);
/// One watch, in seconds, after which the API server ends it and the next one continues from there.
/// By then a broken connection is noticed. Otherwise that takes as long as a request may be silent
/// ([`crate::controller::connect`]).
const WATCH_SECONDS: u32 = 20;
/// `404 Not Found`: there is no such kind.
const NOT_FOUND: u16 = 404;

/// Watches until the receiver is dropped.
pub(super) async fn watch(api: Api<Stored>, snapshots: Sender<Snapshot>, service: Arc<Service>) {
    let mut is_logged = false;
    while !snapshots.is_closed() {
        follow(&api, &snapshots, &service, &mut is_logged).await;
        // Without the kind there is nothing to wait for. Objects that were seen stay.
        if snapshots.borrow().is_none() {
            snapshots.send_replace(Some(Arc::default()));
        }
        if !is_logged {
            tracing::warn!(
                "the API server has no RunnerProfiles: their definition is not installed"
            );
            is_logged = true;
        }
        if timeout(MISSING, snapshots.closed()).await.is_ok() {
            return;
        }
    }
}

/// Follows the objects until the API server has no such kind, or the receiver is dropped.
async fn follow(
    api: &Api<Stored>,
    snapshots: &Sender<Snapshot>,
    service: &Service,
    is_missing: &mut bool,
) {
    let events = watcher(api.clone(), watcher::Config::default().timeout(WATCH_SECONDS));
    let mut events = pin!(watched(events));
    let mut state = State::default();
    // When the first change was seen that was not passed on, and the last one.
    let mut dirty: Option<(Instant, Instant)> = None;
    loop {
        let due = dirty.map(|(first, last)| (last + QUIET).min(first + MAX_DELAY));
        let event = tokio::select! {
            () = snapshots.closed() => return,
            () = wait_until(due) => {
                dirty = None;
                snapshots.send_replace(Some(Arc::new(state.all())));
                continue;
            }
            event = events.next() => event,
        };
        match event {
            None => return,
            Some(Ok(event)) => {
                // `Init` comes before the list is asked for; its end says whether there is the kind.
                *is_missing &= matches!(event, Event::Init);
                if state.take(event) {
                    let now = Instant::now();
                    dirty = Some((dirty.map_or(now, |(first, _)| first), now));
                }
            }
            Some(Err(failed)) if is_unknown_kind(&failed.error) => return,
            Some(Err(failed)) => {
                let error = failed.message;
                if failed.is_new {
                    tracing::warn!(error, "cannot watch RunnerProfiles; those already read stay");
                }
                if snapshots.borrow().is_none() {
                    let reason = format!("the RunnerProfiles were not read yet: {error}");
                    service.gates().close(Gate::Profiles, reason);
                }
            }
        }
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn is_unknown_kind(error: &watcher::Error) -> bool {
    matches!(
        error,
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            if status.code == NOT_FOUND
    )
}

/// The objects seen so far.
#[derive(Debug, Default)]
struct State {
    known: BTreeMap<String, ObjectWithStatus>,
    /// A list that is under way.
    listing: BTreeMap<String, ObjectWithStatus>,
}

impl State {
    /// Takes an event in. Whether there is something to pass on.
    fn take(&mut self, event: Event<Stored>) -> bool {
        match event {
            Event::Init => {
                self.listing.clear();
                false
            }
            Event::InitApply(object) => {
                self.listing.insert(object.name_any(), with_status(&object));
                false
            }
            Event::InitDone => {
                self.known = std::mem::take(&mut self.listing);
                true
            }
            Event::Apply(object) => {
                self.known.insert(object.name_any(), with_status(&object));
                true
            }
            Event::Delete(object) => self.known.remove(&object.name_any()).is_some(),
        }
    }

    fn all(&self) -> Vec<ObjectWithStatus> {
        self.known.values().cloned().collect()
    }
}

fn with_status(object: &Stored) -> ObjectWithStatus {
    ObjectWithStatus { object: object.object(), status: object.status() }
}

#[cfg(test)]
mod tests {
    use hyper::http;
    use kube::{Client, client::Body};
    use serde_json::{Value, json};

    use super::*;
    use crate::{inject::Config, server::Limits, telemetry::Metrics};

    fn object(name: &str, spec: &Value) -> Stored {
        serde_json::from_value(json!({
            "apiVersion": "arc-rocm.dev/v1alpha1",
            "kind": "RunnerProfile",
            "metadata": {
                "name": name,
                "uid": format!("uid-{name}"),
                "generation": 2,
            },
            "spec": spec,
        }))
        .unwrap_or_else(|error| panic!("{error}"))
    }

    fn names(state: &State) -> Vec<String> {
        state.all().into_iter().map(|one| one.object.name).collect()
    }

    /// Otherwise each look for the kind would log that it is missing.
    #[tokio::test]
    async fn missing_kind_is_logged_once() {
        let missing = tower::service_fn(async |_: http::Request<Body>| {
            let status = json!({
                "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404,
            });
            let body = Body::from(status.to_string().into_bytes());
            http::Response::builder().status(404).body(body)
        });
        let api = Api::all(Client::new(missing, "arc-rocm"));
        let service = Service::new(Config::default(), Metrics::default(), Limits::default());
        let (snapshots, _receiver) = tokio::sync::watch::channel(None);
        let mut is_missing = true;
        follow(&api, &snapshots, &service, &mut is_missing).await;
        assert!(is_missing);
    }

    #[test]
    fn known_objects_stay_until_a_list_is_whole() {
        let mut state = State::default();
        assert!(!state.take(Event::Init));
        assert!(!state.take(Event::InitApply(object("a", &json!({})))));
        assert!(names(&state).is_empty());
        assert!(state.take(Event::InitDone));
        assert!(state.take(Event::Apply(object("b", &json!({})))));
        // The watch was lost, and b went meanwhile.
        assert!(!state.take(Event::Init));
        assert!(!state.take(Event::InitApply(object("c", &json!({})))));
        assert_eq!(names(&state), ["a", "b"]);
        assert!(state.take(Event::InitDone));
        assert_eq!(names(&state), ["c"]);
        assert!(state.take(Event::Delete(object("c", &json!({})))));
        assert!(!state.take(Event::Delete(object("c", &json!({})))));
    }
}
