//! Whether a node can hold the next runner of each scale set.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::core::v1::{Container, Node, PodSpec},
    apimachinery::pkg::api::resource::Quantity as ApiQuantity,
};
use kube::ResourceExt;
use serde::Deserialize as _;

use super::{Grouped, count, names, needs_profiles};
use crate::{
    doctor::{Check, Facts, FindingCode, sample::Samples},
    podspec::Quantity,
};

/// The resource of AMD's device plugin.
const GPU: &str = "amd.com/gpu";

/// Resources with their amounts.
type Amounts = BTreeMap<String, Quantity>;

pub(super) fn check(facts: &Facts, samples: &Samples) -> Check {
    let mut check = Check::new("nodes");
    let Some(nodes) = check.known(&facts.nodes) else { return check };
    needs_profiles(&mut check, samples);
    check.summary = summary(nodes);
    let all: Vec<(&Node, Amounts)> = nodes.iter().map(|node| (node, allocatable(node))).collect();
    let mut grouped = Grouped::default();
    let mut without = BTreeSet::new();
    for (sample, injected) in samples.injected() {
        let spec = injected.pod.get("spec").and_then(|spec| PodSpec::deserialize(spec).ok());
        let Some(spec) = spec else { continue };
        if let Some(mut why) = why_not(&spec, &all) {
            if let Some(gpus) = injected.gpus_by_name {
                why = format!("{why} ({gpus} GPUs by its name)");
            }
            grouped.say(FindingCode::RunnerDoesNotFit, &sample.name, why);
        }
        if spec.volumes.iter().flatten().any(|volume| volume.image.is_some()) {
            let selected = nodes.iter().filter(|node| selects(&spec, node));
            without.extend(selected.filter_map(without_image_volumes));
        }
    }
    grouped.add_to(&mut check, "no node can hold a runner of");
    if !without.is_empty() {
        let message = format!("no image volumes on {}", names(without));
        check.add(FindingCode::ImageVolumesUnsupported, message, &[]);
    }
    check
}

/// The first minor of Kubernetes whose API server and kubelet have image volumes by default (feature
/// gate `ImageVolume`, `pkg/features/kube_features.go`).
const IMAGE_VOLUME_KUBERNETES: (u32, u32) = (1, 35);
/// The first versions of container runtimes with image volumes: releases 2.1.0 of containerd
/// (containerd#10579) and 1.31.0 of CRI-O (cri-o#8317). cri-dockerd has none (cri-dockerd#526).
const IMAGE_VOLUME_RUNTIMES: [(&str, (u32, u32)); 2] = [("containerd", (2, 1)), ("cri-o", (1, 31))];

/// Name and versions of a node that cannot mount an image volume.
fn without_image_volumes(node: &Node) -> Option<String> {
    let info = node.status.as_ref()?.node_info.as_ref()?;
    let (kubelet, runtime) = (&info.kubelet_version, &info.container_runtime_version);
    let has_runtime = runtime.split_once("://").is_some_and(|(name, version)| {
        IMAGE_VOLUME_RUNTIMES
            .iter()
            .any(|(known, first)| name == *known && minor(version).is_none_or(|its| its >= *first))
    });
    let has_kubelet = minor(kubelet).is_none_or(|its| its >= IMAGE_VOLUME_KUBERNETES);
    (!has_kubelet || !has_runtime)
        .then(|| format!("{} (kubelet {kubelet}, {runtime})", node.name_any()))
}

