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
mod peer;
mod profiles;
mod reactions;
mod seed;
mod sets;
mod shutdown;
mod stored;

use crate::case::Case;

/// All of them, in the order in which they run.
pub(crate) fn all() -> Vec<Case> {
    let cases = [
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
    ];
    let mut cases: Vec<Case> = cases.into_iter().flatten().collect();
    cases.sort_by_key(Case::order);
    cases
}
