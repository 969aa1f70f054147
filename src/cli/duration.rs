//! Durations of flags, such as `90s` and `2h30m`.

use std::time::Duration;

use k8s_openapi::jiff::{self, SignedDuration};

/// Parses a duration; zero is allowed.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    duration.try_into().map_err(|_| "a duration cannot be negative".to_owned())
}

/// Parses a duration above zero.
pub(super) fn parse_period(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("the duration must be above zero".to_owned()),
        period => Ok(period),
    }
}
