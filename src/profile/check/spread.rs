//! Topology spread constraints.

use super::{Checker, Field, names};

impl Checker<'_> {
    pub(super) fn topology_spread(&mut self, pod: &Field<'_>) {
        for constraint in pod.keyed("topologySpreadConstraints", "topologyKey") {
            self.range(&constraint, "maxSkew", 1, i64::from(i32::MAX));
            self.form(&constraint, "topologyKey", names::is_qualified, names::QUALIFIED);
            self.one_of(&constraint, "whenUnsatisfiable", &["DoNotSchedule", "ScheduleAnyway"]);
            if let Some(selector) = constraint.get("labelSelector") {
                self.selector(&selector);
            }
        }
    }
}
