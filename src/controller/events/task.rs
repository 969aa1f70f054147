//! Sending events, one at a time.

use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use kube::{Api, Client, api::PostParams};
use prometheus_client::metrics::counter::Counter;
use tokio::{task::JoinHandle, time};
use tokio_util::sync::CancellationToken;

use super::{
    object,
    outcome::{LogDedup, SendOutcome},
    queue::{EventReceiver, Item},
};
use crate::telemetry::{Chain, Metrics};

/// The time for one event, retries by the client included.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long shutdown waits for queued events. It is part of the pod's termination grace period.
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);

/// The running task.
#[derive(Debug)]
pub struct EventTask {
    closing: CancellationToken,
    task: JoinHandle<()>,
}

struct Worker {
    client: Client,
    instance: String,
    dedup: LogDedup,
    sent: Counter,
    failed: Counter,
}

impl EventReceiver {
    /// Starts the task. `instance` is the webhook's own pod.
    pub fn spawn(self, client: Client, instance: String, metrics: &Metrics) -> EventTask {
        let (sent, failed) = (metrics.events_sent.clone(), metrics.events_failed.clone());
        let worker = Worker { client, instance, dedup: LogDedup::default(), sent, failed };
        let closing = CancellationToken::new();
        EventTask { closing: closing.clone(), task: tokio::spawn(worker.run(self, closing)) }
    }
}

impl EventTask {
    /// Sends what is queued, without pauses, for at most two seconds.
    pub async fn finish(mut self) {
        self.closing.cancel();
        if time::timeout(FLUSH_DEADLINE, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("events left in the queue were not sent before shutdown");
        }
    }
}

impl Worker {
    async fn run(mut self, EventReceiver(mut receiver): EventReceiver, closing: CancellationToken) {
        loop {
            let item = tokio::select! {
                item = receiver.recv() => item,
                () = closing.cancelled() => break,
            };
            let Some(item) = item else { return };
            let outcome = self.send(item).await;
            tokio::select! {
                () = time::sleep(outcome.pause()) => {}
                () = closing.cancelled() => break,
            }
        }
        receiver.close();
        while let Some(item) = receiver.recv().await {
            self.send(item).await;
        }
    }

    async fn send(&mut self, (event, at): Item) -> SendOutcome {
        let object = object::to_event(&event, at, &self.instance);
        let events = Api::<Event>::namespaced(self.client.clone(), &event.namespace);
        let params = PostParams::default();
        let create = events.create(&params, &object);
        let (outcome, error) = match time::timeout(DEADLINE, create).await {
            Ok(Ok(_created)) => (SendOutcome::Sent, String::new()),
            Ok(Err(error)) => {
                let outcome = match &error {
                    kube::Error::Api(status) => SendOutcome::of_refusal(status),
                    _ => SendOutcome::Failed,
                };
                (outcome, Chain(&error).to_string())
            }
            Err(late) => (SendOutcome::Failed, late.to_string()),
        };
        if outcome == SendOutcome::Sent {
            self.sent.inc();
        } else {
            self.failed.inc();
        }
        let (namespace, name) = (&event.namespace, &event.owner.name);
        if self.dedup.should_log(outcome) {
            tracing::warn!(
                namespace,
                name,
                error,
                "cannot create the event; further failures of this kind are logged at debug level"
            );
        } else if outcome != SendOutcome::Sent {
            tracing::debug!(namespace, name, error, "cannot create the event");
        }
        outcome
    }
}
