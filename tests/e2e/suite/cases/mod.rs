//! The cases, by what they are about.

mod honest;
mod seed;
mod stored;

use crate::case::Case;

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    [honest::cases(), stored::cases()].into_iter().flatten().collect()
}
