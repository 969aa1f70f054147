//! A bound on how often the webhook repairs an object that another tool keeps overwriting.

use std::time::{Duration, Instant};

/// Repairs at once: a rotation is three writes, and manual tests need a few more.
const BURST: u32 = 10;
/// The time until one more repair: at most six a minute.
const REFILL: Duration = Duration::from_secs(10);

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateLimiter {
    left: u32,
    since: Instant,
    /// The time until one more. It doubles while each is taken at once, up to `longest`.
    refill: Duration,
    longest: Duration,
}

impl RateLimiter {
    /// Starts with a whole burst. Under lasting contention there is one more each `longest`, which is
    /// at least [`REFILL`].
    pub(super) const fn new(now: Instant, longest: Duration) -> Self {
        Self { left: BURST, since: now, refill: REFILL, longest }
    }

    /// Takes one, or returns how long to wait for the next.
    pub(super) fn try_acquire(&mut self, now: Instant) -> Result<(), Duration> {
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

    /// Whether the burst is whole.
    pub(super) fn is_full(mut self, now: Instant) -> bool {
        self.refill(now);
        self.left == BURST
    }

    fn refill(&mut self, now: Instant) {
        while self.left < BURST && now.saturating_duration_since(self.since) >= self.refill {
            self.left += 1;
            self.since += self.refill;
            // One was left for as long as the next one takes: there is no contention.
            if self.left > 1 {
                self.refill = REFILL;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another tool undoes every repair at once. Returns the repairs of each hour.
    fn contend(limiter: &mut RateLimiter, start: Instant, hours: u64) -> Vec<u32> {
        let hour = |hour| {
            let seconds = hour * 3600..(hour + 1) * 3600;
            let taken =
                seconds.filter(|at| limiter.try_acquire(start + Duration::from_secs(*at)).is_ok());
            u32::try_from(taken.count()).unwrap()
        };
        (0..hours).map(hour).collect()
    }

    #[test]
    fn contention_gets_a_burst_then_one_at_a_time() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(start, REFILL);
        let mut taken = 0;
        for tenth in 0..600 {
            if limiter.try_acquire(start + Duration::from_millis(tenth * 100)).is_ok() {
                taken += 1;
            }
        }
        assert_eq!(taken, BURST + 5, "of a minute");
        assert_eq!(
            limiter.try_acquire(start + Duration::from_secs(59)),
            Err(Duration::from_secs(1))
        );
    }

    #[test]
    fn lasting_contention_gets_fewer() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(start, Duration::from_mins(10));
        assert_eq!(contend(&mut limiter, start, 4), [BURST + 9, 6, 6, 6]);
    }

    #[test]
    fn limiter_recovers_after_contention() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(start, Duration::from_mins(10));
        contend(&mut limiter, start, 2);
        let later = start + Duration::from_mins(120 + 30);
        assert!((0..BURST).all(|_| limiter.try_acquire(later).is_ok()));
        assert_eq!(limiter.try_acquire(later), Err(REFILL * 2));
    }

    #[test]
    fn burst_refills_to_one_burst() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(start, REFILL);
        let later = start + Duration::from_hours(24);
        assert!((0..3).all(|_| limiter.try_acquire(start).is_ok()));
        let burst = (0..100).filter(|_| limiter.try_acquire(later).is_ok()).count();
        assert_eq!(burst, BURST as usize);
        assert!(!limiter.is_full(later) && limiter.is_full(later + REFILL * BURST));
    }
}
