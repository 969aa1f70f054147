//! The cases, by what they are about.

mod stored;

use crate::case::Case;

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    [stored::cases()].into_iter().flatten().collect()
}
