//! What the generators ask of who includes them.

use serde_json::Value;

/// The captured review of a pod.
#[expect(clippy::panic, reason = "the generators have no use for an error")]
pub(crate) fn review(name: &str) -> Value {
    crate::arc::kinds::review(name).unwrap_or_else(|error| panic!("{error:#}"))
}
