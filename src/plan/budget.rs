//! The pod's own requests and limits (`spec.resources`, KEP-2837), which those of its containers
//! must not exceed (`validatePodResourceConsistency`).

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{
    Code, Place, Planner, Winner, all_containers,
    container::members,
    covers::{quantity, quantity_of},
    resources::{is_exact, is_huge, names},
};
use crate::{pod::Json, profile::template::name_of, quantity::Quantity};

/// What containers that we add or fill in ask for.
#[derive(Default)]
pub(super) struct Requested<'p> {
    /// The sum of the requests, by resource.
    sums: Vec<(String, Quantity)>,
    /// What goes into containers that are there.
    set: Vec<(&'p Json<'p>, &'static str, String, Quantity)>,
    /// What new containers have.
    new: Vec<(&'static str, String, Quantity)>,
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
                self.requested.new.push(("requests", resource.to_owned(), asked));
                if let Some(limit) = limit {
                    self.requested.new.push(("limits", resource.to_owned(), limit));
                }
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
                self.conflict(Code::ResourceAdjusted, Winner::Author, path, message.to_owned());
            }
        }
    }

    /// Whether the container at `place` ends up with CPU or memory of its own.
    pub(super) fn asks_for_memory(&self, place: Place<'p>) -> bool {
        ["cpu", "memory"].iter().any(|&resource| {
            ["requests", "limits"]
                .iter()
                .any(|map| place.container.at(&["resources", map, resource]).is_some())
                || self.requested.set.iter().any(|(container, _, name, _)| {
                    std::ptr::eq(*container, place.container) && name == resource
                })
        })
    }

    pub(super) fn huge_pages_left_out(&mut self, path: String) {
        let message = "left out, because huge pages need CPU or memory beside them".to_owned();
        self.conflict(Code::ResourceAdjusted, Winner::Author, path, message);
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

    /// The template's pod-level resources, without those that the pod's containers exceed.
    pub(super) fn fit_pod_resources(&mut self, wanted: &'p Value) -> Cow<'p, Value> {
        let mut fitted = Cow::Borrowed(wanted);
        let (requests, limits) = (members(wanted.get("requests")), members(wanted.get("limits")));
        for resource in names(requests, limits) {
            let get = |map: Option<&Map<String, Value>>| map?.get(resource).and_then(quantity_of);
            let (request, limit) = (get(requests), get(limits));
            let total =
                self.amounts(resource, true).try_fold(None, |sum: Option<Quantity>, next| {
                    Some(Some(match sum {
                        Some(sum) => sum.checked_add(&next)?,
                        None => next,
                    }))
                });
            let cap = request.as_ref().or(limit.as_ref());
            let requests_fit = match (&total, cap) {
                (Some(Some(total)), Some(cap)) => total <= cap,
                (Some(None), _) | (_, None) => true,
                (None, Some(_)) => false,
            };
            let limits_fit = limit
                .as_ref()
                .is_none_or(|cap| self.amounts(resource, false).all(|amount| amount <= *cap));
            let out: &[&str] = match (requests_fit, limits_fit) {
                (true, true) => continue,
                (true, false) if !is_exact(resource) => &["limits"],
                _ => &["requests", "limits"],
            };
            for map in out {
                if let Some(Value::Object(amounts)) = fitted.to_mut().get_mut(*map) {
                    amounts.remove(resource);
                }
            }
            let path = format!("spec.resources.{}[{resource}]", out.first().unwrap_or(&""));
            let message = "left out, because the containers ask for more".to_owned();
            self.conflict(Code::ResourceAdjusted, Winner::Author, path, message);
        }
        if fitted.as_object().is_some_and(|all| all.values().any(is_empty))
            && let Value::Object(maps) = fitted.to_mut()
        {
            maps.retain(|_, map| !is_empty(map));
        }
        fitted
    }

    /// What each container ends up with: its request, or its limit where that is the request too;
    /// or its limit alone.
    fn amounts(&self, resource: &str, request: bool) -> impl Iterator<Item = Quantity> {
        let Requested { sums: _, set, new } = &self.requested;
        let maps: &[&str] = if request { &["requests", "limits"] } else { &["limits"] };
        let there = all_containers(self.spec).filter_map(move |place| {
            maps.iter().find_map(|map| {
                let set = set.iter().rev().find(|(container, m, name, _)| {
                    std::ptr::eq(*container, place.container) && m == map && name == resource
                });
                let there = || place.container.at(&["resources", map, resource]).and_then(quantity);
                set.map(|(_, _, _, amount)| amount.clone()).or_else(there)
            })
        });
        let kind = if request { "requests" } else { "limits" };
        let new = new.iter().filter(move |(map, name, _)| *map == kind && name == resource);
        there.chain(new.map(|(_, _, amount)| amount.clone()))
    }
}

fn is_empty(map: &Value) -> bool {
    map.as_object().is_some_and(Map::is_empty)
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

    /// Notes what goes into a container that is there.
    pub(super) fn set(
        &mut self,
        place: Place<'p>,
        map: &'static str,
        resource: &str,
        amount: Quantity,
    ) {
        self.set.push((place.container, map, resource.to_owned(), amount));
    }

    fn get(&self, resource: &str) -> Option<&Quantity> {
        self.sums.iter().find(|(other, _)| other == resource).map(|(_, sum)| sum)
    }
}
