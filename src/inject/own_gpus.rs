//! The GPUs that a pod asks for by itself, on any container.

use std::collections::HashSet;

use crate::{
    podspec::{
        ContainerRef, Json, Quantity, RUNNER, all_containers,
        equal::{is_subset, quantity},
        resources::{is_amd_gpu, is_other_gpu},
    },
    profile::template::Template,
};

/// The two maps of a container's `resources`, the one that decides first.
const MAPS: [&str; 2] = ["limits", "requests"];

/// What one container says of one AMD GPU resource.
pub(super) struct Asked<'p> {
    /// The container.
    pub(super) place: ContainerRef<'p>,
    /// The resource's name.
    pub(super) resource: &'p str,
    /// How many, which may be 0.
    pub(super) amount: Quantity,
}

/// A number of GPUs; 0 for what is no whole number, or too large.
pub(super) fn whole(amount: &Quantity) -> u32 {
    amount.whole().and_then(|gpus| u32::try_from(gpus).ok()).unwrap_or_default()
}

/// Each AMD GPU resource that the pod speaks of. An init container that ends gives its GPUs back:
/// Kubernetes takes the greater of its number and the runner's.
pub(super) fn asked<'p>(spec: &'p Json<'p>, template: &Template) -> Vec<Asked<'p>> {
    let mut all = Vec::new();
    for place in all_containers(spec).filter(|place| !place.runs_once()) {
        // A request beside a limit will be equal to it.
        let mut seen = HashSet::new();
        for (resource, amount) in amounts(place) {
            if is_gpu(resource, template)
                && seen.insert(resource)
                && let Some(amount) = quantity(amount)
            {
                all.push(Asked { place, resource, amount });
            }
        }
    }
    all
}

/// Whether the resource is an AMD GPU, or what the profile calls one.
pub(super) fn is_gpu(resource: &str, template: &Template) -> bool {
    resource == template.gpu_resource || is_amd_gpu(resource)
}

/// The number of the profile's `gpu.resource` that the pod's containers ask for; `None` where none
/// does. A runner that asks for 0 does.
pub(super) fn number(spec: &Json<'_>, template: &Template) -> Option<u32> {
    let asked = asked(spec, template);
    let counted = asked.iter().filter(|one| one.resource == template.gpu_resource);
    let counted = counted.filter(|one| one.place.name() == RUNNER || !one.amount.is_zero());
    counted.map(|one| whole(&one.amount)).reduce(u32::saturating_add)
}

/// The claims of the pod (`spec.resourceClaims`) that the profile does not put there for a runner
/// with `gpus` GPUs. What a claim is for is not in the pod.
pub(super) fn claims<'p>(
    spec: &'p Json<'p>,
    template: &'p Template,
    gpus: u32,
) -> impl Iterator<Item = &'p str> {
    let wanted = template.field("resourceClaims").map(Json::items).unwrap_or_default();
    let gpu = template.gpu_claim(gpus);
    let is_profiles = move |claim: &&Json<'_>| {
        let mut wanted = wanted.iter().chain(&gpu);
        wanted.any(|wanted| wanted.text("name") == claim.text("name") && is_subset(wanted, claim))
    };
    let claims = spec.list("resourceClaims").iter();
    claims.filter(move |claim| !is_profiles(claim)).map(|claim| claim.text("name"))
}

/// Whether a container asks for a GPU or accelerator of another vendor that the profile does not
/// give itself. No node has both kinds, so that with AMD's as well the pod would be pending for ever.
pub(super) fn has_others(spec: &Json<'_>, template: &Template) -> bool {
    let is_given = |name: &str| template.resources.iter().any(|one| one.name == name);
    all_containers(spec).flat_map(amounts).any(|(name, amount)| {
        is_other_gpu(name)
            && !is_given(name)
            && quantity(amount).is_none_or(|amount| !amount.is_zero())
    })
}

/// The limits and requests of a container.
fn amounts(place: ContainerRef<'_>) -> impl Iterator<Item = (&str, &Json<'_>)> {
    let maps = MAPS.into_iter().filter_map(move |map| place.container.at(&["resources", map]));
    maps.flat_map(Json::members).map(|(name, amount)| (name.as_ref(), amount))
}
