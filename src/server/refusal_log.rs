//! Limits the log lines about refused clients. Any client can fail handshakes, and must not push
//! admissions out of the log.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The time between two lines for one reason. Short enough to watch the log while you configure an
/// API server.
const PAUSE: Duration = Duration::from_secs(30);

/// The most reasons remembered, each for a [`PAUSE`]. Further reasons are not logged; each takes
/// another certificate of the clients' CA.
const MOST: usize = 64;

/// The reasons logged lately.
#[derive(Debug, Default)]
pub(super) struct RefusalLog(Mutex<BTreeMap<String, LastLine>>);

/// The last line of a reason.
#[derive(Debug)]
struct LastLine {
    at: Instant,
    suppressed: u64,
}

impl RefusalLog {
    /// Records a refusal. If it is to be logged, returns how many lines were suppressed before it.
    pub(super) fn record(&self, reason: &str, now: Instant) -> Option<u64> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |one: &LastLine| now.duration_since(one.at) >= PAUSE;
        if let Some(one) = lines.get_mut(reason) {
            if !is_over(one) {
                one.suppressed += 1;
                return None;
            }
            let suppressed = one.suppressed;
            *one = LastLine { at: now, suppressed: 0 };
            return Some(suppressed);
        }
        if lines.len() >= MOST {
            lines.retain(|_, one| !is_over(one));
        }
        if lines.len() >= MOST {
            return None;
        }
        lines.insert(reason.to_owned(), LastLine { at: now, suppressed: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_is_logged_at_once_then_with_suppressed_count() {
        let (refusals, start) = (RefusalLog::default(), Instant::now());
        assert_eq!(refusals.record("a", start), Some(0));
        assert_eq!(refusals.record("a", start), None);
        assert_eq!(refusals.record("b", start), Some(0));
        assert_eq!(refusals.record("a", start + PAUSE / 2), None);
        assert_eq!(refusals.record("a", start + PAUSE), Some(2));
        assert_eq!(refusals.record("a", start + PAUSE), None);
    }

    #[test]
    fn refusal_reasons_beyond_the_limit_are_dropped() {
        let (refusals, start) = (RefusalLog::default(), Instant::now());
        let logged = |number: usize, now| refusals.record(&number.to_string(), now).is_some();
        assert_eq!((0..1000).filter(|number| logged(*number, start)).count(), MOST);
        assert_eq!(refusals.0.lock().unwrap().len(), MOST);
        assert!(logged(1000, start + PAUSE));
        assert_eq!(refusals.0.lock().unwrap().len(), 1);
    }
}
