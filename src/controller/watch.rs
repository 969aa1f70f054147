//! Watches with kube's backoff, and one log line for a failure that repeats.

use std::{
    future::ready,
    time::{Duration, Instant},
};

use futures::{Stream, TryStreamExt as _};
use kube::runtime::{
    WatchStreamExt as _,
    watcher::{self, Event},
};

use crate::telemetry::Chain;

/// A failure that has not come for this long is logged again. Longer than kube's longest delay.
const OVER: Duration = Duration::from_mins(2);

/// The failure that came last.
#[derive(Debug, Default)]
pub(super) struct FailureLog(Option<(String, Instant)>);

impl FailureLog {
    /// Records a failure. True if it is to be logged: its text differs from the last one's, or that is
    /// over.
    pub(super) fn is_new(&mut self, failure: &str) -> bool {
        let last = self.0.replace((failure.to_owned(), Instant::now()));
        last.is_none_or(|(known, at)| known != failure || at.elapsed() > OVER)
    }
}

/// The events of a watch, with kube's backoff. Failures of `what` are logged.
///
/// `Init` is left out. It comes before each list is asked for, and the backoff would take it for a
/// success: it would ask about every second for ever.
pub(super) fn watched<K: Send>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    what: String,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send {
    let mut log = FailureLog::default();
    events.try_filter(|event| ready(!matches!(event, Event::Init))).default_backoff().inspect_err(
        move |error| {
            let error = Chain(error).to_string();
            if log.is_new(&error) {
                tracing::warn!(error, what, "cannot watch; retrying");
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};

    use super::*;

    #[test]
    fn repeated_failure_is_logged_once_until_it_is_over() {
        let mut log = FailureLog::default();
        let logged =
            ["forbidden", "forbidden", "unreachable", "forbidden"].map(|text| log.is_new(text));
        assert_eq!(logged, [true, false, true, true]);
        let long_ago = Instant::now().checked_sub(OVER + Duration::from_secs(1)).unwrap();
        log.0 = Some(("forbidden".to_owned(), long_ago));
        assert!(log.is_new("forbidden"));
    }

    /// kube's own backoff, without the filter, starts over at each attempt.
    #[tokio::test(start_paused = true)]
    async fn watch_that_fails_each_time_is_tried_less_and_less() {
        let attempt = || [Ok(Event::Init), Err(watcher::Error::NoResourceVersion)];
        let events = stream::iter((0..6).flat_map(|_| attempt()));
        let start = tokio::time::Instant::now();
        let count = watched::<()>(events, "a".to_owned()).count().await;
        assert_eq!(count, 6);
        // 0.8, 1.6, 3.2, 6.4 and 12.8 s at least.
        assert!(start.elapsed() >= Duration::from_secs(24), "{:?}", start.elapsed());
    }
}
