//! Topology spread constraints.

use super::{Checker, Field, names};

impl Checker<'_> {
    pub(super) fn topology_spread(&mut self, pod: &Field<'_>) {
        for constraint in pod.keyed("topologySpreadConstraints", "topologyKey") {
            self.range(&constraint, "maxSkew", 1, i64::from(i32::MAX));
            self.range(&constraint, "minDomains", 1, i64::from(i32::MAX));
            self.form(&constraint, "topologyKey", names::is_qualified, names::QUALIFIED);
            self.one_of(&constraint, "whenUnsatisfiable", &["DoNotSchedule", "ScheduleAnyway"]);
            for key in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
                self.one_of(&constraint, key, &["Honor", "Ignore"]);
            }
            if constraint.get("minDomains").is_some()
                && constraint.text("whenUnsatisfiable") != Some("DoNotSchedule")
            {
                let message = "only goes with whenUnsatisfiable: DoNotSchedule";
                self.add(constraint.path_to("minDomains"), message);
            }
            if let Some(selector) = constraint.get("labelSelector") {
                self.selector(&selector);
            }
            self.label_keys(&constraint, &["matchLabelKeys"]);
        }
    }
}
