//! The pod's own requests and limits (`spec.resources`, KEP-2837), which those of its containers
//! must not exceed (`validatePodResourceConsistency`).

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{
    ConflictCode, Place, Planner, Winner, all_containers, container::members, resources::names,
};
use crate::{
    podspec::{
        Json, Quantity,
        equal::{quantity, quantity_of},
        resources::is_huge,
    },
    profile::template::name_of,
};

/// What containers that we add or fill in ask for.
#[derive(Default)]
pub(super) struct Requested<'p> {
    /// The sum of the requests, by resource.
    sums: Vec<(String, Quantity)>,
    /// The resources that go into containers that are there.
    set: Vec<(&'p Json<'p>, String)>,
}

/// Whether a pod-level request or limit can hold for this resource (KEP-2837).
fn is_pod_level(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory") || is_huge(resource)
}

impl<'p> Planner<'p> {
    /// Takes what does not fit into the pod's own resources out of a new container.
    pub(super) fn fit_resources(&mut self, container: &mut Cow<'_, Value>) {
        let Some(wanted) = container.get("resources").cloned() else { return };
        let requests = members(wanted.get("requests"));
        let limits = members(wanted.get("limits"));
        let get =
            |map: Option<&Map<String, Value>>, resource| map?.get(resource).and_then(quantity_of);
        let (huge, others): (Vec<_>, Vec<_>) =
            names(requests, limits).partition(|resource| is_huge(resource));
        let mut has_memory = false;
        for resource in others.into_iter().chain(huge) {
            let (request, limit) = (get(requests, resource), get(limits, resource));
            let Some(asked) = request.or_else(|| limit.clone()) else { continue };
            let path = format!("spec[{}].resources[{resource}]", name_of(container));
            let fits = self.request_fits(&Json::Null, resource, &asked)
                && limit.as_ref().is_none_or(|limit| self.limit_fits(resource, limit));
            if fits && (has_memory || !is_huge(resource)) {
                has_memory |= matches!(resource, "cpu" | "memory");
                self.requested.add(resource, &asked);
                continue;
            }
            for map in ["requests", "limits"] {
                if let Some(Value::Object(map)) =
                    container.to_mut().pointer_mut(&format!("/resources/{map}"))
                {
                    map.remove(resource);
                }
            }
            if fits {
                self.huge_pages_left_out(path);
            } else {
                let message =
                    "the profile's request is left out, because it is above spec.resources";
                self.conflict(
                    ConflictCode::ResourceAdjusted,
                    Winner::Author,
                    path,
                    message.to_owned(),
                );
            }
        }
    }

    /// Whether the container at `place` ends up with CPU or memory of its own.
    pub(super) fn asks_for_memory(&self, place: Place<'p>) -> bool {
        ["cpu", "memory"].iter().any(|&resource| {
            ["requests", "limits"]
                .iter()
                .any(|map| place.container.at(&["resources", map, resource]).is_some())
                || self.requested.is_set(place, resource)
        })
    }

    pub(super) fn huge_pages_left_out(&mut self, path: String) {
        let message = "left out, because huge pages need CPU or memory beside them".to_owned();
        self.conflict(ConflictCode::ResourceAdjusted, Winner::Author, path, message);
    }

    /// Whether the pod-level request, if the author set one, has room for one more container that
    /// asks for `asked`.
    pub(super) fn request_fits(
        &self,
        container: &Json<'_>,
        resource: &str,
        asked: &Quantity,
    ) -> bool {
        let pod = self.spec.get("resources");
        let level = |map| pod.and_then(|pod| pod.at(&[map, resource])).and_then(quantity);
        let Some(cap) = level("requests").or_else(|| level("limits")) else { return true };
        if !is_pod_level(resource) {
            return true;
        }
        let others = all_containers(self.spec)
            .filter(|place| !std::ptr::eq(place.container, container))
            .filter_map(|place| {
                let get =
                    |map| place.container.at(&["resources", map, resource]).and_then(quantity);
                get("requests").or_else(|| get("limits"))
            });
        let sum = others
            .chain(self.requested.get(resource).cloned())
            .try_fold(asked.clone(), |sum, next| sum.checked_add(&next));
        sum.is_some_and(|sum| sum <= cap)
    }

    pub(super) fn limit_fits(&self, resource: &str, limit: &Quantity) -> bool {
        let cap = self.spec.at(&["resources", "limits", resource]).and_then(quantity);
        !is_pod_level(resource) || cap.is_none_or(|cap| *limit <= cap)
    }
}

// === impl Requested ===

impl<'p> Requested<'p> {
    pub(super) fn add(&mut self, resource: &str, amount: &Quantity) {
        match self.sums.iter_mut().find(|(other, _)| other == resource) {
            Some((_, sum)) => {
                if let Some(more) = sum.checked_add(amount) {
                    *sum = more;
                }
            }
            None => self.sums.push((resource.to_owned(), amount.clone())),
        }
    }

    /// Notes a resource that goes into a container that is there.
    pub(super) fn set(&mut self, place: Place<'p>, resource: &str) {
        self.set.push((place.container, resource.to_owned()));
    }

    /// Whether a resource goes into a container that is there.
    pub(super) fn is_set(&self, place: Place<'_>, resource: &str) -> bool {
        self.set.iter().any(|(container, name)| {
            std::ptr::eq::<Json<'_>>(*container, place.container) && name == resource
        })
    }

    fn get(&self, resource: &str) -> Option<&Quantity> {
        self.sums.iter().find(|(other, _)| other == resource).map(|(_, sum)| sum)
    }
}
