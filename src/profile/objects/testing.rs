//! Objects for tests, here and where they are watched.

use serde_json::Value;

use super::Object;

/// An object of which every spec so far was refused or none was seen.
pub(crate) fn new(name: &str, spec: Value) -> Object {
    Object {
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        generation: 1,
        created: 100,
        spec,
        good: None,
    }
}
