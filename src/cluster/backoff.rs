//! What goes wrong again and again: one line each, and a longer and longer wait.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

/// After the first failure.
const FIRST: Duration = Duration::from_millis(500);
/// After many. Short enough that what a person has put right is noticed at once.
const LONGEST: Duration = Duration::from_secs(30);

/// A row of failures.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    count: u32,
    last: Option<String>,
}

impl Trouble {
    /// Notes a failure. True if it is not the same as the last one, and worth a line.
    pub(super) fn notes(&mut self, message: &str) -> bool {
        self.count = self.count.saturating_add(1);
        let new = self.last.as_deref() != Some(message);
        if new {
            self.last = Some(message.to_owned());
        }
        new
    }

    /// Ends the row. True if there was one.
    pub(super) fn ends(&mut self) -> bool {
        std::mem::take(self).count > 0
    }

    /// How long to wait now: between half and all of a time that doubles, by a fraction.
    pub(super) fn wait(&self, fraction: f64) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.count.saturating_sub(1).min(16));
        doubled.min(LONGEST).mul_f64(0.5 + fraction.clamp(0.0, 1.0) / 2.0)
    }
}

/// A number from 0 to 1 that differs from replica to replica and from call to call. The standard
/// library seeds its hash maps from the system's randomness.
pub(super) fn random() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 32;
    f64::from(u32::try_from(bits).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_failure_is_said_once_and_waited_for_longer_and_longer() {
        let mut trouble = Trouble::default();
        assert!(!trouble.ends());
        assert!(trouble.notes("forbidden"));
        assert_eq!(trouble.wait(1.0), FIRST);
        assert!(!trouble.notes("forbidden"));
        assert_eq!(trouble.wait(0.0), FIRST);
        assert!(trouble.notes("unreachable"));
        for _ in 0..100 {
            trouble.notes("unreachable");
        }
        assert_eq!(trouble.wait(1.0), LONGEST);
        assert!(trouble.ends());
        assert!(!trouble.ends());
    }

    #[test]
    fn random_numbers_are_spread_from_0_to_1() {
        let all: Vec<f64> = (0..1000).map(|_| random()).collect();
        assert!(all.iter().all(|one| (0.0..=1.0).contains(one)));
        assert!(all.iter().any(|one| *one < 0.2) && all.iter().any(|one| *one > 0.8));
    }
}
