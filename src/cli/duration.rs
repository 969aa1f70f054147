//! Durations of flags, such as `90s` and `2h30m`.

use std::time::Duration;

use jiff::SignedDuration;

/// A duration, which may be nothing.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    duration.try_into().map_err(|_| "a duration cannot be negative".to_owned())
}

/// A duration that passes.
pub(super) fn parse_period(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("it must be more than nothing".to_owned()),
        period => Ok(period),
    }
}
