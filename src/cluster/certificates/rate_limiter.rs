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
    /// After how long there is one more. It doubles while each is taken at once, up to `longest`.
    refill: Duration,
    longest: Duration,
}

impl Pace {
    /// A whole burst. In a fight that does not end there is one more each `longest`, at least
    /// [`REFILL`].
    pub(super) const fn new(now: Instant, longest: Duration) -> Self {
        Self { left: BURST, since: now, refill: REFILL, longest }
    }

    /// Takes one, or says how long to wait for the next.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.refill(now);
        let Some(left) = self.left.checked_sub(1) else {
            return Err((self.since + self.refill).saturating_duration_since(now));
        };
        if self.left == BURST {
            self.since = now;
        } else if left == 0 {
            self.refill = (self.refill * 2).min(self.longest).max(REFILL);
        }
        self.left = left;
        Ok(())
    }

    /// Whether nothing was taken for a while.
    pub(super) fn is_full(mut self, now: Instant) -> bool {
        self.refill(now);
        self.left == BURST
    }

    fn refill(&mut self, now: Instant) {
        while self.left < BURST && now.saturating_duration_since(self.since) >= self.refill {
            self.left += 1;
            self.since += self.refill;
            // One that nobody took for as long as the next one needs: there is no fight.
            if self.left > 1 {
                self.refill = REFILL;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody undoes everything at once.
    fn fight(pace: &mut Pace, start: Instant, hours: u64) -> Vec<u32> {
        let hour = |hour| {
            let seconds = hour * 3600..(hour + 1) * 3600;
            let taken = seconds.filter(|at| pace.take(start + Duration::from_secs(*at)).is_ok());
            u32::try_from(taken.count()).unwrap()
        };
        (0..hours).map(hour).collect()
    }

    #[test]
    fn a_fight_gets_a_burst_and_then_one_at_a_time() {
        let start = Instant::now();
        let mut pace = Pace::new(start, REFILL);
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
    fn a_fight_may_get_less_and_less() {
        let start = Instant::now();
        let mut pace = Pace::new(start, Duration::from_mins(10));
        assert_eq!(fight(&mut pace, start, 4), [BURST + 9, 6, 6, 6]);
    }

    #[test]
    fn after_a_fight_the_next_comes_soon_again() {
        let start = Instant::now();
        let mut pace = Pace::new(start, Duration::from_mins(10));
        fight(&mut pace, start, 2);
        let later = start + Duration::from_mins(120 + 30);
        assert!((0..BURST).all(|_| pace.take(later).is_ok()));
        assert_eq!(pace.take(later), Err(REFILL * 2));
    }

    #[test]
    fn a_burst_comes_back_with_time_and_never_more_than_one() {
        let start = Instant::now();
        let mut pace = Pace::new(start, REFILL);
        let later = start + Duration::from_hours(24);
        assert!((0..3).all(|_| pace.take(start).is_ok()));
        let burst = (0..100).filter(|_| pace.take(later).is_ok()).count();
        assert_eq!(burst, BURST as usize);
        assert!(!pace.is_full(later) && pace.is_full(later + REFILL * BURST));
    }
}
