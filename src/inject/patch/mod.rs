//! JSON patch (RFC 6902): what the plan's edits become on the wire.
//!
//! The plan says what should be where; [`Edits::operations`] turns that into as few operations
//! as it takes on the pod that came: a parent that is absent, `null` or empty is created in the
//! same operation as what goes into it, keys are escaped, and nothing is ever removed.

mod edits;
mod operation;

use serde::Serialize;
use serde_json::Value;

pub use edits::{Content, Edits, Leaf, List, Node, Step};
pub use operation::{Operation, Verb, pointer_token};

/// A pod after operations, as the API server makes it.
///
/// # Errors
///
/// They do not apply, which is a bug.
pub fn applied(
    pod: &Value,
    operations: &impl Serialize,
) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
    let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(operations)?)?;
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &patch)?;
    Ok(pod)
}
