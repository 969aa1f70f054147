//! Time as the wire has it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970. The service's core is handed the time and never asks for it.
pub(crate) type Seconds = u64;

/// What Go prints for a time that has not come (`time.Time{}`), and so what the service sends.
pub(crate) const NEVER: &str = "0001-01-01T00:00:00Z";

/// Now.
pub(crate) fn now() -> Seconds {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A point of time as RFC 3339 in UTC, which is what Go's `time.Time` reads.
pub(crate) fn rfc3339(seconds: Seconds) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| NEVER.to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_795_564_800), "2026-11-25T00:00:00Z");
        assert_eq!(rfc3339(u64::MAX), NEVER);
    }
}
