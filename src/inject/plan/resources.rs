//! Requests and limits: the scale set's hold, the profile's fill the gaps, and what comes out is
//! always something that the API server accepts.

use std::{
    cell::LazyCell,
    collections::{HashMap, HashSet},
};

use super::{
    changes::Changes,
    conflict::{ChangeReason, Conflict, ConflictCode, Winner},
    facts::{Facts, Placement, Target},
    merged::{At, merge},
    pod_level::PodLevel,
};
use crate::{
    podspec::{
        ContainerRef, Json, Quantity, all_containers,
        equal::quantity,
        merge::Merge,
        resources::{is_exact, is_huge},
    },
    profile::template::{DIND, HAS_RUNNERS_IMAGE, LEAST},
};

/// The annotation in which the LimitRanger plugin lists what it filled in, before any webhook
/// (`plugin/pkg/admission/limitranger`): `LimitRanger plugin set: cpu, memory request for
/// container runner; cpu limit for container runner`.
const LIMIT_RANGER: &str = "kubernetes.io/limit-ranger";

/// The two maps of `resources`.
pub(super) const MAPS: [&str; 2] = ["requests", "limits"];

/// What becomes of the requests and limits of all containers. They share the pod's own
/// (`spec.resources`, KEP-2837), so that one place decides about all.
#[derive(Default)]
pub(super) struct Budget<'p> {
    /// What is set in containers that are in the pod.
    set: Vec<Set<'p>>,
    /// Resources that are left out of new containers, by the placement's index.
    left_out: HashMap<usize, Vec<String>>,
    conflicts: Vec<Conflict>,
}

/// One amount that is set in a container that is in the pod.
struct Set<'p> {
    place: ContainerRef<'p>,
    map: &'static str,
    resource: String,
    amount: Quantity,
    reason: ChangeReason,
}

pub(super) fn rule<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    for Set { place, map, resource, amount, reason } in &facts.budget.set {
        let mut steps = super::changes::steps(*place, &["resources", map]);
        steps.push(crate::inject::patch::Step::Key(resource.clone().into()));
        changes.edits.set(&steps, Json::from(amount.to_string()), *reason);
    }
    changes.conflicts.extend(facts.budget.conflicts.iter().cloned());
    for (place, placement) in facts.merged() {
        if let Some(claims) = placement.wanted.at(&["resources", "claims"]) {
            set_claims(facts, place, claims, changes);
        }
    }
}

/// Lays `claims` under what the container at `place` has of `resources.claims`.
pub(super) fn set_claims<'p>(
    facts: &Facts<'p>,
    place: ContainerRef<'p>,
    claims: &Json<'p>,
    changes: &mut Changes<'p>,
) {
    let there = place.container.at(&["resources", "claims"]);
    let at = At::in_container(place, &"resources".into()).member(&"claims".into());
    merge(facts, at, there, claims, Merge::Keyed(&["name"]), changes);
}

impl<'p> Budget<'p> {
    pub(super) fn new(facts: &Facts<'p>) -> Self {
        let planner = Planner {
            facts,
            budget: Self::default(),
            filled: filled(facts),
            pod: PodLevel::new(facts.spec),
            set: HashSet::new(),
        };
        planner.run()
    }

