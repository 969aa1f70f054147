//! What the API server's answers say about its clock.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use hyper::header;
use k8s_openapi::jiff::fmt::rfc2822::DateTimeParser;
use kube::Client;

use crate::certs;

/// From so many seconds on, an own clock that differs is worth a line: a minute is beyond what any
/// time service leaves, and far below the five minutes by which certificates are backdated.
const DIFFERS: i64 = 60;
/// Up to so many it is right again. Less, so that one at the limit is not told again and again.
const AGREES: i64 = 30;

/// The clock, as the last answer had it. It is read between requests, so that a lock is no matter.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clock: certs::Clock,
    is_told: bool,
}

impl Clock {
    /// One without an answer.
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), state: Mutex::default() }
    }

    /// What time it is by the API server's clock, in seconds since the epoch; by the own one as
    /// long as there is no answer.
    pub(super) fn now(&self) -> i64 {
        self.known().unwrap_or_else(certs::now)
    }

    /// The same; `None` as long as there is no answer.
    pub(super) fn known(&self) -> Option<i64> {
        let clock = self.state.lock().unwrap_or_else(PoisonError::into_inner).clock;
        clock.now(self.steady())
    }

    /// A clock that nobody sets.
    fn steady(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_secs()).unwrap_or(i64::MAX)
    }

    /// Takes in an answer's `Date`, which came when the own clock was at `own`. How far it is ahead
    /// of that, in seconds, if that is much and to be said for the first time.
    fn note(&self, date: &str, own: i64) -> Option<i64> {
        let time = seconds(date)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock = certs::Clock::told(time, self.steady());
        let ahead = time.saturating_sub(own);
        let limit = if state.is_told { AGREES } else { DIFFERS };
        let differs = !(-limit..=limit).contains(&ahead);
        let was_told = std::mem::replace(&mut state.is_told, differs);
        (differs && !was_told).then_some(ahead)
    }
}

/// The same client, which notes the time of every answer. Only within a runtime.
pub(super) fn noted(client: &Client, clock: &Arc<Clock>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let (client, clock) = (client.clone(), Arc::clone(clock));
    let service = tower::service_fn(move |request| {
        let (client, clock) = (client.clone(), Arc::clone(&clock));
        async move {
            let response = client.send(request).await?;
            let date = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
            if let Some(seconds) = date.and_then(|date| clock.note(date, certs::now())) {
                tracing::warn!(
                    seconds_ahead = seconds,
                    "the API server's clock is another than this machine's; for certificates, the \
                     API server's counts"
                );
            }
            Ok::<_, kube::Error>(response)
        }
    });
    Client::new(service, namespace)
}

/// A `Date` header (RFC 9110, 5.6.7), in seconds since the epoch.
fn seconds(date: &str) -> Option<i64> {
    Some(DateTimeParser::new().parse_timestamp(date).ok()?.as_second())
}

#[cfg(test)]
mod tests {
    use hyper::http;

    use super::*;

    #[test]
    fn a_date_header_is_a_time() {
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("yesterday"), None);
    }

    #[tokio::test]
    async fn the_date_of_each_answer_is_noted() {
        let answer = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            let answer =
                http::Response::builder().header(header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
            answer.body(kube::client::Body::from(b"{}".to_vec()))
        });
        let clock = Arc::new(Clock::new());
        let client = noted(&Client::new(answer, "arc-rocm"), &clock);
        assert_eq!(client.default_namespace(), "arc-rocm");
        let request = http::Request::get("/version").body(Vec::new()).unwrap();
        let _: serde_json::Value = client.request(request).await.unwrap();
        let known = clock.known().unwrap();
        assert!((784_111_777..784_111_837).contains(&known), "{known}");
    }

    #[test]
    fn an_own_clock_that_differs_is_said_once_until_it_is_right_again() {
        let (clock, date, at) = (Clock::new(), "Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777);
        assert_eq!(clock.known(), None);
        assert_eq!(clock.note(date, at - 60), None);
        assert_eq!(clock.note(date, at + 31_536_000), Some(-31_536_000));
        assert_eq!(clock.note(date, at + 31_536_000), None);
        assert_eq!(clock.note(date, at + 31), None);
        assert_eq!(clock.note(date, at + 61), None);
        assert_eq!(clock.note("nonsense", at), None);
        let known = clock.known().unwrap();
        assert!((at..at + 60).contains(&known), "{known}");
        assert_eq!(clock.note(date, at), None);
        assert_eq!(clock.note(date, at - 61), Some(61));
    }
}
