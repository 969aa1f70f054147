//! Lines of the log about callers that are refused: anybody can have as many handshakes refused as
//! they like, and must not push the lines about admissions out of the log.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a reason is not told again: short enough for somebody who watches the log while they
/// set an API server up.
const PAUSE: Duration = Duration::from_secs(30);

/// Reasons that are remembered, each for a [`PAUSE`]. Beyond them, which takes as many different
/// certificates of the callers' own authority, nothing is told.
const MOST: usize = 64;

/// What was told lately.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<String, Told>>);

/// A reason that was told.
#[derive(Debug)]
struct Told {
    at: Instant,
    left_out: u64,
}

impl Refusals {
    /// Notes a refusal. If it is worth a line: how many for the same reason were left out before it.
    pub(super) fn note(&self, reason: &str, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |one: &Told| now.duration_since(one.at) >= PAUSE;
        if let Some(one) = told.get_mut(reason) {
            if !is_over(one) {
                one.left_out += 1;
                return None;
            }
            let left_out = one.left_out;
            *one = Told { at: now, left_out: 0 };
            return Some(left_out);
        }
        if told.len() >= MOST {
            told.retain(|_, one| !is_over(one));
        }
        if told.len() >= MOST {
            return None;
        }
        told.insert(reason.to_owned(), Told { at: now, left_out: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_at_once_and_then_with_the_number_that_was_left_out() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.note("a", start), Some(0));
        assert_eq!(refusals.note("a", start), None);
        assert_eq!(refusals.note("b", start), Some(0));
        assert_eq!(refusals.note("a", start + PAUSE / 2), None);
        assert_eq!(refusals.note("a", start + PAUSE), Some(2));
        assert_eq!(refusals.note("a", start + PAUSE), None);
    }

    #[test]
    fn reasons_without_end_are_neither_told_nor_remembered() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let told = |number: usize, now| refusals.note(&number.to_string(), now).is_some();
        assert_eq!((0..1000).filter(|number| told(*number, start)).count(), MOST);
        assert_eq!(refusals.0.lock().unwrap().len(), MOST);
        assert!(told(1000, start + PAUSE));
        assert_eq!(refusals.0.lock().unwrap().len(), 1);
    }
}