    /// The resources of a new container: the profile's without those that are left out, and what a
    /// quota asks of every container.
    pub(super) fn of_new(
        &self,
        facts: &Facts<'p>,
        index: usize,
        container: &Json<'p>,
    ) -> Option<Json<'p>> {
        let mut resources = container.get("resources").cloned().unwrap_or(Json::Object(Vec::new()));
        let left_out = self.left_out.get(&index);
        for map in left_out.map(|_| MAPS).into_iter().flatten() {
            let Some(mut amounts) = resources.take(map) else { continue };
            for resource in left_out.into_iter().flatten() {
                amounts.take(resource);
            }
            resources.set(map, amounts);
        }
        for (map, resource, amount) in self.counted_by_quota(facts, container) {
            if let Some(amounts) = resources.member_mut(map, || Json::Object(Vec::new())) {
                amounts.set(resource, amount);
            }
        }
        (!resources.members().is_empty()).then_some(resources)
    }

    /// Amounts of a new container of the short forms, for each resource that the runner asks for
    /// and the profile does not mention: a quota refuses a pod with a container that does not ask
    /// (`failed quota: ... must specify`). One that ends before the runner starts gets the
    /// runner's, because the pod's own is the greater of the two; one that runs beside it gets so
    /// little that no node and no `QoS` class changes. The LimitRanger fills in its own, and the
    /// pod's own `resources` count in place of its containers'.
    fn counted_by_quota(
        &self,
        facts: &Facts<'p>,
        container: &Json<'p>,
    ) -> Vec<(&'static str, &'static str, Json<'p>)> {
        let name = container.text("name");
        let runs_once = HAS_RUNNERS_IMAGE.contains(&name);
        let mut amounts = Vec::new();
        if !runs_once && name != DIND || facts.spec.get("resources").is_some() {
            return amounts;
        }
        let filled = filled(facts);
        for (resource, least) in LEAST {
            let says = pair(container, resource);
            if says.request.is_some()
                || says.limit.is_some()
                || filled.iter().any(|(_, _, other)| *other == resource)
            {
                continue;
            }
            let of_runner = MAPS.map(|map| Some((map, self.of_runner(facts, map, resource)?)));
            let mut of_runner: Vec<_> = of_runner.into_iter().flatten().collect();
            if let [(_, request), (_, limit)] = &mut of_runner[..]
                && quantity(limit) < quantity(request)
            {
                limit.clone_from(request);
            }
            if runs_once {
                let amount = |(map, amount)| (map, resource, amount);
                amounts.extend(of_runner.into_iter().map(amount));
            } else if !of_runner.is_empty() {
                amounts.push(("requests", resource, least.into()));
            }
        }
        amounts
    }

    /// The runner's request or limit as this plan makes it.
    fn of_runner(&self, facts: &Facts<'p>, map: &str, resource: &str) -> Option<Json<'p>> {
        let mut set = self.set.iter().filter(|set| facts.is_runner(set.place));
        match set.find(|set| set.map == map && set.resource == resource) {
            Some(set) => Some(Json::from(set.amount.to_string())),
            None => facts.runner.container.at(&["resources", map, resource]).map(Json::borrowed),
        }
    }
}

/// A request and a limit.
#[derive(Clone, Debug, Default)]
pub(super) struct Pair {
    pub(super) request: Option<Quantity>,
    pub(super) limit: Option<Quantity>,
}

/// The state of the decision.
struct Planner<'f, 'p> {
    facts: &'f Facts<'p>,
    budget: Budget<'p>,
    /// What the LimitRanger filled in: container, `request` or `limit`, resource.
    filled: HashSet<(&'p str, &'p str, &'p str)>,
    pod: PodLevel<'p>,
    /// The resources that were set, by the container's place.
    set: HashSet<(&'static str, usize, String)>,
}

impl<'p> Planner<'_, 'p> {
    fn run(mut self) -> Budget<'p> {
        let facts = self.facts;
        for (index, placement) in facts.placements.iter().enumerate() {
            let wanted = wanted(facts, placement);
            match placement.at {
                Target::There(place) => self.merged(place, wanted),
                Target::New { .. } => self.new_container(index, placement, wanted),
                Target::Taken(_) => {}
            }
        }
        for (place, _) in facts.merged().filter(|(place, _)| !facts.is_runner(*place)) {
            self.refit(place);
        }
        self.correct_pairs();
        self.budget
    }

    /// Lays the template's resources under those of the container at `place`.
    fn merged(&mut self, place: ContainerRef<'p>, wanted: Vec<(String, Pair)>) {
        let mut has_memory = ["cpu", "memory"].iter().any(|resource| {
            MAPS.iter().any(|map| place.container.at(&["resources", map, resource]).is_some())
        });
        for (resource, wanted) in wanted {
            if self.facts.is_runner(place) && self.facts.gpus.left_out.contains(&resource) {
                continue;
            }
            if is_huge(&resource) && !has_memory {
                self.huge_pages_left_out(place.path(&format!(".resources[{resource}]")));
            } else {
                let before = self.budget.set.len();
                self.resource(place, &resource, wanted);
                let was_set = self.budget.set.len() > before;
                has_memory |= was_set && matches!(resource.as_str(), "cpu" | "memory");
            }
        }
    }

