//! Whether there is a node for each scale set's runner.

use super::names;
use crate::cluster::doctor::{
    Check, Code, Facts, Node,
    sample::{Chosen, Samples},
};

/// AMD's device plugin registers it.
const GPU: &str = "amd.com/gpu";

pub(super) fn check(facts: &Facts, samples: &Samples) -> Check {
    let mut check = Check::new("nodes");
    let nodes = match &facts.nodes {
        Ok(nodes) => nodes,
        Err(unknown) => {
            check.unknown(unknown);
            return check;
        }
    };
    check.cut(nodes.cut, "nodes");
    let offers = |node: &Node, resource: &str| node.allocatable.get(resource).copied().unwrap_or(0);
    let total: u64 = nodes.items.iter().map(|node| offers(node, GPU)).sum();
    let with = nodes.items.iter().filter(|node| offers(node, GPU) > 0).count();
    check.summary = format!("{total} {GPU} on {}", super::count(with, "node"));

    let resources: Vec<&str> =
        samples.all.iter().filter_map(wants).map(|chosen| chosen.resource.as_str()).collect();
    // A fleet may ask for partitions under other names alone.
    let asked = resources.is_empty() || resources.contains(&GPU);
    if total == 0 && asked {
        check.add(
            Code::NoGpuNodes,
            format!("no node has {GPU} allocatable: GPU runners stay Pending"),
            "install AMD's GPU device plugin; with nodes that are scaled from zero this is as it \
             should be",
        );
        return check;
    }
    if !samples.known {
        return check;
    }
    for sample in &samples.all {
        let Some(chosen) = wants(sample) else { continue };
        let fits = |node: &Node| offers(node, &chosen.resource) >= chosen.gpus.into();
        let selected = |node: &Node| {
            chosen.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
        };
        if nodes.items.iter().any(|node| fits(node) && selected(node)) {
            continue;
        }
        let labels: Vec<String> =
            chosen.node_selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let why = if nodes.items.iter().any(fits) {
            format!(
                "no node that has them is labelled {}",
                names(labels.iter().map(String::as_str))
            )
        } else {
            "no node has as many".to_owned()
        };
        let source = if chosen.by_name { " (by its name)" } else { "" };
        check.add(
            Code::GpusDoNotFit,
            format!(
                "a runner of {}/{} asks for {} {}{source}, and {why}: it stays Pending",
                sample.namespace, sample.name, chosen.gpus, chosen.resource
            ),
            "label nodes, or change nodeSelector or gpu.count of the profile; with nodes that are \
             scaled from zero this is as it should be",
        );
    }
    check
}

/// The choice for a scale set that gets GPUs.
fn wants(sample: &crate::cluster::doctor::sample::Sample) -> Option<&Chosen> {
    sample.outcome.as_ref().ok().filter(|chosen| chosen.gpus > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::doctor::testing::{codes, healthy, scale_set};

    fn with(change: impl FnOnce(&mut Facts)) -> Check {
        let mut facts = healthy();
        change(&mut facts);
        check(&facts, &Samples::of(&facts))
    }

    #[test]
    fn each_scale_set_needs_one_node_that_can_take_a_runner() {
        assert!(codes(&with(|_| {})).is_empty());
        let sixteen = with(|facts| {
            let sets = facts.scale_sets.as_mut().unwrap().as_mut().unwrap();
            sets.items.push(scale_set("linux.rocm.gpu.gfx942.16"));
        });
        assert_eq!(codes(&sixteen), ["gpus-do-not-fit"]);
        assert!(sixteen.findings[0].message.contains("16 amd.com/gpu (by its name)"));
        assert!(sixteen.findings[0].message.contains("no node has as many"));
        let unlabelled = with(|facts| facts.nodes.as_mut().unwrap().items[0].labels.clear());
        assert_eq!(codes(&unlabelled), ["gpus-do-not-fit"]);
        assert!(unlabelled.findings[0].message.contains("labelled pytorch=yes"));
    }

    #[test]
    fn a_cluster_without_gpus_is_told_once() {
        let found = with(|facts| facts.nodes.as_mut().unwrap().items.clear());
        assert_eq!(codes(&found), ["no-gpu-nodes"]);
    }
}
