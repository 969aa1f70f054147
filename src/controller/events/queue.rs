//! The queue between the server and the task that sends events.

use k8s_openapi::jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use super::runner_event::RunnerEvent;
use crate::admission::Record;

/// Events that wait at most: a fleet may scale up by a thousand runners at once. At some 300 bytes
/// each they take a third of a megabyte, and sending them takes a minute.
pub const QUEUE: usize = 1024;

/// An event and when it was queued.
pub(super) type Item = (RunnerEvent, Timestamp);

/// The sending end. [`send`](Self::send) never waits.
#[derive(Clone, Debug)]
pub struct EventSender {
    sender: mpsc::Sender<Item>,
    dropped: Counter,
}

/// The receiving end.
#[derive(Debug)]
pub struct EventReceiver(pub(super) mpsc::Receiver<Item>);

impl EventSender {
    /// Creates both ends. `dropped` counts the events that do not fit.
    pub fn new(dropped: Counter) -> (Self, EventReceiver) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self { sender, dropped }, EventReceiver(receiver))
    }

    /// Queues the event of a response, if it has one.
    pub fn send(&self, record: &Record) {
        if let Some(event) = RunnerEvent::of(record)
            && self.sender.try_send((event, Timestamp::now())).is_err()
        {
            self.dropped.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::runner_event::tests::record, *};

    #[test]
    fn events_beyond_the_queue_are_counted_and_dropped() {
        let dropped = Counter::default();
        let (sender, mut receiver) = EventSender::new(dropped.clone());
        for _ in 0..QUEUE + 3 {
            sender.send(&record());
        }
        sender.send(&Record { dry_run: true, ..record() });
        assert_eq!(dropped.get(), 3);
        assert_eq!(std::iter::from_fn(|| receiver.0.try_recv().ok()).count(), QUEUE);
        // The receiver is gone: sending still does not wait.
        drop(receiver);
        sender.send(&record());
        assert_eq!(dropped.get(), 4);
    }
}
