//! Requests and limits: the author's hold, the profile's fill the gaps, and what comes out is
//! always something that the API server accepts.

use serde_json::{Map, Value};

use super::{
    ConflictCode, Place, Planner, Reason, Winner, all_containers, container::members, field::At,
};
use crate::{
    inject::patch::Step,
    podspec::{
        Json, Quantity,
        equal::{quantity, quantity_of},
        merge::Merge,
        resources::{is_exact, is_huge},
    },
    profile::template::{Gpu, RUNNER},
};

/// The prefix of AMD's extended resources (ROCm/k8s-device-plugin: `amd.com/gpu` and, with the
/// mixed naming strategy, one for each kind of partition).
const AMD: &str = "amd.com/";

/// The annotation in which the LimitRanger plugin lists what it filled in, before any webhook
/// (`plugin/pkg/admission/limitranger`): `LimitRanger plugin set: cpu, memory request for
/// container runner; cpu limit for container runner`.
const LIMIT_RANGER: &str = "kubernetes.io/limit-ranger";

/// One resource of one container.
#[derive(Clone, Debug, Default)]
struct Pair {
    request: Option<Quantity>,
    limit: Option<Quantity>,
    /// Whether the LimitRanger filled it in, so that nobody wrote it.
    request_filled: bool,
    limit_filled: bool,
}

impl<'p> Planner<'p> {
    /// Lays the template's resources under those of the container at `place`.
    pub(super) fn resources(&mut self, place: Place<'p>, wanted: &Value) {
        let limits = members(wanted.get("limits"));
        let requests = members(wanted.get("requests"));
        let (huge, others): (Vec<_>, Vec<_>) =
            names(requests, limits).partition(|resource| is_huge(resource));
        for resource in others.into_iter().chain(huge) {
            if self.gpus_are_elsewhere(place, resource) {
                continue;
            }
            if is_huge(resource) && !self.asks_for_memory(place) {
                self.huge_pages_left_out(place.label(&format!(".resources[{resource}]")));
                continue;
            }
            let wanted_request = requests.and_then(|map| map.get(resource));
            let wanted_limit = limits.and_then(|map| map.get(resource));
            self.resource(place, resource, wanted_request, wanted_limit);
        }
        if let Some(claims) = wanted.get("claims") {
            let steps = place.steps(&[Step::Key("resources"), Step::Key("claims")]);
            let label = place.label(".resources.claims");
            let there = place.container.at(&["resources", "claims"]);
            let at = At { steps: &steps, label: &label };
            self.field(at, there, claims, Merge::Keyed(&["name"]));
        }
    }

    fn resource(
        &mut self,
        place: Place<'p>,
        resource: &str,
        wanted_request: Option<&Value>,
        wanted_limit: Option<&Value>,
    ) {
        let there = self.pair(place, resource);
        let want_request = wanted_request.and_then(quantity_of);
        let want_limit = wanted_limit.and_then(quantity_of);
        let written_request = there.request.clone().filter(|_| !there.request_filled);
        let written_limit = there.limit.clone().filter(|_| !there.limit_filled);
        let differs = |there: &Option<Quantity>, wanted: &Option<Quantity>| matches!((there, wanted), (Some(there), Some(wanted)) if there != wanted);
        match (&written_request, &written_limit) {
            (None, None) => {
                let (request, limit) =
                    self.fitted(place, resource, (wanted_request, wanted_limit), &there);
                self.set_resource(place, "requests", resource, request, Reason::Resources);
                self.set_resource(place, "limits", resource, limit, Reason::Resources);
            }
            // Its limit comes with `complete_pairs`.
            (Some(_), None) if is_exact(resource) => {
                if differs(&written_request, &want_request)
                    || differs(&written_request, &want_limit)
                {
                    self.resource_kept(place, "requests", resource);
                }
            }
            (Some(request), None) => {
                if differs(&written_request, &want_request) {
                    self.resource_kept(place, "requests", resource);
                }
                match (wanted_limit, want_limit) {
                    (Some(value), Some(limit)) if limit >= *request => {
                        if self.limit_fits(resource, &limit) {
                            let value = Some(value.clone());
                            self.set_resource(place, "limits", resource, value, Reason::Resources);
                        } else {
                            self.limit_left_out(place, resource);
                        }
                    }
                    (Some(_), _) => self.adjusted(
                        place,
                        &format!(".resources.limits[{resource}]"),
                        "the profile's limit is left out, because the pod's own request is above it",
                    ),
                    (None, _) => {}
                }
            }
            (request, Some(limit)) => {
                // Its request comes with `complete_pairs`.
                let is_adjusted =
                    is_exact(resource) && request.as_ref().is_some_and(|r| r != limit);
                if !is_adjusted
                    && (differs(request, &want_request)
                        || want_request.is_some_and(|want| want > *limit))
                {
                    self.resource_kept(place, "requests", resource);
                }
                if differs(&written_limit, &want_limit) {
                    self.resource_kept(place, "limits", resource);
                }
            }
        }
    }

