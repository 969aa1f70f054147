//! What waits to be sent.

use k8s_openapi::jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use super::notice::Notice;
use crate::admission::Record;

/// Notices that wait at most: a fleet that scales up by a thousand runners at once. At some 300
/// bytes each they take a third of a megabyte; older news than the minute that it takes to send
/// them helps nobody.
pub const QUEUE: usize = 1024;

/// A notice and when it was left.
pub(super) type Item = (Notice, Timestamp);

/// The end where notices are left. Leaving one never waits.
#[derive(Clone, Debug)]
pub struct Outbox {
    sender: mpsc::Sender<Item>,
    dropped: Counter,
}

/// The other end.
#[derive(Debug)]
pub struct Inbox(pub(super) mpsc::Receiver<Item>);

impl Outbox {
    /// Both ends. `dropped` counts what finds no place.
    pub fn new(dropped: Counter) -> (Self, Inbox) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self { sender, dropped }, Inbox(receiver))
    }

    /// Leaves what is worth telling of an answer.
    pub fn leave(&self, record: &Record) {
        if let Some(notice) = Notice::of(record)
            && self.sender.try_send((notice, Timestamp::now())).is_err()
        {
            self.dropped.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::notice::tests::record, *};

    #[test]
    fn what_finds_no_place_is_counted_and_forgotten() {
        let dropped = Counter::default();
        let (outbox, mut inbox) = Outbox::new(dropped.clone());
        for _ in 0..QUEUE + 3 {
            outbox.leave(&record());
        }
        outbox.leave(&Record { dry_run: true, ..record() });
        assert_eq!(dropped.get(), 3);
        assert_eq!(std::iter::from_fn(|| inbox.0.try_recv().ok()).count(), QUEUE);
        // Whoever sent them is gone: still nobody waits.
        drop(inbox);
        outbox.leave(&record());
        assert_eq!(dropped.get(), 4);
    }
}
