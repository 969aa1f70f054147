//! Exponential backoff, and one log line for repeated failures.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

/// The delay after the first failure.
const FIRST: Duration = Duration::from_millis(500);
/// The longest delay: a repair is noticed within half a minute.
const LONGEST: Duration = Duration::from_secs(30);

/// Consecutive failures.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    count: u32,
    last: Option<String>,
}

impl Backoff {
    /// Records a failure. True if its message differs from the last one, so that it is logged.
    pub(super) fn record(&mut self, message: &str) -> bool {
        self.count = self.count.saturating_add(1);
        let new = self.last.as_deref() != Some(message);
        if new {
            self.last = Some(message.to_owned());
        }
        new
    }

    /// Starts over after a success. True if there was a failure before.
    pub(super) fn reset(&mut self) -> bool {
        std::mem::take(self).count > 0
    }

    /// The delay before the next try. It doubles; `jitter` picks a value from half to all of it.
    pub(super) fn delay(&self, jitter: f64) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.count.saturating_sub(1).min(16));
        doubled.min(LONGEST).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }
}

/// A random number from 0 to 1. The standard library seeds its hash maps from the system's
/// randomness.
pub(super) fn random() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 32;
    f64::from(u32::try_from(bits).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_logs_a_failure_once_and_doubles_the_delay() {
        let mut backoff = Backoff::default();
        assert!(!backoff.reset());
        assert!(backoff.record("forbidden"));
        assert_eq!(backoff.delay(1.0), FIRST);
        assert!(!backoff.record("forbidden"));
        assert_eq!(backoff.delay(0.0), FIRST);
        assert!(backoff.record("unreachable"));
        for _ in 0..100 {
            backoff.record("unreachable");
        }
        assert_eq!(backoff.delay(1.0), LONGEST);
        assert!(backoff.reset());
        assert!(!backoff.reset());
    }

    #[test]
    fn random_numbers_are_spread_from_0_to_1() {
        let all: Vec<f64> = (0..1000).map(|_| random()).collect();
        assert!(all.iter().all(|one| (0.0..=1.0).contains(one)));
        assert!(all.iter().any(|one| *one < 0.2) && all.iter().any(|one| *one > 0.8));
    }
}
