//! The plan: what goes into one pod, why, and where the scale set's template stands against the
//! profile's. Pure: a pod and a compiled template in, edits and conflicts out.
//!
//! A plan is the sum of its [`RULES`]. Each is a function of the [`Facts`] alone and adds changes;
//! none reads what another has added, so their order decides about nothing but the order of the
//! operations.
//!
//! No rule looks at whether it was here before. It compares, item by item, what the template wants
//! with what the pod has, so a second pass over its own result finds nothing to do, and a pass
//! after another webhook's change finds just that.

mod changes;
mod command;
mod conflict;
mod containers;
mod dind_mounts;
mod docker;
mod env;
mod facts;
mod gpus;
mod grace;
mod image;
mod merged;
mod metadata;
mod overrides;
mod pod_fields;
mod pod_level;
mod ports;
mod resources;
mod scripts_image;
mod security_context;
mod startup_probe;
mod volume_mounts;
mod volume_names;
mod volumes;

pub use conflict::{ChangeReason, Conflict, ConflictCode, Winner};

use super::patch::Edits;
use crate::{podspec::Json, profile::Selected};
use changes::Changes;
use facts::Facts;

/// What is to be done with one pod.
#[derive(Clone, Debug)]
pub struct Plan<'p> {
    /// What goes in, each with its reason.
    pub edits: Edits<'p, ChangeReason>,
    /// Where the scale set's template and the profile differ.
    pub conflicts: Vec<Conflict>,
    /// Conflicts that the scale set says are on purpose (`arc-rocm.dev/overrides`).
    pub intended: Vec<Conflict>,
}

/// One rule.
type Rule = for<'p> fn(&Facts<'p>, &mut Changes<'p>);

/// All rules.
const RULES: [Rule; 16] = [
    docker::rule,
    gpus::rule,
    env::rule,
    image::rule,
    merged::containers_rule,
    ports::rule,
    resources::rule,
    security_context::rule,
    volume_mounts::rule,
    command::rule,
    containers::rule,
    volumes::rule,
    pod_fields::rule,
    security_context::docker_group_rule,
    grace::rule,
    metadata::rule,
];

/// Lays the selected profile's template under `pod`. `runner` is the index of the container that
/// ARC watches.
pub fn plan<'p>(pod: &'p Json<'p>, runner: usize, selected: Selected<'p>) -> Plan<'p> {
    let facts = Facts::new(pod, runner, selected);
    let mut changes = Changes::default();
    for rule in RULES {
        rule(&facts, &mut changes);
    }
    let Changes { edits, conflicts } = changes;
    let (intended, conflicts) = overrides::split(pod, conflicts);
    Plan { edits, conflicts, intended }
}

#[cfg(test)]
mod tests;
