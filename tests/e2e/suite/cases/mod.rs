//! The cases, by what they are about.

mod cert_manager;
mod certificates;
mod chart;
mod check;
mod doctor;
mod events;
mod fleet;
mod flow;
mod generated;
mod honest;
mod installed;
mod latency;
mod others;
mod outages;
pub(crate) mod peer;
mod profiles;
mod reactions;
mod seed;
mod sets;
mod shutdown;
mod stored;

use crate::case::Case;

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    [
        installed::cases(),
        honest::cases(),
        stored::cases(),
        sets::cases(),
        events::cases(),
        profiles::cases(),
        reactions::cases(),
        fleet::cases(),
        flow::cases(),
        others::cases(),
        outages::cases(),
        certificates::cases(),
        chart::cases(),
        check::cases(),
        cert_manager::cases(),
        latency::cases(),
        peer::cases(),
        generated::cases(),
        shutdown::cases(),
        doctor::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
