//! Since when each CA is in the live `caBundle`.

use std::time::{Duration, Instant};

use rustls_pki_types::CertificateDer;

/// When each CA was first seen, without a gap since.
#[derive(Debug, Default)]
pub(super) struct TrustedSince(Vec<(CertificateDer<'static>, Instant)>);

impl TrustedSince {
    /// Records what is there now and was there for at least `there_for`.
    pub(super) fn observe(
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

    /// The CAs that have been there for at least `settle`.
    pub(super) fn settled(&self, settle: Duration, now: Instant) -> Vec<CertificateDer<'static>> {
        let long = |since: &Instant| now.saturating_duration_since(*since) >= settle;
        self.0.iter().filter(|(_, since)| long(since)).map(|(one, _)| one.clone()).collect()
    }

    /// The time until the next CA has settled.
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
    fn ca_settles_without_a_gap() {
        let (one, two) = (CertificateDer::from(vec![1]), CertificateDer::from(vec![2]));
        let (start, settle) = (Instant::now(), Duration::from_secs(30));
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut trusted_since = TrustedSince::default();
        trusted_since.observe(from_ref(&one), Duration::ZERO, at(0));
        trusted_since.observe(&[one.clone(), two.clone()], Duration::ZERO, at(20));
        assert_eq!(trusted_since.settled(settle, at(29)), []);
        assert_eq!(trusted_since.next(settle, at(29)), Some(Duration::from_secs(1)));
        assert_eq!(trusted_since.settled(settle, at(30)), *from_ref(&one));
        assert_eq!(trusted_since.next(settle, at(30)), Some(Duration::from_secs(20)));
        trusted_since.observe(from_ref(&two), Duration::ZERO, at(31));
        trusted_since.observe(&[one, two.clone()], Duration::ZERO, at(32));
        assert_eq!(trusted_since.settled(settle, at(50)), [two]);
    }

    #[test]
    fn time_before_the_first_look_counts() {
        let one = CertificateDer::from(vec![1]);
        let (start, settle) = (Instant::now(), Duration::from_secs(30));
        let mut trusted_since = TrustedSince::default();
        trusted_since.observe(from_ref(&one), Duration::from_secs(20), start);
        assert_eq!(trusted_since.next(settle, start), Some(Duration::from_secs(10)));
        let mut trusted_since = TrustedSince::default();
        trusted_since.observe(from_ref(&one), Duration::from_hours(1), start);
        assert_eq!(trusted_since.settled(settle, start), [one]);
    }
}