    /// The profile's request and limit for a resource of which the author wrote nothing, cut so
    /// that they fit into the pod's own resources and around what the LimitRanger filled in.
    fn fitted(
        &mut self,
        place: Place<'p>,
        resource: &str,
        wanted: (Option<&Value>, Option<&Value>),
        there: &Pair,
    ) -> (Option<Value>, Option<Value>) {
        let (request, mut limit) = (wanted.0.cloned(), wanted.1.cloned());
        let want_request = wanted.0.and_then(quantity_of);
        let want_limit = wanted.1.and_then(quantity_of);
        // A limit alone becomes the request as well.
        let Some(asked) = want_request.clone().or_else(|| want_limit.clone()) else {
            return (None, None);
        };
        if !self.request_fits(place.container, resource, &asked) {
            self.adjusted(
                place,
                &format!(".resources.requests[{resource}]"),
                "the profile's request is left out, because it is above spec.resources",
            );
            return (None, None);
        }
        if want_limit.as_ref().is_some_and(|limit| !self.limit_fits(resource, limit)) {
            self.limit_left_out(place, resource);
            limit = None;
        }
        self.requested.add(resource, &asked);
        // What the LimitRanger filled in moves with the profile's value, or the pod is invalid.
        let mut request = request;
        match (&there.limit, &limit) {
            (Some(filled), None) if asked > *filled => limit.clone_from(&request),
            _ => {}
        }
        if request.is_none()
            && let (Some(filled), Some(want)) = (&there.request, &want_limit)
            && filled > want
        {
            request.clone_from(&limit);
        }
        (request, limit)
    }

    fn set_resource(
        &mut self,
        place: Place<'p>,
        map: &'static str,
        resource: &str,
        value: Option<Value>,
        reason: Reason,
    ) {
        let Some(value) = value else { return };
        let there = place.container.at(&["resources", map, resource]).and_then(quantity);
        if there.is_some() && there == quantity_of(&value) {
            return;
        }
        self.requested.set(place, resource);
        let steps = place.steps(&[Step::Key("resources"), Step::Key(map), Step::Key(resource)]);
        self.edits.set(&steps, value, reason);
    }

    /// A request of an extended resource without a limit, or with another one, makes the pod
    /// invalid, and a runner with an invalid pod is lost for ever. Of two the limit counts: it is
    /// what Kubernetes takes for the request where nobody wrote one.
    pub(super) fn complete_pairs(&mut self) {
        for place in all_containers(self.spec) {
            let requests = place.container.at(&["resources", "requests"]).map(Json::members);
            for (resource, _) in requests.unwrap_or_default() {
                if !is_exact(resource) || self.requested.is_set(place, resource) {
                    continue;
                }
                let Pair { request, limit, .. } = self.pair(place, resource);
                let Some(request) = request else { continue };
                let (map, amount, message) = match limit {
                    Some(limit) if limit == request => continue,
                    Some(limit) => (
                        "requests",
                        limit,
                        "an extended resource needs a request equal to its limit, so it was set \
                         to the limit",
                    ),
                    None => (
                        "limits",
                        request,
                        "an extended resource needs a limit equal to its request, so it was added",
                    ),
                };
                self.adjusted(place, &format!(".resources.{map}[{resource}]"), message);
                let amount = Some(Value::from(amount.to_string()));
                self.set_resource(place, map, resource, amount, Reason::ExtendedResource);
            }
        }
    }

    /// What the container says of a resource.
    fn pair(&self, place: Place<'p>, resource: &str) -> Pair {
        let get = |map| place.container.at(&["resources", map, resource]).and_then(quantity);
        let filled = |kind| self.is_filled(kind, resource, place.container.text("name"));
        Pair {
            request: get("requests"),
            limit: get("limits"),
            request_filled: filled("request"),
            limit_filled: filled("limit"),
        }
    }

    /// Whether the LimitRanger says that it filled this in.
    fn is_filled(&self, kind: &str, resource: &str, container: &str) -> bool {
        let Some(note) = self.pod.at(&["metadata", "annotations", LIMIT_RANGER]) else {
            return false;
        };
        let note = note.as_str().unwrap_or_default();
        let note = note.strip_prefix("LimitRanger plugin set: ").unwrap_or(note);
        note.split("; ").any(|part| {
            let Some((what, name)) = part.rsplit_once(" container ") else { return false };
            let what = what.strip_suffix(" for init").or_else(|| what.strip_suffix(" for"));
            let Some((resources, found)) = what.and_then(|what| what.rsplit_once(' ')) else {
                return false;
            };
            name == container && found == kind && resources.split(", ").any(|r| r == resource)
        })
    }

