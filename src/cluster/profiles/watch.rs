//! Watching the objects. Whatever becomes of the API server, what was seen last stays.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use kube::{
    Api, ResourceExt,
    runtime::watcher::{self, Event, watcher},
};
use tokio::{
    sync::watch::Sender,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{Seen, Sight, applied, stored::Stored};
use crate::{
    cluster::watched::watched,
    profile::Object,
    server::{Gate, Service},
};

/// How long nothing has to change until a change is passed on: `kubectl apply` of a folder is one
/// change.
const QUIET: Duration = Duration::from_millis(100);
/// The longest that changes are held back.
const HELD: Duration = Duration::from_secs(1);
/// How often to look for a kind that the API server does not know.
const MISSING: Duration = Duration::from_mins(1);
/// One watch, in seconds, after which the API server ends it and the next one goes on from there.
/// By then a connection that died without a word is noticed, which would else take as long as a
/// request may be silent ([`crate::cluster::connect`]).
const WATCH_SECONDS: u32 = 20;
/// `404 Not Found`: there is no such kind.
const NOT_FOUND: u16 = 404;

/// Watches until nobody listens.
pub(super) async fn watch(api: Api<Stored>, sight: Sender<Sight>, service: Arc<Service>) {
    let mut is_told = false;
    while !sight.is_closed() {
        follow(&api, &sight, &service, &mut is_told).await;
        // Without the kind there is nothing to wait for; with objects that were seen, they stay.
        if sight.borrow().is_none() {
            sight.send_replace(Some(Arc::default()));
        }
        if !is_told {
            tracing::warn!(
                "the API server has no RunnerProfiles: their definition is not installed"
            );
            is_told = true;
        }
        if timeout(MISSING, sight.closed()).await.is_ok() {
            return;
        }
    }
}

/// Follows the objects until the API server says that there is no such kind, or nobody listens.
async fn follow(
    api: &Api<Stored>,
    sight: &Sender<Sight>,
    service: &Service,
    is_missing: &mut bool,
) {
    let events = watcher(api.clone(), watcher::Config::default().timeout(WATCH_SECONDS));
    let mut events = pin!(watched(events));
    let mut state = State::default();
    // When the first change was seen that was not passed on, and the last one.
    let mut dirty: Option<(Instant, Instant)> = None;
    loop {
        let due = dirty.map(|(first, last)| (last + QUIET).min(first + HELD));
        let event = tokio::select! {
            () = sight.closed() => return,
            () = wait_until(due) => {
                dirty = None;
                sight.send_replace(Some(Arc::new(state.all())));
                continue;
            }
            event = events.next() => event,
        };
        match event {
            None => return,
            Some(Ok(event)) => {
                // A list is about to be asked for; whether there is the kind its end says.
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
                    tracing::warn!(error, "cannot watch RunnerProfiles, what is known stays");
                }
                if sight.borrow().is_none() {
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
        // Longer than anything; the other branches end it.
        None => sleep(MISSING).await,
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

/// What has been seen.
#[derive(Debug, Default)]
struct State {
    known: BTreeMap<String, Seen>,
    /// A list that is under way.
    listing: BTreeMap<String, Seen>,
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
                self.listing.insert(object.name_any(), seen(&object));
                false
            }
            Event::InitDone => {
                self.known = std::mem::take(&mut self.listing);
                true
            }
            Event::Apply(object) => {
                self.known.insert(object.name_any(), seen(&object));
                true
            }
            Event::Delete(object) => self.known.remove(&object.name_any()).is_some(),
        }
    }

    fn all(&self) -> Vec<Seen> {
        self.known.values().cloned().collect()
    }
}

/// What matters of an object.
fn seen(object: &Stored) -> Seen {
    let metadata = &object.metadata;
    let status = object.status();
    Seen {
        object: Object {
            name: object.name_any(),
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            spec: applied::restored(
                object.spec.0.clone(),
                object.annotations().get(applied::LAST_APPLIED).map(String::as_str),
            ),
        },
        status,
    }
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
                "creationTimestamp": "1970-01-01T00:01:00Z",
            },
            "spec": spec,
        }))
        .unwrap_or_else(|error| panic!("{error}"))
    }

    fn names(state: &State) -> Vec<String> {
        state.all().into_iter().map(|seen| seen.object.name).collect()
    }

    /// Else that the kind is missing would be in the log each time that it is looked for.
    #[tokio::test]
    async fn a_kind_that_is_missing_still_is_when_it_was_looked_for_in_vain() {
        let missing = tower::service_fn(async |_: http::Request<Body>| {
            let status = json!({
                "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404,
            });
            let body = Body::from(status.to_string().into_bytes());
            http::Response::builder().status(404).body(body)
        });
        let api = Api::all(Client::new(missing, "arc-rocm"));
        let service = Service::new(Config::default(), Metrics::default(), Limits::default());
        let (sight, _listens) = tokio::sync::watch::channel(None);
        let mut is_missing = true;
        follow(&api, &sight, &service, &mut is_missing).await;
        assert!(is_missing);
    }

    #[test]
    fn a_list_is_taken_whole_and_what_was_known_stays_until_then() {
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

    #[test]
    fn null_in_a_spec_reaches_the_compiler() {
        let seen = seen(&object("a", &json!({"groups": null})));
        assert_eq!(seen.object.spec, json!({"groups": null}));
        assert_eq!(seen.object.generation, 2);
    }
}
