//! `terminationGracePeriodSeconds` for a pod whose dind needs more than Kubernetes' 30 s.

use super::{changes::Changes, conflict::ChangeReason, facts::Facts};
use crate::podspec::{
    Json,
    merge::{Owner, is_default},
};

/// From SIGTERM to SIGKILL for a pod with the dind that this program adds (`docs/profiles.md`,
/// "How a pod starts and ends"). The kubelet stops a sidecar when the containers have ended, and
/// gives it what is left: of Kubernetes' 30 s that is too little after a job that had to be
/// cancelled.
const GRACE_SECONDS: i64 = 90;
/// The pod's field.
pub(super) const FIELD: &str = "terminationGracePeriodSeconds";

/// Raises the grace where neither the scale set's template nor the profile says another. A dind
/// of another kind may know nothing of SIGTERM, and would only be waited for longer.
pub(super) fn rule<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    let there = facts.spec.get(FIELD);
    if facts.runs_dind_script()
        && facts.template.field(FIELD).is_none()
        && there.is_none_or(|there| is_default(Owner::Pod, FIELD, there))
    {
        changes.set_spec(FIELD, Json::from(GRACE_SECONDS), ChangeReason::Dind);
    }
}