    /// Says that the author's number of GPUs holds, where the profile would give another.
    pub(super) fn overruled_gpus(&mut self) {
        let Some(gpus) = self.selected.gpus_overruled else { return };
        let message = format!(
            "the pod's own number of GPUs is kept, profile {} gives {gpus}",
            self.profile()
        );
        let path = format!("spec.containers[{RUNNER}].resources");
        self.conflict(ConflictCode::GpuKept, Winner::Author, path, message);
    }

    /// Whether the pod asks for AMD GPUs in its own way, so that the profile's are left out: on
    /// another container, or under another name.
    fn gpus_are_elsewhere(&mut self, place: Place<'p>, resource: &str) -> bool {
        let is_gpu = is_resource(self.template.gpu.as_ref(), resource);
        if !is_gpu || !is_runner(place) {
            return false;
        }
        let own = self.own_gpus().find(|(other, name, amount)| {
            !amount.is_zero() && (!is_runner(*other) || *name != resource)
        });
        let Some((other, name, _)) = own else { return false };
        let path = other.label(&format!(".resources[{name}]"));
        let message =
            format!("the pod asks for GPUs itself, so {resource} is not added to the runner");
        self.conflict(ConflictCode::GpuKept, Winner::Author, path, message);
        true
    }

    /// Each GPU resource that the pod speaks of, with its container. An init container that ends
    /// gives its GPUs back: Kubernetes takes the greater of its number and the runner's.
    fn own_gpus(&self) -> impl Iterator<Item = (Place<'p>, &'p str, Quantity)> {
        let gpu = self.template.gpu.as_ref();
        let is_gpu = move |name: &str| name.starts_with(AMD) || is_resource(gpu, name);
        all_containers(self.spec).filter(|place| !place.runs_once()).flat_map(move |place| {
            let resources = place.container.get("resources");
            let of = move |map| {
                let map = resources.and_then(|resources| resources.get(map));
                map.map(Json::members).unwrap_or_default().iter()
            };
            // A request beside a limit will be equal to it.
            let has_limit = move |name: &str| of("limits").any(|(other, _)| other == name);
            let requests = of("requests").filter(move |(name, _)| !has_limit(name));
            of("limits").chain(requests).filter_map(move |(name, json)| {
                let amount = quantity(json)?;
                is_gpu(name).then_some((place, name.as_ref(), amount))
            })
        })
    }

    /// The number of GPUs that the runner ends up with, which the start wrapper checks.
    pub(super) fn runner_gpus(&self) -> u64 {
        let mut own: Vec<(&str, u64)> = Vec::new();
        let gpu = self.template.gpu.as_ref();
        let mut elsewhere = false;
        for (place, name, amount) in self.own_gpus() {
            let on_runner = is_runner(place);
            elsewhere |= !amount.is_zero() && (!on_runner || !is_resource(gpu, name));
            if on_runner && !own.iter().any(|(other, _)| *other == name) {
                own.push((name, amount.whole().unwrap_or_default()));
            }
        }
        if let Some(gpu) = gpu
            && !elsewhere
            && !own.iter().any(|(name, _)| *name == gpu.resource)
        {
            return u64::from(gpu.count);
        }
        own.iter().map(|(_, amount)| amount).sum()
    }

    fn resource_kept(&mut self, place: Place<'p>, map: &str, resource: &str) {
        self.kept(
            ConflictCode::ResourceKept,
            place.label(&format!(".resources.{map}[{resource}]")),
        );
    }

    fn limit_left_out(&mut self, place: Place<'p>, resource: &str) {
        self.adjusted(
            place,
            &format!(".resources.limits[{resource}]"),
            "the profile's limit is left out, because it is above spec.resources",
        );
    }

    fn adjusted(&mut self, place: Place<'p>, rest: &str, message: &str) {
        self.conflict(
            ConflictCode::ResourceAdjusted,
            Winner::Author,
            place.label(rest),
            message.to_owned(),
        );
    }
}

fn is_runner(place: Place<'_>) -> bool {
    place.list == "containers" && place.container.text("name") == RUNNER
}

/// Whether `resource` is that of the profile's GPUs.
fn is_resource(gpu: Option<&Gpu>, resource: &str) -> bool {
    gpu.is_some_and(|gpu| gpu.resource == resource)
}

/// The resources of either map, each once.
pub(super) fn names<'v>(
    requests: Option<&'v Map<String, Value>>,
    limits: Option<&'v Map<String, Value>>,
) -> impl Iterator<Item = &'v str> {
    let of = |map: Option<&'v Map<String, Value>>| map.into_iter().flat_map(|map| map.keys());
    of(requests)
        .chain(of(limits).filter(move |name| requests.is_none_or(|map| !map.contains_key(*name))))
        .map(String::as_str)
}
