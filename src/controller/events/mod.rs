//! Events on the EphemeralRunner of a pod: what the webhook did with it, for
//! `kubectl describe ephemeralrunner`.
//!
//! A response never waits for an event: the server puts it into a bounded queue, and an event that
//! does not fit is counted and dropped. A task sends them, one at a time and at a bounded rate.
//! An event that the API server refuses is not retried. Linkerd's injector timed out on calls made
//! while it answered (linkerd2#3358), and a general recorder dropped its events silently
//! (linkerd2#3374).
//!
//! kube's Recorder is not used: it names an event by the time, so that two replicas, or one that is asked
//! twice, would store it twice.

mod event;

use std::time::Duration;

use k8s_openapi::{api::core::v1::Event, jiff::Timestamp};
use kube::{Api, Client, api::PostParams};
use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

pub use self::event::{MESSAGE_LENGTH, REPORTER, event_of};
use super::watch::FailureLog;
use crate::{
    admission::Record,
    telemetry::{Chain, Metrics},
};

/// Events that wait at most: a fleet may scale up by a thousand runners at once. At some 2 kB each they
/// take two megabytes, and sending them takes a minute.
pub const QUEUE: usize = 1024;
/// Between two events: at most 20 a second from each replica.
const PAUSE: Duration = Duration::from_millis(50);
/// After a failure, to spare an overloaded API server.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// The time for one event, retries by the client included.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long shutdown waits for queued events. It is part of the pod's termination grace period.
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);

/// The sending end of the queue. [`send`](Self::send) never waits.
#[derive(Clone, Debug)]
pub struct EventSender {
    sender: mpsc::Sender<Event>,
    /// The webhook's own pod.
    instance: String,
    dropped: Counter,
}

/// The running task.
#[derive(Debug)]
pub struct EventTask {
    closing: CancellationToken,
    task: JoinHandle<()>,
}

struct Worker {
    client: Client,
    log: FailureLog,
    sent: Counter,
    failed: Counter,
}

/// Starts the task. `instance` is the webhook's own pod.
pub fn spawn(client: Client, instance: String, metrics: &Metrics) -> (EventSender, EventTask) {
    let (sender, receiver) = EventSender::new(instance, metrics.events_dropped.clone());
    let (sent, failed) = (metrics.events_sent.clone(), metrics.events_failed.clone());
    let worker = Worker { client, log: FailureLog::default(), sent, failed };
    let closing = CancellationToken::new();
    let task = tokio::spawn(worker.run(receiver, closing.clone()));
    (sender, EventTask { closing, task })
}

impl EventSender {
    fn new(instance: String, dropped: Counter) -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self { sender, instance, dropped }, receiver)
    }

    /// Queues the event of a response, if it has one.
    pub fn send(&self, record: &Record) {
        if let Some(event) = event_of(record, Timestamp::now(), &self.instance)
            && self.sender.try_send(event).is_err()
        {
            self.dropped.inc();
        }
    }
}

impl EventTask {
    /// Sends what is queued, without pauses, for at most two seconds.
    pub async fn finish(mut self) {
        self.closing.cancel();
        if timeout(FLUSH_DEADLINE, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("events left in the queue were not sent before shutdown");
        }
    }
}

impl Worker {
    async fn run(mut self, mut receiver: mpsc::Receiver<Event>, closing: CancellationToken) {
        while let Some(Some(event)) = closing.run_until_cancelled(receiver.recv()).await {
            let pause = if self.send(event).await { PAUSE } else { PAUSE_AFTER_FAILURE };
            closing.run_until_cancelled(sleep(pause)).await;
        }
        receiver.close();
        while let Some(event) = receiver.recv().await {
            self.send(event).await;
        }
    }

    /// Whether the API server has stored the event, now or before.
    async fn send(&mut self, event: Event) -> bool {
        let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
        let events = Api::<Event>::namespaced(self.client.clone(), namespace);
        let params = PostParams::default();
        let created = timeout(DEADLINE, events.create(&params, &event)).await;
        // Each namespace has words of its own for one reason.
        let (reason, error) = match created {
            Ok(Ok(_created)) => (None, None),
            Ok(Err(kube::Error::Api(status))) if status.is_already_exists() => (None, None),
            Ok(Err(kube::Error::Api(status))) => {
                (Some(status.reason.clone()), Some(status.message))
            }
            Ok(Err(error)) => (None, Some(Chain(&error).to_string())),
            Err(late) => (None, Some(late.to_string())),
        };
        let Some(error) = error else {
            self.sent.inc();
            return true;
        };
        self.failed.inc();
        let name = event.involved_object.name.as_deref().unwrap_or_default();
        if self.log.is_new(&reason.unwrap_or_default()) {
            tracing::warn!(
                namespace,
                name,
                error,
                "cannot create the event; further failures of this kind are logged at debug level"
            );
        } else {
            tracing::debug!(namespace, name, error, "cannot create the event");
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{event::tests::record, *};

    #[test]
    fn events_beyond_the_queue_are_counted_and_dropped() {
        let dropped = Counter::default();
        let (sender, mut receiver) = EventSender::new("pod".to_owned(), dropped.clone());
        for _ in 0..QUEUE + 3 {
            sender.send(&record());
        }
        sender.send(&Record { dry_run: true, ..record() });
        assert_eq!(dropped.get(), 3);
        assert_eq!(std::iter::from_fn(|| receiver.try_recv().ok()).count(), QUEUE);
        // The receiver is gone: sending still does not wait.
        drop(receiver);
        sender.send(&record());
        assert_eq!(dropped.get(), 4);
    }
}
