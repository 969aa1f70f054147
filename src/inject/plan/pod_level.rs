//! The pod's own requests and limits (`spec.resources`, KEP-2837), which its containers must not exceed.

use std::collections::{BTreeMap, HashSet};

use super::resources::{MAPS, Pair, pair};
use crate::podspec::{
    ContainerRef, Json, Quantity, all_containers, equal::quantity, resources::is_huge,
};

/// What the containers ask for, beside what the pod itself has.
pub(super) struct PodLevel<'p> {
    /// `spec.resources`, if the scale set wrote it.
    resources: Option<&'p Json<'p>>,
    /// What each container asks for, of the resources that the pod has; new ones without a place.
    asked: BTreeMap<String, Vec<(Option<ContainerRef<'p>>, Quantity)>>,
}

impl<'p> PodLevel<'p> {
    pub(super) fn new(spec: &'p Json<'p>) -> Self {
        let resources = spec.get("resources");
        let names = MAPS.iter().filter_map(|map| resources?.get(map)).flat_map(Json::members);
        let names: HashSet<&str> = names.map(|(name, _)| name.as_ref()).collect();
        let of = |name: &str| {
            let asked = |place: ContainerRef<'p>| {
                // A limit alone is the request as well.
                let Pair { request, limit } = pair(place.container, name);
                Some((Some(place), request.or(limit)?))
            };
            all_containers(spec).filter_map(asked).collect()
        };
        let capped = names.into_iter().filter(|name| can_be_capped(name));
        Self { resources, asked: capped.map(|name| (name.to_owned(), of(name))).collect() }
    }

    /// The resources that the pod itself has.
    pub(super) fn capped(&self) -> Vec<String> {
        self.asked.keys().cloned().collect()
    }

    /// Whether the pod has room for a request of the container at `place`, or of a new one, beside what
    /// the others ask for.
    pub(super) fn request_fits(
        &self,
        place: Option<ContainerRef<'_>>,
        resource: &str,
        amount: &Quantity,
    ) -> bool {
        let Some(cap) = self.amount("requests", resource).or_else(|| self.limit(resource)) else {
            return true;
        };
        let asked = self.asked.get(resource).into_iter().flatten();
        let mut others = asked.filter(|(other, _)| !is_same(*other, place));
        let sum = others.try_fold(amount.clone(), |sum, (_, next)| sum.checked_add(next));
        sum.is_some_and(|sum| sum <= cap)
    }

    pub(super) fn limit_fits(&self, resource: &str, limit: &Quantity) -> bool {
        self.limit(resource).is_none_or(|cap| *limit <= cap)
    }

    /// The pod's own limit.
    pub(super) fn limit(&self, resource: &str) -> Option<Quantity> {
        self.amount("limits", resource)
    }

    /// Notes what the container at `place`, or a new one, asks for from now on.
    pub(super) fn ask(
        &mut self,
        place: Option<ContainerRef<'p>>,
        resource: &str,
        amount: Quantity,
    ) {
        if let Some(asked) = self.asked.get_mut(resource) {
            asked.retain(|(other, _)| !is_same(*other, place));
            asked.push((place, amount));
        }
    }

    fn amount(&self, map: &str, resource: &str) -> Option<Quantity> {
        self.resources.filter(|_| can_be_capped(resource))?.at(&[map, resource]).and_then(quantity)
    }
}

/// Whether a pod can have a request or limit of this resource.
fn can_be_capped(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory") || is_huge(resource)
}

/// Whether both are one container of the pod.
fn is_same(one: Option<ContainerRef<'_>>, other: Option<ContainerRef<'_>>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one.is(other))
}
