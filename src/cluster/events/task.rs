//! Sending events, one at a time.

use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use kube::{Api, Client, api::PostParams};
use prometheus_client::metrics::counter::Counter;
use tokio::{task::JoinHandle, time};
use tokio_util::sync::CancellationToken;

use super::{
    fate::{Fate, Said},
    object,
    queue::{Inbox, Item},
};
use crate::telemetry::{Chain, Metrics};

/// How long the API server may take over one event, retries by the client included.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long the end of the process waits for what is queued. Part of what the kubelet leaves a pod
/// beyond the server's own end (`manifests::workload`).
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);

/// The task at work.
#[derive(Debug)]
pub struct Running {
    closing: CancellationToken,
    task: JoinHandle<()>,
}

struct Sender {
    client: Client,
    instance: String,
    said: Said,
    sent: Counter,
    failed: Counter,
}

impl Inbox {
    /// Starts to send what comes, in the name of `instance`, our own pod.
    pub fn spawn(self, client: Client, instance: String, metrics: &Metrics) -> Running {
        let (sent, failed) = (metrics.events_sent.clone(), metrics.events_failed.clone());
        let sender = Sender { client, instance, said: Said::default(), sent, failed };
        let closing = CancellationToken::new();
        Running { closing: closing.clone(), task: tokio::spawn(sender.run(self, closing)) }
    }
}

impl Running {
    /// Sends what is queued, without pauses, and ends: after two seconds in any case.
    pub async fn finish(mut self) {
        self.closing.cancel();
        if time::timeout(FLUSH_DEADLINE, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("some events were not sent before the end");
        }
    }
}

impl Sender {
    async fn run(mut self, Inbox(mut inbox): Inbox, closing: CancellationToken) {
        loop {
            let item = tokio::select! {
                item = inbox.recv() => item,
                () = closing.cancelled() => break,
            };
            let Some(item) = item else { return };
            let fate = self.send(item).await;
            tokio::select! {
                () = time::sleep(fate.pause()) => {}
                () = closing.cancelled() => break,
            }
        }
        inbox.close();
        while let Some(item) = inbox.recv().await {
            self.send(item).await;
        }
    }

    async fn send(&mut self, (notice, at): Item) -> Fate {
        let event = object::event(&notice, at, &self.instance);
        let events = Api::<Event>::namespaced(self.client.clone(), &notice.namespace);
        let params = PostParams::default();
        let create = events.create(&params, &event);
        let (fate, error) = match time::timeout(DEADLINE, create).await {
            Ok(Ok(_created)) => (Fate::Sent, String::new()),
            Ok(Err(error)) => {
                let fate = match &error {
                    kube::Error::Api(status) => Fate::of_refusal(status),
                    _ => Fate::Failed,
                };
                (fate, Chain(&error).to_string())
            }
            Err(late) => (Fate::Failed, late.to_string()),
        };
        if fate == Fate::Sent {
            self.sent.inc();
        } else {
            self.failed.inc();
        }
        let (namespace, name) = (&notice.namespace, &notice.owner.name);
        if self.said.is_news(fate) {
            tracing::warn!(namespace, name, error, "event not sent, and more like it may follow");
        } else if fate != Fate::Sent {
            tracing::debug!(namespace, name, error, "event not sent");
        }
        fate
    }
}
