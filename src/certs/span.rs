//! How long a certificate is valid.

use std::time::Duration;

use time::OffsetDateTime;

use super::IssueError;
use crate::tls::Validity;

/// How long before its issue a certificate is valid, in seconds, for clocks that are behind.
pub const BACKDATED: i64 = 5 * 60;

/// The lifetime of a certificate, in seconds since the epoch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span {
    /// When it was issued: [`BACKDATED`] after `notBefore`.
    pub created: i64,
    /// The last second of its validity.
    pub not_after: i64,
}

impl Span {
    /// A lifetime that begins now.
    pub fn new(now: i64, lifetime: Duration) -> Self {
        let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        Self { created: now, not_after: now.saturating_add(seconds) }
    }

    /// Ends no later than `other`.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self { not_after: self.not_after.min(other.not_after), ..self }
    }

    /// Whether it is valid at that time.
    pub const fn holds(self, now: i64) -> bool {
        self.created.saturating_sub(BACKDATED) <= now && now < self.not_after
    }

    /// From its issue to its end, in seconds.
    pub const fn lifetime(self) -> i64 {
        self.not_after.saturating_sub(self.created)
    }

    /// As a certificate has it.
    pub const fn validity(self) -> Validity {
        Validity { not_before: self.created.saturating_sub(BACKDATED), not_after: self.not_after }
    }

    /// `notBefore` and `notAfter`.
    pub(super) fn dates(self) -> Result<(OffsetDateTime, OffsetDateTime), IssueError> {
        let date =
            |seconds| OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| IssueError::Dates);
        let Validity { not_before, not_after } = self.validity();
        Ok((date(not_before)?, date(not_after)?))
    }
}

/// The local time, in seconds since the epoch.
pub fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}
