//! Waiting for what a cluster does in its own time: always with a deadline, never a bare sleep.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::bail;

/// Until an API server knows what it learns by its watches: far longer than they are ever behind.
pub(crate) const WATCHED: Duration = Duration::from_secs(30);
/// How long between two looks. Short against all that is waited for, long against a request.
const INTERVAL: Duration = Duration::from_millis(100);

/// What a look has found.
#[derive(Debug)]
pub(crate) enum Look<T> {
    /// It is there.
    Seen(T),
    /// It is not there yet; what is there instead, for the error if it never comes.
    NotYet(String),
}

/// Looks until `look` has seen it.
///
/// # Errors
///
/// `look`'s own, at once; or after `within`, with `what` and what the last look found.
pub(crate) async fn until<T, F, Fut>(what: &str, within: Duration, mut look: F) -> anyhow::Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = anyhow::Result<Look<T>>>,
{
    let start = Instant::now();
    loop {
        let state = match look().await? {
            Look::Seen(value) => return Ok(value),
            Look::NotYet(state) => state,
        };
        if start.elapsed() > within {
            bail!("{what}: not within {} s; last seen: {state}", within.as_secs());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
