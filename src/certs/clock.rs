//! The clock that certificates are checked against.

/// The API server's time, which decides whether a certificate is valid: the time of its last
/// response, plus the time since then on a monotonic clock. Before the first response the caller
/// falls back to the local clock.
///
/// With local clocks alone, a replica whose clock is past the CA's end and the other replicas would
/// replace each other's CAs for ever.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Clock(Option<Reading>);

/// The time of a response, in seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Reading {
    /// Since the epoch.
    time: i64,
    /// On the monotonic clock.
    steady: i64,
}

impl Clock {
    /// A response had `time`, in seconds since the epoch, when the monotonic clock was at `steady`
    /// seconds.
    pub const fn read_at(time: i64, steady: i64) -> Self {
        Self(Some(Reading { time, steady }))
    }

    /// The time when the monotonic clock is at `steady`; `None` before the first response.
    pub const fn now(self, steady: i64) -> Option<i64> {
        match self.0 {
            Some(last) => Some(last.time.saturating_add(steady.saturating_sub(last.steady))),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_continues_from_last_response() {
        assert_eq!(Clock::default().now(50), None);
        assert_eq!(Clock::read_at(1_000, 70).now(70), Some(1_000));
        assert_eq!(Clock::read_at(1_000, 70).now(85), Some(1_015));
    }
}
