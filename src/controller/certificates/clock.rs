//! The API server's clock, from the `Date` header of its responses.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use hyper::header;
use k8s_openapi::jiff::fmt::rfc2822::DateTimeParser;
use kube::Client;

use crate::certs;

/// A local clock that differs by this many seconds is logged. NTP keeps clocks far closer, and
/// certificates are backdated by five minutes.
const DIFFERS: i64 = 60;
/// Within this many seconds it is right again. Less, so that a clock at the limit is logged once.
const AGREES: i64 = 30;

/// The clock of the last response. It is read between requests, so a lock is cheap enough.
#[derive(Debug)]
pub(super) struct ApiServerClock {
    start: Instant,
    last: Mutex<LastResponse>,
}

#[derive(Debug, Default)]
struct LastResponse {
    clock: certs::Clock,
    is_logged: bool,
}

impl ApiServerClock {
    /// A clock before the first response.
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), last: Mutex::default() }
    }

    /// The API server's time, in seconds since the epoch; the local time before the first response.
    pub(super) fn now(&self) -> i64 {
        self.known().unwrap_or_else(certs::now)
    }

    /// The API server's time; `None` before the first response.
    pub(super) fn known(&self) -> Option<i64> {
        let clock = self.last.lock().unwrap_or_else(PoisonError::into_inner).clock;
        clock.now(self.steady())
    }

    /// Monotonic time, in seconds.
    fn steady(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_secs()).unwrap_or(i64::MAX)
    }

    /// Records the `Date` of a response that came at local time `own`. Returns by how many seconds the
    /// API server is ahead, if that is new and worth a log line.
    fn record(&self, date: &str, own: i64) -> Option<i64> {
        let time = seconds(date)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clock = certs::Clock::read_at(time, self.steady());
        let ahead = time.saturating_sub(own);
        let limit = if last.is_logged { AGREES } else { DIFFERS };
        let differs = !(-limit..=limit).contains(&ahead);
        let was_logged = std::mem::replace(&mut last.is_logged, differs);
        (differs && !was_logged).then_some(ahead)
    }
}

/// Wraps a client to record the time of every response. Only within a runtime.
pub(super) fn recording(client: &Client, clock: &Arc<ApiServerClock>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let (client, clock) = (client.clone(), Arc::clone(clock));
    let service = tower::service_fn(move |request| {
        let (client, clock) = (client.clone(), Arc::clone(&clock));
        async move {
            let response = client.send(request).await?;
            let date = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
            if let Some(seconds) = date.and_then(|date| clock.record(date, certs::now())) {
                tracing::warn!(
                    seconds_ahead = seconds,
                    "this node's clock differs from the API server's; certificates follow the API \
                     server's clock; check the node's time synchronization"
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
    fn date_header_is_parsed() {
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("yesterday"), None);
    }

    #[tokio::test]
    async fn date_of_each_response_is_recorded() {
        let answer = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            let answer =
                http::Response::builder().header(header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
            answer.body(kube::client::Body::from(b"{}".to_vec()))
        });
        let clock = Arc::new(ApiServerClock::new());
        let client = recording(&Client::new(answer, "arc-rocm"), &clock);
        assert_eq!(client.default_namespace(), "arc-rocm");
        let request = http::Request::get("/version").body(Vec::new()).unwrap();
        let _: serde_json::Value = client.request(request).await.unwrap();
        let known = clock.known().unwrap();
        assert!((784_111_777..784_111_837).contains(&known), "{known}");
    }

    #[test]
    fn wrong_local_clock_is_logged_once() {
        let (clock, date, at) =
            (ApiServerClock::new(), "Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777);
        assert_eq!(clock.known(), None);
        assert_eq!(clock.record(date, at - 60), None);
        assert_eq!(clock.record(date, at + 31_536_000), Some(-31_536_000));
        assert_eq!(clock.record(date, at + 31_536_000), None);
        assert_eq!(clock.record(date, at + 31), None);
        assert_eq!(clock.record(date, at + 61), None);
        assert_eq!(clock.record("nonsense", at), None);
        let known = clock.known().unwrap();
        assert!((at..at + 60).contains(&known), "{known}");
        assert_eq!(clock.record(date, at), None);
        assert_eq!(clock.record(date, at - 61), Some(61));
    }
}