    fn resource(&mut self, place: ContainerRef<'p>, resource: &str, wanted: Pair) {
        let there = pair(place.container, resource);
        if is_below(resource, &there) && there.request == wanted.request {
            // Its limit comes with `correct_pairs`.
            return;
        }
        let name = place.name();
        let is_filled = |kind| self.filled.contains(&(name, kind, resource));
        let written_request = there.request.clone().filter(|_| !is_filled("request"));
        let written_limit = there.limit.clone().filter(|_| !is_filled("limit"));
        let differs = |there: &Option<Quantity>, wanted: &Option<Quantity>| matches!((there, wanted), (Some(there), Some(wanted)) if there != wanted);
        match (&written_request, &written_limit) {
            (None, None) => {
                let Pair { request, limit } = self.fitted(place, resource, wanted, &there);
                self.set(place, "requests", resource, request, ChangeReason::Resources);
                self.set(place, "limits", resource, limit, ChangeReason::Resources);
            }
            // Its limit comes with `correct_pairs`.
            (Some(_), None) if is_exact(resource) => {
                if differs(&written_request, &wanted.request)
                    || differs(&written_request, &wanted.limit)
                {
                    self.kept(place, "requests", resource);
                }
            }
            (Some(request), None) => {
                if differs(&written_request, &wanted.request) {
                    self.kept(place, "requests", resource);
                }
                match wanted.limit {
                    Some(limit) if limit < *request => self.adjusted(
                        place.path(&format!(".resources.limits[{resource}]")),
                        "the profile's limit is left out, because the pod's own request is above it",
                    ),
                    Some(limit) if !self.pod.limit_fits(resource, &limit) => {
                        self.limit_left_out(place, resource);
                    }
                    limit => self.set(place, "limits", resource, limit, ChangeReason::Resources),
                }
            }
            (request, Some(limit)) => {
                // Its request comes with `correct_pairs`.
                let is_adjusted =
                    is_exact(resource) && request.as_ref().is_some_and(|one| one != limit);
                let is_above = wanted.request.as_ref().is_some_and(|wanted| wanted > limit);
                if !is_adjusted && (differs(request, &wanted.request) || is_above) {
                    self.kept(place, "requests", resource);
                }
                if differs(&written_limit, &wanted.limit) {
                    self.kept(place, "limits", resource);
                }
            }
        }
    }

    /// The profile's request and limit for a resource of which the scale set wrote nothing, cut so
    /// that they fit into the pod's own resources and around what the LimitRanger filled in.
    fn fitted(
        &mut self,
        place: ContainerRef<'p>,
        resource: &str,
        wanted: Pair,
        there: &Pair,
    ) -> Pair {
        let Pair { mut request, mut limit } = wanted;
        // A limit alone becomes the request as well.
        let Some(asked) = request.clone().or_else(|| limit.clone()) else { return Pair::default() };
        if !self.pod.request_fits(Some(place), resource, &asked) {
            self.adjusted(
                place.path(&format!(".resources.requests[{resource}]")),
                "the profile's request is left out, because it is above spec.resources",
            );
            return Pair::default();
        }
        if limit.as_ref().is_some_and(|limit| !self.pod.limit_fits(resource, limit)) {
            self.limit_left_out(place, resource);
            limit = None;
        }
        self.pod.ask(Some(place), resource, asked.clone());
        // What the LimitRanger filled in moves with the profile's value, or the pod is invalid.
        if let (Some(filled), None) = (&there.limit, &limit)
            && (asked > *filled || is_exact(resource))
        {
            limit.clone_from(&request);
        }
        if let (Some(filled), None, Some(limit)) = (&there.request, &request, &limit)
            && (filled > limit || is_exact(resource))
        {
            request = Some(limit.clone());
        }
        Pair { request, limit }
    }

    /// Takes what does not fit into the pod's own resources out of a new container.
    fn new_container(
        &mut self,
        index: usize,
        placement: &Placement<'p>,
        wanted: Vec<(String, Pair)>,
    ) {
        let mut has_memory = false;
        for (resource, Pair { request, limit }) in wanted {
            let Some(asked) = request.or_else(|| limit.clone()) else { continue };
            let path = format!("spec[{}].resources[{resource}]", placement.wanted.text("name"));
            let fits = self.pod.request_fits(None, &resource, &asked)
                && limit.as_ref().is_none_or(|limit| self.pod.limit_fits(&resource, limit));
            if fits && (has_memory || !is_huge(&resource)) {
                has_memory |= matches!(resource.as_str(), "cpu" | "memory");
                self.pod.ask(None, &resource, asked);
                continue;
            }
            self.budget.left_out.entry(index).or_default().push(resource);
            if fits {
                self.huge_pages_left_out(path);
            } else {
                let message =
                    "the profile's request is left out, because it is above spec.resources";
                self.adjusted(path, message);
            }
        }
    }

