//! When the end of a certificate is worth a warning.

use crate::{certs::rotation, tls::Validity};

/// The longest time before its end at which a certificate of somebody else's is worth a warning:
/// two weeks of seconds. Whoever renews by hand has made it for years.
const LONGEST: i64 = 14 * 86_400;
/// Short ones are, when this part of their lifetime is left: cert-manager renews when a third is,
/// unless it is told otherwise.
const LEFT: i64 = 5;

/// How long before its end, in seconds. `is_own` is one that the webhook itself renews: it is late
/// with it.
pub(super) fn soon(validity: Validity, is_own: bool) -> i64 {
    let lifetime = validity.not_after.saturating_sub(validity.not_before);
    if is_own { lifetime / rotation::OVERDUE } else { (lifetime / LEFT).min(LONGEST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn soon_of(hours: i64, is_own: bool) -> i64 {
        soon(Validity { not_before: 1_000_000, not_after: 1_000_000 + hours * HOUR }, is_own)
    }

    #[test]
    fn somebody_elses_certificate_ends_soon_by_its_own_lifetime_and_two_weeks_before_at_most() {
        assert_eq!(soon_of(10 * 8760, false), 14 * 24 * HOUR);
        assert_eq!(soon_of(2160, false), 14 * 24 * HOUR);
        assert_eq!(soon_of(24, false), 24 * HOUR / 5);
    }

    #[test]
    fn our_own_ends_soon_when_its_rotation_is_overdue() {
        assert_eq!(soon_of(8760, true), 2190 * HOUR);
        assert_eq!(soon_of(24, true), 6 * HOUR);
    }
}
