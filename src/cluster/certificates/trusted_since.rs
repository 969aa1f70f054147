//! How long an authority has been in the live `caBundle`.

use std::time::{Duration, Instant};

use rustls_pki_types::CertificateDer;

/// Since when each was seen there, without a look that did not see it.
#[derive(Debug, Default)]
pub(super) struct Settling(Vec<(CertificateDer<'static>, Instant)>);

impl Settling {
    /// Notes what is there at the moment, and was certainly for `there_for`.
    pub(super) fn look(
        &mut self,
        live: &[CertificateDer<'static>],
        there_for: Duration,
        now: Instant,
    ) {
        let since = now.checked_sub(there_for).unwrap_or(now);
        self.0.retain(|(one, _)| live.contains(one));
        for one in live {
            if !self.0.iter().any(|(known, _)| known == one) {
                self.0.push((one.clone(), since));
            }
        }
    }

    /// Those that have been there for at least that long.
    pub(super) fn settled(&self, settle: Duration, now: Instant) -> Vec<CertificateDer<'static>> {
        let long = |since: &Instant| now.saturating_duration_since(*since) >= settle;
        self.0.iter().filter(|(_, since)| long(since)).map(|(one, _)| one.clone()).collect()
    }

    /// How long until the next one has.
    pub(super) fn next(&self, settle: Duration, now: Instant) -> Option<Duration> {
        let left = |since: &Instant| settle.checked_sub(now.saturating_duration_since(*since));
        self.0.iter().filter_map(|(_, since)| left(since)).filter(|left| !left.is_zero()).min()
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    #[test]
    fn an_authority_settles_by_being_there_all_the_time() {
        let (one, two) = (CertificateDer::from(vec![1]), CertificateDer::from(vec![2]));
        let (start, settle) = (Instant::now(), Duration::from_secs(30));
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut settling = Settling::default();
        settling.look(from_ref(&one), Duration::ZERO, at(0));
        settling.look(&[one.clone(), two.clone()], Duration::ZERO, at(20));
        assert_eq!(settling.settled(settle, at(29)), []);
        assert_eq!(settling.next(settle, at(29)), Some(Duration::from_secs(1)));
        assert_eq!(settling.settled(settle, at(30)), *from_ref(&one));
        assert_eq!(settling.next(settle, at(30)), Some(Duration::from_secs(20)));
        settling.look(from_ref(&two), Duration::ZERO, at(31));
        settling.look(&[one, two.clone()], Duration::ZERO, at(32));
        assert_eq!(settling.settled(settle, at(50)), [two]);
    }

    #[test]
    fn what_was_there_before_the_first_look_counts() {
        let one = CertificateDer::from(vec![1]);
        let (start, settle) = (Instant::now(), Duration::from_secs(30));
        let mut settling = Settling::default();
        settling.look(from_ref(&one), Duration::from_secs(20), start);
        assert_eq!(settling.next(settle, start), Some(Duration::from_secs(10)));
        let mut settling = Settling::default();
        settling.look(from_ref(&one), Duration::from_hours(1), start);
        assert_eq!(settling.settled(settle, start), [one]);
    }
}
