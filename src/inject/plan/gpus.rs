//! The runner's GPUs: by an extended resource or by a claim, the profile's or the pod's own.

use std::collections::HashSet;

use super::{
    changes::Changes,
    conflict::{ConflictCode, Winner},
    facts::Facts,
    merged::{At, merge},
    resources,
};
use crate::{
    inject::own_gpus::{self, Asked, whole},
    podspec::{Json, merge::Merge},
    profile::template::{GPU_CLAIM, RUNNER, RunnerResource},
};

/// Where the runner's GPUs come from.
#[derive(Default)]
pub(super) struct Gpus {
    /// The path of what the pod asks for GPUs by in its own way: on another container than the
    /// runner, under another name, or by a claim.
    own: Option<String>,
    /// The profile's extended resources that are left out because of it.
    pub(super) left_out: Vec<String>,
    /// The number of GPUs that the runner ends up with, which the start wrapper checks.
    pub(super) of_runner: u32,
}

impl Gpus {
    pub(super) fn new(facts: &Facts<'_>) -> Self {
        let (template, gpus) = (facts.template, facts.selected.gpus);
        let asked = own_gpus::asked(facts.spec, template);
        let is_own = |one: &&Asked<'_>| !one.amount.is_zero() && !is_profiles(facts, one);
        let own = asked.iter().find(is_own);
        let own = own.map(|one| one.place.path(&format!(".resources[{}]", one.resource)));
        let claims: HashSet<&str> =
            own_gpus::claims(facts.spec, template, template.gpus(gpus)).collect();
        let own = own.or_else(|| {
            let mut names = facts.spec.list("resourceClaims").iter().map(|one| one.text("name"));
            let first = names.find(|name| claims.contains(name))?;
            Some(format!("spec.resourceClaims[{first}]"))
        });

        let of_runner: Vec<_> = asked.iter().filter(|one| facts.is_runner(one.place)).collect();
        let is_there = |name: &str| of_runner.iter().any(|one| one.resource == name);
        let missing = template
            .resources
            .iter()
            .filter(|wanted| own_gpus::is_gpu(&wanted.name, template) && !is_there(&wanted.name));
        let amount = |wanted: &RunnerResource| wanted.limit.as_ref()?.of(gpus);
        let missing: Vec<(&str, u32)> = missing
            .filter_map(|wanted| Some((wanted.name.as_str(), whole(&amount(wanted)?))))
            .collect();
        let mut number =
            of_runner.iter().map(|one| whole(&one.amount)).fold(0, u32::saturating_add);
        let mut left_out = Vec::new();
        // A claim's own number is not in the pod.
        let has_claim = if own.is_some() {
            left_out.extend(missing.iter().map(|(name, _)| (*name).to_owned()));
            used_claims(facts).any(|claim| claims.contains(claim))
        } else {
            number = missing.iter().map(|(_, gpus)| *gpus).fold(number, u32::saturating_add);
            template.gpu_claim(gpus).is_some()
        };
        if number == 0 && has_claim {
            number = gpus;
        }
        Self { own, left_out, of_runner: number }
    }
}

/// The claims that the runner uses in the end, by name.
fn used_claims<'f>(facts: &'f Facts<'_>) -> impl Iterator<Item = &'f str> {
    let containers = [Some(facts.runner.container), facts.wanted_runner()].into_iter().flatten();
    let lists = containers.filter_map(|container| container.at(&["resources", "claims"]));
    lists.flat_map(Json::items).map(|claim| claim.text("name"))
}

/// Whether the profile gives the runner just so many of this resource, or the runner says how many
/// of the profile's own resource it wants.
fn is_profiles(facts: &Facts<'_>, asked: &Asked<'_>) -> bool {
    let template = facts.template;
    let given = template.resources.iter().find(|one| one.name == asked.resource);
    let amount = given.and_then(|one| one.limit.as_ref()?.of(facts.selected.gpus));
    let is_number = given.is_some() && asked.resource == template.gpu_resource;
    facts.is_runner(asked.place) && (is_number || amount.as_ref() == Some(&asked.amount))
}

pub(super) fn rule<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    let Gpus { own, left_out, of_runner: _ } = &facts.gpus;
    let mut left_out = left_out.clone();
    if let Some(claim) = facts.template.gpu_claim(facts.selected.gpus) {
        if own.is_some() {
            let name = claim.text("resourceClaimTemplateName");
            left_out.push(format!("a claim of ResourceClaimTemplate {name}"));
        } else {
            set_claim(facts, claim, changes);
        }
    }
    let mut kept = |path: &str, message: String| {
        changes.conflict(ConflictCode::GpuKept, Winner::ScaleSet, path, message);
    };
    for what in &left_out {
        let path = own.as_deref().unwrap_or_default();
        kept(path, format!("the pod asks for GPUs itself, so {what} is not added to the runner"));
    }
    if let Some(gpus) = facts.selected.gpus_overruled.filter(|_| left_out.is_empty()) {
        let profile = facts.profile();
        let message =
            format!("the pod's own number of GPUs is kept, profile {profile} gives {gpus}");
        kept(&format!("spec.containers[{RUNNER}].resources"), message);
    }
}

/// Adds the claim to the pod, and its use to the runner.
fn set_claim<'p>(facts: &Facts<'p>, claim: Json<'p>, changes: &mut Changes<'p>) {
    let name = ("name".into(), GPU_CLAIM.into());
    let used = Json::Array(vec![Json::Object(vec![name])]);
    resources::set_claims(facts, facts.runner, &used, changes);
    let (field, there) = ("resourceClaims", facts.spec.get("resourceClaims"));
    let claims = Json::Array(vec![claim]);
    merge(facts, At::in_spec(field), there, &claims, Merge::Keyed(&["name"]), changes);
}
