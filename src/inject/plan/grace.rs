//! `terminationGracePeriodSeconds` for a pod whose dind needs more than Kubernetes' 30 s.

use super::{changes::Changes, conflict::ChangeReason, docker::Docker, facts::Facts};
use crate::{
    podspec::{
        Json,
        merge::{Owner, is_default},
    },
    scripts,
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
    let is_script = |word: &Json<'_>| word.as_str() == Some(scripts::DIND_NAME);
    let has_script = facts.template.dind().is_some_and(|d| d.list("command").iter().any(is_script));
    let there = facts.spec.get(FIELD);
    if has_script
        && matches!(facts.docker, Docker::Profile)
        && facts.template.field(FIELD).is_none()
        && there.is_none_or(|there| is_default(Owner::Pod, FIELD, there))
    {
        changes.set_spec(FIELD, Json::from(GRACE_SECONDS), ChangeReason::Dind);
    }
}