/// Major and minor of `v1.37.2` or `2.1.4-k3s1`.
fn minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim_start_matches('v').split(['.', '-', '+']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether a pod's nodeSelector selects a node.
fn selects(spec: &PodSpec, node: &Node) -> bool {
    let mut selector = spec.node_selector.iter().flatten();
    selector.all(|(key, value)| node.labels().get(key) == Some(value))
}

/// GPUs, kubelets and container runtimes.
fn summary(nodes: &[Node]) -> String {
    let gpus =
        |node: &Node| allocatable(node).get(GPU).and_then(Quantity::whole).unwrap_or_default();
    let with = nodes.iter().filter(|node| gpus(node) > 0).count();
    let mut text = format!(
        "{} {GPU} on {with} of {}",
        nodes.iter().map(gpus).sum::<u64>(),
        count(nodes.len(), "node")
    );
    let infos = nodes.iter().filter_map(|node| node.status.as_ref()?.node_info.as_ref());
    let versions: BTreeSet<String> = infos
        .map(|info| {
            format!("kubelet {} on {}", info.kubelet_version, info.container_runtime_version)
        })
        .collect();
    if !versions.is_empty() {
        text = format!("{text}; {}", names(versions));
    }
    text
}

/// Why no node can hold a pod, even an empty one: labels and amounts, not taints and affinity.
fn why_not(spec: &PodSpec, nodes: &[(&Node, Amounts)]) -> Option<String> {
    let requests = requests(spec);
    let selector = spec.node_selector.clone().unwrap_or_default();
    let selected: Vec<&Amounts> =
        nodes.iter().filter(|(node, _)| selects(spec, node)).map(|(_, amounts)| amounts).collect();
    let labels: Vec<String> =
        selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let shown = |name: &str, amount: &Quantity| match amount.whole() {
        Some(whole) if amount.as_str().ends_with('m') => format!("{whole} {name}"),
        _ => format!("{amount} {name}"),
    };
    let with = if labels.is_empty() {
        String::new()
    } else {
        format!(" with the labels {}", names(labels))
    };
    if selected.is_empty() {
        return Some(format!("there is no node{with}"));
    }
    let holds = |node: &Amounts, name: &str, amount: &Quantity| {
        amount.is_zero() || node.get(name).is_some_and(|has| has >= amount)
    };
    if selected.iter().any(|node| requests.iter().all(|(name, amount)| holds(node, name, amount))) {
        return None;
    }
    let short = requests
        .iter()
        .filter(|(name, amount)| !selected.iter().any(|node| holds(node, name, amount)));
    let short: Vec<String> = short
        .map(|(name, amount)| {
            let most = selected.iter().filter_map(|node| node.get(name)).max();
            let most = most.map_or("0", Quantity::as_str);
            format!("it requests {}, and the largest node{with} has {most}", shown(name, amount))
        })
        .collect();
    Some(if short.is_empty() {
        let all: Vec<String> = requests.iter().map(|(name, amount)| shown(name, amount)).collect();
        format!("no node{with} has all that it requests: {}", names(all))
    } else {
        short.join("; ")
    })
}

fn allocatable(node: &Node) -> Amounts {
    parsed(node.status.iter().flat_map(|status| &status.allocatable).flatten())
}

fn parsed<'a>(amounts: impl Iterator<Item = (&'a String, &'a ApiQuantity)>) -> Amounts {
    amounts.filter_map(|(name, amount)| Some((name.clone(), amount.0.parse().ok()?))).collect()
}

/// What the scheduler reserves for a pod (kubernetes `component-helpers/resource/helpers.go`).
fn requests(spec: &PodSpec) -> Amounts {
    let mut sidecars = Amounts::new();
    let mut highest = Amounts::new();
    for init in spec.init_containers.iter().flatten() {
        let own = of(init);
        if init.restart_policy.as_deref() == Some("Always") {
            add(&mut sidecars, own);
        } else {
            let mut now = sidecars.clone();
            add(&mut now, own);
            raise(&mut highest, now);
        }
    }
    let mut total = sidecars;
    for container in &spec.containers {
        add(&mut total, of(container));
    }
    raise(&mut total, highest);
    let pod = spec.resources.iter().flat_map(|resources| &resources.requests).flatten();
    total.extend(parsed(pod));
    if let Some(overhead) = &spec.overhead {
        add(&mut total, parsed(overhead.iter()));
    }
    total
}

/// A container's requests. A limit alone is a request too.
fn of(container: &Container) -> Amounts {
    let resources = container.resources.clone().unwrap_or_default();
    let mut amounts = parsed(resources.limits.iter().flatten());
    amounts.extend(parsed(resources.requests.iter().flatten()));
    amounts
}

fn add(total: &mut Amounts, more: Amounts) {
    for (name, amount) in more {
        let sum = match total.get(&name) {
            Some(so_far) => so_far.checked_add(&amount).unwrap_or(amount),
            None => amount,
        };
        total.insert(name, sum);
    }
}

