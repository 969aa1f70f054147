//! The clock by which certificates are judged.

/// What time it is by the API server's clock, which is the one that decides whether a certificate
/// is valid: what its last answer said, and the time that has passed since by a clock that nobody
/// sets. Without an answer, the own clock is all there is.
///
/// By own clocks alone, a replica whose clock is past an authority's end and the others would
/// replace each other's authorities for ever.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Clock(Option<Told>);

/// An answer, in seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Told {
    /// What it said, since the epoch.
    time: i64,
    /// When it came, by the clock that nobody sets.
    steady: i64,
}

impl Clock {
    /// The API server said that it is `time`, in seconds since the epoch, when the clock that
    /// nobody sets was at `steady` seconds.
    pub const fn told(time: i64, steady: i64) -> Self {
        Self(Some(Told { time, steady }))
    }

    /// What time it is when that clock is at `steady`; `None` without an answer.
    pub const fn now(self, steady: i64) -> Option<i64> {
        match self.0 {
            Some(told) => Some(told.time.saturating_add(steady.saturating_sub(told.steady))),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_servers_clock_goes_on_from_its_last_answer() {
        assert_eq!(Clock::default().now(50), None);
        assert_eq!(Clock::told(1_000, 70).now(70), Some(1_000));
        assert_eq!(Clock::told(1_000, 70).now(85), Some(1_015));
    }
}
