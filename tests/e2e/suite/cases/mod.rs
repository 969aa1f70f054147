//! The cases, by what they are about.

mod fleet;
mod flow;
mod honest;
mod installed;
mod outages;
mod reactions;
mod seed;
mod sets;
mod stored;

use crate::case::Case;

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    [
        installed::cases(),
        honest::cases(),
        stored::cases(),
        sets::cases(),
        reactions::cases(),
        fleet::cases(),
        flow::cases(),
        outages::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
