//! A bound on how often something is put right that somebody else keeps undoing.

use std::time::{Duration, Instant};

/// This many at once: a rotation is three writes, and a person who tries things out a few more.
const BURST: u32 = 10;
/// One more after each. Whoever undoes everything at once gets six a minute out of us.
const REFILL: Duration = Duration::from_secs(10);

/// What is left of a burst.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    left: u32,
    since: Instant,
}

impl Pace {
    /// A whole burst.
    pub(super) const fn new(now: Instant) -> Self {
        Self { left: BURST, since: now }
    }

    /// Takes one, or says how long to wait for the next.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.refill(now);
        match self.left.checked_sub(1) {
            Some(left) => {
                if self.left == BURST {
                    self.since = now;
                }
                self.left = left;
                Ok(())
            }
            None => Err((self.since + REFILL).saturating_duration_since(now)),
        }
    }

    /// Whether nothing was taken for a while.
    pub(super) fn is_full(mut self, now: Instant) -> bool {
        self.refill(now);
        self.left == BURST
    }

    fn refill(&mut self, now: Instant) {
        while self.left < BURST && now.saturating_duration_since(self.since) >= REFILL {
            self.left += 1;
            self.since += REFILL;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fight_gets_a_burst_and_then_one_at_a_time() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut taken = 0;
        for tenth in 0..600 {
            if pace.take(start + Duration::from_millis(tenth * 100)).is_ok() {
                taken += 1;
            }
        }
        assert_eq!(taken, BURST + 5, "of a minute");
        assert_eq!(pace.take(start + Duration::from_secs(59)), Err(Duration::from_secs(1)));
    }

    #[test]
    fn a_burst_comes_back_with_time_and_never_more_than_one() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let later = start + Duration::from_hours(24);
        assert!((0..3).all(|_| pace.take(start).is_ok()));
        let burst = (0..100).filter(|_| pace.take(later).is_ok()).count();
        assert_eq!(burst, BURST as usize);
        assert!(!pace.is_full(later) && pace.is_full(later + REFILL * BURST));
    }
}
