//! JSON patch (RFC 6902): what the plan's edits become on the wire.
//!
//! The plan says what should be where; [`Edits::operations`] turns that into as few operations
//! as it takes on the pod that came: a parent that is absent, `null` or empty is created in the
//! same operation as what goes into it, keys are escaped, and nothing is ever removed.

mod edits;
mod operation;

pub use edits::{Content, Edits, Leaf, List, Node, Step};
pub use operation::{Operation, Verb, pointer_token};
