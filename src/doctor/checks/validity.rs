//! When to warn about the end of a certificate.

use crate::{certs::rotation, tls::Validity};

/// The earliest warning for a certificate that the webhook does not renew: two weeks, in seconds.
const LONGEST: i64 = 14 * 86_400;
/// The part of a short lifetime that is left at the warning. cert-manager renews by default when a
/// third is left.
const LEFT: i64 = 5;

/// How long before its end to warn, in seconds. `is_own`: the webhook renews the certificate itself,
/// and is late.
pub(super) fn soon(validity: Validity, is_own: bool) -> i64 {
    let lifetime = validity.not_after.saturating_sub(validity.not_before);
    if is_own { rotation::overdue(validity) } else { (lifetime / LEFT).min(LONGEST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn soon_of(hours: i64, is_own: bool) -> i64 {
        soon(Validity { not_before: 1_000_000, not_after: 1_000_000 + hours * HOUR }, is_own)
    }

    #[test]
    fn foreign_certificate_warns_by_lifetime_and_at_most_two_weeks() {
        assert_eq!(soon_of(10 * 8760, false), 14 * 24 * HOUR);
        assert_eq!(soon_of(2160, false), 14 * 24 * HOUR);
        assert_eq!(soon_of(24, false), 24 * HOUR / 5);
    }

    #[test]
    fn own_certificate_warns_when_renewal_is_overdue() {
        assert_eq!(soon_of(8760, true), 2190 * HOUR);
        assert_eq!(soon_of(24, true), 6 * HOUR);
    }
}
