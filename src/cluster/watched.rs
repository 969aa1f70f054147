//! What a watch says, at a pace that a failing API server bears.

use std::time::Duration;

use futures::{
    StreamExt as _,
    stream::{self, Stream},
};
use kube::runtime::watcher::{self, Event};
use tokio::time::{Instant, sleep};

use super::trouble::{Trouble, random};
use crate::telemetry::Chain;

/// After so long without a failure a watch works, even if it has nothing to say. Longer than the
/// longest pause and the time for a connection together.
const WORKS: Duration = Duration::from_mins(2);

/// A failure, after which the watch is tried again.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: watcher::Error,
    /// The error with all that caused it, on one line.
    pub(super) message: String,
    /// Whether it is not the same as the last one, and worth a line.
    pub(super) is_new: bool,
}

/// The events of a watch, with longer and longer pauses after failures.
///
/// Each list begins with [`Event::Init`], before the API server was asked for anything
/// (`kube_runtime::watcher`), so that this ends no row of failures. `default_backoff` of kube's takes
/// it for a success, and so tries about each second for ever.
pub(super) fn watched<K: Send>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
) -> impl Stream<Item = Result<Event<K>, Failed>> + Send {
    let row = Row { trouble: Trouble::default(), last: None };
    stream::unfold((Box::pin(events), row, None), |(mut events, mut row, pause)| async move {
        if let Some(pause) = pause {
            sleep(pause).await;
        }
        let (said, pause) = match events.next().await? {
            Ok(event) => {
                row.goes_on(&event);
                (Ok(event), None)
            }
            Err(error) => {
                let failed = row.fails(error);
                (Err(failed), Some(row.trouble.wait(random())))
            }
        };
        Some((said, (events, row, pause)))
    })
}

/// A row of failures.
#[derive(Debug)]
struct Row {
    trouble: Trouble,
    /// When the last one was.
    last: Option<Instant>,
}

impl Row {
    fn goes_on<K>(&mut self, event: &Event<K>) {
        if !matches!(event, Event::Init) {
            self.trouble.ends();
        }
    }

    fn fails(&mut self, error: watcher::Error) -> Failed {
        if self.last.is_some_and(|last| last.elapsed() > WORKS) {
            self.trouble.ends();
        }
        self.last = Some(Instant::now());
        let message = Chain(&error).to_string();
        let is_new = self.trouble.notes(&message);
        Failed { error, message, is_new }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_list_that_fails_again_and_again_is_said_once_until_something_was_heard() {
        let failure = || Err(watcher::Error::NoResourceVersion);
        let events = [
            Ok(Event::Init),
            failure(),
            Ok(Event::Init),
            failure(),
            Ok(Event::Init),
            Ok(Event::InitApply(())),
            Ok(Event::InitDone),
            failure(),
        ];
        let start = Instant::now();
        let said: Vec<_> = watched(stream::iter(events)).collect().await;
        assert_eq!(said.len(), 8);
        let new: Vec<bool> =
            said.iter().filter_map(|one| Some(one.as_ref().err()?.is_new)).collect();
        assert_eq!(new, [true, false, true]);
        // At least a half of 500 ms, of a second, and of 500 ms again.
        assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    }

    #[test]
    fn a_watch_that_was_quiet_for_long_has_worked() {
        let mut row = Row { trouble: Trouble::default(), last: None };
        assert!(row.fails(watcher::Error::NoResourceVersion).is_new);
        assert!(!row.fails(watcher::Error::NoResourceVersion).is_new);
        row.last = row.last.and_then(|last| last.checked_sub(WORKS + Duration::from_secs(1)));
        assert!(row.fails(watcher::Error::NoResourceVersion).is_new);
    }
}
