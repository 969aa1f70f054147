//! A watch with exponential backoff.

use std::time::Duration;

use futures::{
    StreamExt as _,
    stream::{self, Stream},
};
use kube::runtime::watcher::{self, Event};
use tokio::time::{Instant, sleep};

use super::backoff::{Backoff, random};
use crate::telemetry::Chain;

/// A watch without a failure for this long works, even without an event. Longer than the longest
/// delay and the time for a connection together.
const WORKS: Duration = Duration::from_mins(2);

/// A failure, after which the watch is tried again.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: watcher::Error,
    /// The error with its causes, on one line.
    pub(super) message: String,
    /// Whether it differs from the last one, so that it is logged.
    pub(super) is_new: bool,
}

/// The events of a watch, with exponential backoff after failures.
///
/// Each list begins with [`Event::Init`], before any request (`kube_runtime::watcher`), so it is no
/// success here. kube's `default_backoff` resets on it, and so retries about every second for ever.
pub(super) fn watched<K: Send>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
) -> impl Stream<Item = Result<Event<K>, Failed>> + Send {
    let failures = Failures { backoff: Backoff::default(), last: None };
    stream::unfold(
        (Box::pin(events), failures, None),
        |(mut events, mut failures, pause)| async move {
            if let Some(pause) = pause {
                sleep(pause).await;
            }
            let (event, pause) = match events.next().await? {
                Ok(event) => {
                    failures.succeed(&event);
                    (Ok(event), None)
                }
                Err(error) => {
                    let failed = failures.fail(error);
                    (Err(failed), Some(failures.backoff.delay(random())))
                }
            };
            Some((event, (events, failures, pause)))
        },
    )
}

/// Consecutive failures of a watch.
#[derive(Debug)]
struct Failures {
    backoff: Backoff,
    /// When the last failure was.
    last: Option<Instant>,
}

impl Failures {
    fn succeed<K>(&mut self, event: &Event<K>) {
        if !matches!(event, Event::Init) {
            self.backoff.reset();
        }
    }

    fn fail(&mut self, error: watcher::Error) -> Failed {
        if self.last.is_some_and(|last| last.elapsed() > WORKS) {
            self.backoff.reset();
        }
        self.last = Some(Instant::now());
        let message = Chain(&error).to_string();
        let is_new = self.backoff.record(&message);
        Failed { error, message, is_new }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn watch_logs_repeated_failure_once_until_success() {
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
        let events: Vec<_> = watched(stream::iter(events)).collect().await;
        assert_eq!(events.len(), 8);
        let new: Vec<bool> =
            events.iter().filter_map(|one| Some(one.as_ref().err()?.is_new)).collect();
        assert_eq!(new, [true, false, true]);
        // At least a half of 500 ms, of a second, and of 500 ms again.
        assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    }

    #[test]
    fn watch_quiet_for_long_counts_as_success() {
        let mut failures = Failures { backoff: Backoff::default(), last: None };
        assert!(failures.fail(watcher::Error::NoResourceVersion).is_new);
        assert!(!failures.fail(watcher::Error::NoResourceVersion).is_new);
        failures.last =
            failures.last.and_then(|last| last.checked_sub(WORKS + Duration::from_secs(1)));
        assert!(failures.fail(watcher::Error::NoResourceVersion).is_new);
    }
}