    /// Cuts what the LimitRanger filled in, after an earlier pass had added the container, where it
    /// does not fit into the pod's own resources. The plugin knows nothing of those.
    fn refit(&mut self, place: ContainerRef<'p>) {
        let name = place.name();
        for resource in self.pod.capped() {
            let is_filled = |kind, map| {
                let mut set = self.budget.set.iter().filter(|set| set.place.is(place));
                self.filled.contains(&(name, kind, resource.as_str()))
                    && !set.any(|set| set.map == map && set.resource == resource)
            };
            let Pair { request, limit } = pair(place.container, &resource);
            let request = request.filter(|_| is_filled("request", "requests"));
            let limit = limit.filter(|_| is_filled("limit", "limits"));
            let is_above = request
                .is_some_and(|request| !self.pod.request_fits(Some(place), &resource, &request));
            let is_limit_above = limit.is_some_and(|limit| !self.pod.limit_fits(&resource, &limit));
            let cap = self.pod.limit(&resource);
            for (map, is_above, fits) in
                [("requests", is_above, "0".parse().ok()), ("limits", is_limit_above, cap)]
            {
                let Some(fits) = fits.filter(|_| is_above) else { continue };
                if map == "requests" {
                    self.pod.ask(Some(place), &resource, fits.clone());
                }
                let path = place.path(&format!(".resources.{map}[{resource}]"));
                self.adjusted(path, "the LimitRange's default is cut to fit spec.resources");
                self.set(place, map, &resource, Some(fits), ChangeReason::Default);
            }
        }
    }

    /// Corrects pairs that the API server would refuse, and a runner with such a pod is lost for ever.
    /// Of an extended resource the limit counts: it is what Kubernetes takes for the request where
    /// there is none. Of others a limit below a request of the webhook gives way: a policy has filled
    /// it in since the first call.
    fn correct_pairs(&mut self) {
        let facts = self.facts;
        for place in all_containers(facts.spec) {
            let mut merged = facts.merged();
            let placement = merged.find(|(there, _)| there.is(place)).map(|(_, it)| it);
            let is_added = placement.is_some_and(Placement::is_added);
            let wanted = LazyCell::new(|| -> HashMap<String, Pair> {
                placement.into_iter().flat_map(|it| wanted(facts, it)).collect()
            });
            for (resource, there) in pairs(place.container) {
                let Pair { request: Some(request), limit } = &there else { continue };
                let is_webhooks = || {
                    is_added || wanted.get(resource).is_some_and(|it| it.request == there.request)
                };
                let (map, amount, message) = match limit {
                    Some(limit) if is_exact(resource) && limit != request => (
                        "requests",
                        limit,
                        "an extended resource needs a request equal to its limit, so it was set \
                         to the limit",
                    ),
                    None if is_exact(resource) => (
                        "limits",
                        request,
                        "an extended resource needs a limit equal to its request, so it was added",
                    ),
                    _ if is_below(resource, &there) && is_webhooks() => ("limits", request, ""),
                    _ => continue,
                };
                if self.set.contains(&(place.list, place.index, resource.to_owned())) {
                    continue;
                }
                let mut reason = ChangeReason::Resources;
                if !message.is_empty() {
                    reason = ChangeReason::ExtendedResource;
                    self.adjusted(place.path(&format!(".resources.{map}[{resource}]")), message);
                }
                self.set(place, map, resource, Some(amount.clone()), reason);
            }
        }
    }

    fn set(
        &mut self,
        place: ContainerRef<'p>,
        map: &'static str,
        resource: &str,
        amount: Option<Quantity>,
        reason: ChangeReason,
    ) {
        let Some(amount) = amount else { return };
        let there = place.container.at(&["resources", map, resource]).and_then(quantity);
        if there.as_ref() == Some(&amount) {
            return;
        }
        self.set.insert((place.list, place.index, resource.to_owned()));
        self.budget.set.push(Set { place, map, resource: resource.to_owned(), amount, reason });
    }

