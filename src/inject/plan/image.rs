//! Images. The scale set's own image is kept together with its pull policy.

use super::{
    changes::Changes,
    conflict::{ChangeReason, ConflictCode},
    facts::Facts,
};
use crate::podspec::{
    Json,
    image::{default_pull_policy, is_at_mirror, is_chart_image, is_chart_image_or_pinned},
};

pub(super) fn rule<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    for (place, placement) in facts.merged() {
        let (image, policy) = texts(&placement.wanted);
        if image.is_empty() || facts.docker.is_own_dind(place) {
            continue;
        }
        let (there, policy_there) = texts(place.container);
        let is_profiles = is_at_mirror(there, image);
        let is_default = there.is_empty() || (is_chart_image(there) && !is_profiles);
        let has_other_policy = !policy.is_empty() && policy != policy_there;
        if is_default {
            let image = Json::from(image.to_owned());
            changes.set_in(place, &["image"], image, ChangeReason::Default);
        } else if !is_profiles {
            changes.kept(ConflictCode::ImageKept, place.path(".image"), facts.profile());
            continue;
        }
        if has_other_policy && (is_default || is_unwritten(there, policy_there)) {
            let policy = Json::from(policy.to_owned());
            changes.set_in(place, &["imagePullPolicy"], policy, ChangeReason::Default);
        } else if has_other_policy {
            changes.kept(ConflictCode::ImageKept, place.path(".imagePullPolicy"), facts.profile());
        }
    }
}

/// The image and pull policy that the runner ends up with.
pub(super) fn of_runner<'p>(facts: &Facts<'p>) -> (&'p str, &'p str) {
    let (there, policy_there) = texts(facts.runner.container);
    let Some(wanted) = facts.wanted_runner() else { return (there, policy_there) };
    let (image, policy) = texts(wanted);
    if image.is_empty() {
        (there, policy_there)
    } else if is_at_mirror(there, image) {
        let is_unwritten = !policy.is_empty() && is_unwritten(there, policy_there);
        (there, if is_unwritten { policy } else { policy_there })
    } else if there.is_empty() || is_chart_image(there) {
        (image, policy)
    } else {
        (there, policy_there)
    }
}

/// Whether the runner ends up with an image that is known to have ARC's command: the chart's or
/// the profile's. Another runs its own entrypoint where there is no command.
pub(super) fn has_chart_command(facts: &Facts<'_>) -> bool {
    let (image, _) = of_runner(facts);
    let profiles = facts.wanted_runner().map(|wanted| wanted.text("image"));
    is_chart_image_or_pinned(image) || profiles.is_some_and(|own| is_at_mirror(image, own))
}

fn texts<'j>(container: &'j Json<'_>) -> (&'j str, &'j str) {
    (container.text("image"), container.text("imagePullPolicy"))
}

/// Whether an image's pull policy is the one that the API server fills in.
fn is_unwritten(image: &str, policy: &str) -> bool {
    policy.is_empty() || policy == default_pull_policy(image)
}