fn raise(total: &mut Amounts, other: Amounts) {
    for (name, amount) in other {
        if total.get(&name).is_none_or(|so_far| *so_far < amount) {
            total.insert(name, amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::doctor::testing::{codes, flags, healthy, node, scale_set};

    fn with(change: impl FnOnce(&mut Facts)) -> Check {
        let mut facts = healthy();
        change(&mut facts);
        check(&facts, &Samples::of(&facts))
    }

    #[test]
    fn runner_needs_a_node_with_gpus_amounts_and_labels() {
        assert!(codes(&with(|_| {})).is_empty());
        let large =
            json!({"amd.com/gpu": "8", "cpu": "96", "memory": "2Ti", "ephemeral-storage": "1T"});
        let yes = json!({"pytorch": "yes"});
        let found = |nodes: Vec<Node>| {
            let found = with(|facts| facts.nodes = Ok(nodes));
            assert_eq!(codes(&found), ["runner-does-not-fit"]);
            found.findings[0].message.split_once(": ").unwrap().1.to_owned()
        };
        let no = "there is no node with the labels pytorch=yes (2 GPUs by its name)";
        assert_eq!(found(vec![]), no);
        assert_eq!(found(vec![node(&json!({}), &large)]), no);
        // A real cluster's node, beside which the built-in profile's CPUs are too many.
        let mut small = large.clone();
        small["cpu"] = json!("2");
        assert_eq!(
            found(vec![node(&yes, &small), node(&json!({}), &large)]),
            "it requests 40001m cpu, and the largest node with the labels pytorch=yes has 2 (2 GPUs by its name)"
        );
        let mut no_gpu = large.clone();
        no_gpu.as_object_mut().unwrap().remove("amd.com/gpu");
        assert!(
            found(vec![node(&yes, &no_gpu)])
                .starts_with("it requests 2 amd.com/gpu, and the largest")
        );
        let both = found(vec![node(&yes, &no_gpu), node(&yes, &small)]);
        assert!(
            both.starts_with("no node with the labels pytorch=yes has all that it requests: 2 amd"),
            "{both}"
        );
    }

    #[test]
    fn scripts_image_needs_nodes_with_image_volumes() {
        let of = |kubelet: &str, runtime: &str, selected: &str| {
            let amounts = json!({"amd.com/gpu": "8", "cpu": "96", "memory": "2Ti", "ephemeral-storage": "1T"});
            let mut node = node(&json!({"pytorch": selected}), &amounts);
            let info = node.status.as_mut().unwrap().node_info.as_mut().unwrap();
            (info.kubelet_version, info.container_runtime_version) =
                (kubelet.into(), runtime.into());
            let found = with(|facts| {
                flags(facts, &["--scripts-image=registry.example/arc-rocm:1"]);
                facts.nodes.as_mut().unwrap().push(node);
            });
            found.findings.first().map(|finding| {
                assert_eq!(codes(&found), ["image-volumes-unsupported"]);
                finding.message.clone()
            })
        };
        for (kubelet, runtime) in [
            ("v1.34.1", "containerd://2.1.0"),
            ("v1.35.0+k3s1", "containerd://1.7.27"),
            ("v1.35.0", "containerd://2.0.5-k3s1"),
            ("v1.36.1", "cri-o://1.30.9"),
            ("v1.37.2", "docker://29.6.2"),
        ] {
            let expected = format!("no image volumes on n (kubelet {kubelet}, {runtime})");
            assert_eq!(of(kubelet, runtime, "yes"), Some(expected));
            // No runner lands there.
            assert_eq!(of(kubelet, runtime, "no"), None);
        }
        for (kubelet, runtime) in [
            ("v1.35.0", "containerd://2.1.0"),
            ("v1.35.4-eks-3025e55", "containerd://2.2.1"),
            ("v1.37.2", "cri-o://1.31.0"),
        ] {
            assert_eq!(of(kubelet, runtime, "yes"), None);
        }
        let mut old = node(&json!({"pytorch": "yes"}), &json!({}));
        let info = old.status.as_mut().unwrap().node_info.as_mut().unwrap();
        info.container_runtime_version = "containerd://1.6.20".into();
        assert_eq!(codes(&with(|facts| facts.nodes.as_mut().unwrap().push(old))), [""; 0]);
    }

    #[test]
    fn scale_sets_that_do_not_fit_are_grouped_by_reason() {
        let found = with(|facts| {
            let sets = ["16", "32"].map(|gpus| scale_set(&format!("linux.rocm.gpu.gfx942.{gpus}")));
            facts.scale_sets.as_mut().unwrap().extend(sets);
        });
        assert_eq!(codes(&found), ["runner-does-not-fit"; 2]);
        assert!(found.findings[0].message.contains("(16 GPUs by its name)"), "{found:?}");
    }

    #[test]
    fn requests_are_those_of_the_scheduler() {
        let container = |cpu: &str| json!({"name": "c", "resources": {"requests": {"cpu": cpu}}});
        let sidecar = |cpu: &str| {
            let mut sidecar = container(cpu);
            sidecar["restartPolicy"] = json!("Always");
            sidecar
        };
        let cpu = |spec: Value| {
            let spec: PodSpec = from_value(spec).unwrap();
            requests(&spec)["cpu"].to_string()
        };
        let spec = |inits: Vec<Value>| json!({"containers": [container("1"), container("500m")], "initContainers": inits});
        assert_eq!(cpu(spec(vec![])), "1.5");
        assert_eq!(cpu(spec(vec![container("1")])), "1.5");
        assert_eq!(cpu(spec(vec![container("4")])), "4");
        assert_eq!(cpu(spec(vec![sidecar("1"), container("4"), sidecar("1")])), "5");
        assert_eq!(cpu(spec(vec![sidecar("2"), sidecar("2")])), "5.5");
        let mut whole = spec(vec![]);
        whole["resources"] = json!({"requests": {"cpu": "8"}});
        whole["overhead"] = json!({"cpu": "1"});
        assert_eq!(cpu(whole), "9");
        let limited = json!({"containers": [{"name": "c", "resources": {"limits": {"cpu": "3"}}}]});
        assert_eq!(cpu(limited), "3");
    }

    #[test]
    fn summary_has_gpus_kubelets_and_runtimes() {
        let found = with(|_| {});
        assert_eq!(
            found.summary,
            "8 amd.com/gpu on 1 of 1 node; kubelet v1.37.2 on containerd://2.1.4"
        );
    }
}
