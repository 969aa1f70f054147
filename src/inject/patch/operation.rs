//! One operation of a JSON patch, and its path.

use std::borrow::Cow;

use serde::Serialize;

use super::edits::Node;

/// What an operation does. There is no `remove`: what the scale set's template says stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Adds a member or a list item.
    Add,
    /// Replaces a value that is there.
    Replace,
}

/// One operation, in the order of RFC 6902's own examples: op, path, value.
#[derive(Clone, Debug, Serialize)]
#[serde(bound = "")]
pub struct Operation<'p, R> {
    /// What to do.
    pub op: Verb,
    /// Where: a JSON pointer (RFC 6901).
    pub path: String,
    /// With what.
    pub value: Node<'p, R>,
}

/// Escapes one key for a JSON pointer: `~` becomes `~0`, `/` becomes `~1` (RFC 6901, section 3).
pub fn pointer_token(key: &str) -> Cow<'_, str> {
    if key.contains(['~', '/']) {
        Cow::Owned(key.replace('~', "~0").replace('/', "~1"))
    } else {
        Cow::Borrowed(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointer_token_escapes_slash_and_tilde() {
        assert_eq!(pointer_token("amd.com/gpu"), "amd.com~1gpu");
        assert_eq!(pointer_token("a~/b"), "a~0~1b");
        assert_eq!(pointer_token("~1"), "~01");
        assert_eq!(pointer_token("plain"), "plain");
    }
}
