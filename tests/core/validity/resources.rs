//! Requests and limits (`validateContainerResourceRequirements`, `validatePodResources`).

use std::collections::BTreeMap;

use arc_rocm::podspec::Quantity;
use serde_json::Value;

use super::{Findings, containers, items, text};

type Amounts = BTreeMap<String, Quantity>;

/// Requests and limits with the API server's defaults: a limit alone is also the request.
fn amounts(resources: &Value, found: &mut Findings, what: &str) -> (Amounts, Amounts) {
    let mut read = |field: &str| {
        let mut amounts = Amounts::new();
        for (name, amount) in resources[field].as_object().into_iter().flatten() {
            let quantity = match amount {
                Value::String(text) => text.parse::<Quantity>().ok(),
                Value::Number(number) => number.to_string().parse().ok(),
                _ => None,
            };
            match quantity {
                Some(quantity) if !quantity.is_negative() => {
                    amounts.insert(name.clone(), quantity);
                }
                _ => found.0.push(format!("{what}: {field} {name}: {amount}")),
            }
        }
        amounts
    };
    let (mut requests, limits) = (read("requests"), read("limits"));
    for (name, limit) in &limits {
        requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
    (requests, limits)
}

fn is_huge(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// `IsExtendedResourceName`: qualified, and outside the domain of Kubernetes.
fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/")
}

fn pairs(requests: &Amounts, limits: &Amounts, what: &str, found: &mut Findings) {
    for (name, request) in requests {
        let limit = limits.get(name);
        if is_huge(name) || is_extended(name) {
            found.check(limit == Some(request), || {
                format!("{what}: {name}: request {request} must equal limit {limit:?}")
            });
            found.check(request.is_integer(), || format!("{what}: {name}: must be an integer"));
        } else {
            found.check(limit.is_none_or(|limit| request <= limit), || {
                format!("{what}: {name}: request {request} above limit {limit:?}")
            });
        }
    }
    let huge = requests.keys().any(|name| is_huge(name));
    let base = requests.contains_key("cpu") || requests.contains_key("memory");
    found.check(!huge || base, || format!("{what}: hugepages require cpu or memory"));
}

pub(super) fn check(spec: &Value, found: &mut Findings) {
    let claims: Vec<&str> =
        items(&spec["resourceClaims"]).iter().map(|claim| text(claim, "name")).collect();
    for (index, name) in claims.iter().enumerate() {
        found.check(!claims[..index].contains(name), || format!("resource claim {name} twice"));
    }
    let pod = &spec["resources"];
    let (pod_requests, pod_limits) = {
        // Without a pod-level request the sum of the containers' is the default, or the limit.
        let (_, limits) = amounts(pod, found, "spec");
        let (mut requests, _) =
            amounts(&serde_json::json!({"requests": pod["requests"]}), found, "spec");
        let mut all = requests.clone();
        for (name, limit) in &limits {
            all.entry(name.clone()).or_insert_with(|| limit.clone());
        }
        for name in all.keys() {
            let known = matches!(name.as_str(), "cpu" | "memory") || is_huge(name);
            found.check(known, || format!("spec.resources: {name} is no pod-level resource"));
        }
        if !pod.is_null() {
            pairs(&all, &limits, "spec.resources", found);
        }
        requests.extend(all);
        (requests, limits)
    };
    let mut sum = Amounts::new();
    let mut most_init = Amounts::new();
    let mut sidecars = Amounts::new();
    for (list, container) in containers(spec) {
        let name = text(container, "name");
        let (requests, limits) = amounts(&container["resources"], found, name);
        pairs(&requests, &limits, name, found);
        for claim in items(&container["resources"]["claims"]) {
            let claim = text(claim, "name");
            found.check(claims.contains(&claim), || format!("{name}: no resource claim {claim}"));
        }
        for (resource, limit) in &limits {
            let cap = pod_limits.get(resource);
            found.check(cap.is_none_or(|cap| limit <= cap), || {
                format!("{name}: {resource}: limit {limit} above the pod's {cap:?}")
            });
        }
        // AggregateContainerRequests: an init container runs beside the sidecars before it.
        let is_init = list == "initContainers" && container["restartPolicy"] != "Always";
        for (resource, request) in requests {
            if is_init {
                let beside = plus(sidecars.get(&resource), &request);
                let most = most_init.entry(resource).or_insert_with(|| beside.clone());
                if *most < beside {
                    *most = beside;
                }
            } else {
                for total in [Some(&mut sum), (list == "initContainers").then_some(&mut sidecars)] {
                    let Some(total) = total else { continue };
                    let next = plus(total.get(&resource), &request);
                    total.insert(resource.clone(), next);
                }
            }
        }
    }
    for (resource, cap) in &pod_requests {
        for total in [sum.get(resource), most_init.get(resource)].into_iter().flatten() {
            found.check(total <= cap, || {
                format!("{resource}: the containers request {total}, the pod {cap}")
            });
        }
    }
}

fn plus(one: Option<&Quantity>, other: &Quantity) -> Quantity {
    one.map_or_else(|| other.clone(), |one| one.checked_add(other).unwrap())
}