    fn kept(&mut self, place: ContainerRef<'_>, map: &str, resource: &str) {
        let message =
            format!("the pod's own value is kept, profile {} differs", self.facts.profile());
        let path = place.path(&format!(".resources.{map}[{resource}]"));
        self.conflict(ConflictCode::ResourceKept, path, message);
    }

    fn limit_left_out(&mut self, place: ContainerRef<'_>, resource: &str) {
        let path = place.path(&format!(".resources.limits[{resource}]"));
        let message = "the profile's limit is left out, because it is above spec.resources";
        self.adjusted(path, message);
    }

    fn huge_pages_left_out(&mut self, path: String) {
        self.adjusted(path, "left out, because huge pages need CPU or memory beside them");
    }

    fn adjusted(&mut self, path: String, message: &str) {
        self.conflict(ConflictCode::ResourceAdjusted, path, message.to_owned());
    }

    fn conflict(&mut self, code: ConflictCode, path: String, message: String) {
        self.budget.conflicts.push(Conflict { code, winner: Winner::ScaleSet, path, message });
    }
}

/// What the template wants of a container, huge pages last: they go in beside CPU or memory only.
fn wanted(facts: &Facts<'_>, placement: &Placement<'_>) -> Vec<(String, Pair)> {
    let is_runner = matches!(placement.at, Target::There(place) if facts.is_runner(place));
    let mut all: Vec<(String, Pair)> = if is_runner {
        let gpus = facts.selected.gpus;
        let of = |amount: Option<&crate::profile::template::Amount>| amount?.of(gpus);
        let resources = facts.template.resources.iter();
        let pair = resources.map(|one| {
            let pair = Pair { request: of(one.request.as_ref()), limit: of(one.limit.as_ref()) };
            (one.name.clone(), pair)
        });
        pair.filter(|(_, pair)| pair.request.is_some() || pair.limit.is_some()).collect()
    } else {
        let members = |map| placement.wanted.at(&["resources", map]).map(Json::members);
        let requests = members("requests").unwrap_or_default().iter();
        let limits = members("limits").unwrap_or_default().iter();
        let mut names: Vec<&str> = requests.chain(limits).map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        names.dedup();
        names.iter().map(|name| ((*name).to_owned(), pair(&placement.wanted, name))).collect()
    };
    all.sort_by_key(|(name, _)| is_huge(name));
    all
}

/// Whether a limit is below its request, which the API server refuses.
fn is_below(resource: &str, pair: &Pair) -> bool {
    !is_exact(resource) && pair.limit.is_some() && pair.limit < pair.request
}

/// The requests of a container, each with its limit.
fn pairs<'c>(container: &'c Json<'_>) -> impl Iterator<Item = (&'c str, Pair)> {
    let amounts = |map| container.at(&["resources", map]).map(Json::members).unwrap_or_default();
    let limits: HashMap<&str, &Json<'_>> =
        amounts("limits").iter().map(|(resource, limit)| (resource.as_ref(), limit)).collect();
    amounts("requests").iter().map(move |(resource, request)| {
        let limit = limits.get(resource.as_ref()).and_then(|limit| quantity(limit));
        (resource.as_ref(), Pair { request: quantity(request), limit })
    })
}

/// What a container says of a resource.
pub(super) fn pair(container: &Json<'_>, resource: &str) -> Pair {
    let get = |map| container.at(&["resources", map, resource]).and_then(quantity);
    Pair { request: get("requests"), limit: get("limits") }
}

/// What the LimitRanger says that it filled in.
fn filled<'p>(facts: &Facts<'p>) -> HashSet<(&'p str, &'p str, &'p str)> {
    let note = facts.pod.at(&["metadata", "annotations", LIMIT_RANGER]).and_then(Json::as_str);
    let note = note.unwrap_or_default();
    let note = note.strip_prefix("LimitRanger plugin set: ").unwrap_or(note);
    let parts = note.split("; ").filter_map(|part| {
        let (what, container) = part.rsplit_once(" container ")?;
        let what = what.strip_suffix(" for init").or_else(|| what.strip_suffix(" for"))?;
        let (resources, kind) = what.rsplit_once(' ')?;
        Some(resources.split(", ").map(move |resource| (container, kind, resource)))
    });
    parts.flatten().collect()
}
