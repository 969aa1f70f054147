//! Watching the objects. While the API server does not answer, the objects seen last stay.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::StreamExt as _;
use kube::{
    Api,
    runtime::{
        reflector::{self, reflector},
        watcher::{self, watcher},
    },
};
use tokio::{
    sync::watch::Sender,
    time::{Instant, sleep_until},
};

use super::{Snapshot, stored::Stored};
use crate::{
    controller::watch::watched,
    server::{Gate, Service},
    telemetry::Chain,
};

/// How long a change is held back, for others that come with it: `kubectl apply` of a folder is few
/// changes.
const GATHER: Duration = Duration::from_millis(250);
/// One watch, in seconds, after which the API server ends it and the next one continues from there.
/// By then a broken connection is noticed. Otherwise that takes as long as a request may be silent
/// ([`crate::controller::connect()`]).
const WATCH_SECONDS: u32 = 20;
/// `404 Not Found`: there is no such kind.
const NOT_FOUND: u16 = 404;

/// Watches until the receiver is dropped.
pub(super) async fn watch(api: Api<Stored>, snapshots: Sender<Snapshot>, service: Arc<Service>) {
    let (objects, writer) = reflector::store();
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    let events = watched(reflector(writer, watcher(api, config)), "RunnerProfiles".to_owned());
    let mut events = pin!(events);
    let mut due: Option<Instant> = None;
    loop {
        let event = tokio::select! {
            () = snapshots.closed() => return,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                due = None;
                let mut all: Vec<_> = objects.state().iter().map(|one| one.with_status()).collect();
                all.sort_by(|one, other| one.object.name.cmp(&other.object.name));
                snapshots.send_replace(Some(Arc::new(all)));
                continue;
            }
            event = events.next() => event,
        };
        match event {
            None => return,
            // A list is whole at its end.
            Some(Ok(watcher::Event::Init | watcher::Event::InitApply(_))) => {}
            Some(Ok(_)) => due = due.or_else(|| Some(Instant::now() + GATHER)),
            Some(Err(error)) if snapshots.borrow().is_none() => {
                if is_unknown_kind(&error) {
                    tracing::warn!(
                        "the API server has no RunnerProfiles: their definition is not installed"
                    );
                    snapshots.send_replace(Some(Arc::default()));
                } else {
                    let reason = format!("the RunnerProfiles were not read yet: {}", Chain(&error));
                    service.gates().close(Gate::Profiles, reason);
                }
            }
            Some(Err(_)) => {}
        }
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

#[cfg(test)]
mod tests {
    use hyper::http;
    use kube::{Client, client::Body};
    use serde_json::{Value, json};
    use tokio::sync::watch::{Receiver, channel};

    use super::*;
    use crate::{inject::Config, server::Limits, telemetry::Metrics};

    /// Watches an API server that gives this answer to everything but a watch, which has no events.
    fn watching(status: u16, answer: Value) -> (Receiver<Snapshot>, Arc<Service>) {
        let server = tower::service_fn(move |request: http::Request<Body>| {
            let is_watch = request.uri().to_string().contains("watch=true");
            let response = http::Response::builder().status(status);
            let response = response.body(Body::from(answer.to_string().into_bytes()));
            async move {
                if is_watch {
                    std::future::pending::<()>().await;
                }
                response
            }
        });
        let api = Api::all(Client::new(server, "arc-rocm"));
        let service = Service::new(Config::default(), Metrics::default(), Limits::default());
        service.gates().open(Gate::Serving);
        let (sender, receiver) = channel(None);
        let service = Arc::new(service);
        tokio::spawn(watch(api, sender, Arc::clone(&service)));
        (receiver, service)
    }

    fn failure(code: u16) -> Value {
        json!({"kind": "Status", "status": "Failure", "reason": "x", "code": code})
    }

    #[tokio::test]
    async fn watched_objects_come_in_the_order_of_their_names() {
        let object = |name: &str| json!({"metadata": {"name": name, "uid": name}, "spec": {}});
        let list = json!({
            "metadata": {"resourceVersion": "1"},
            "items": [object("b"), object("a")],
        });
        let (mut snapshots, _service) = watching(200, list);
        let snapshot = snapshots.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        let names: Vec<&str> = snapshot.iter().map(|one| one.object.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[tokio::test]
    async fn missing_kind_counts_as_no_objects() {
        let (mut snapshots, service) = watching(404, failure(404));
        assert!(snapshots.wait_for(Option::is_some).await.unwrap().as_ref().unwrap().is_empty());
        assert_eq!(service.gates().closed(), None);
    }

    #[tokio::test]
    async fn failure_before_the_first_list_closes_the_gate() {
        let (snapshots, service) = watching(500, failure(500));
        let closed = async {
            while service.gates().closed().is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), closed).await.unwrap();
        let reason = service.gates().closed().unwrap();
        assert!(reason.starts_with("the RunnerProfiles were not read yet: "), "{reason}");
        assert_eq!(*snapshots.borrow(), None);
    }
}
