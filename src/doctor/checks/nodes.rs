//! Whether each scale set's runner fits on a node.

use super::names;
use crate::doctor::{
    Check, Facts, FindingCode, Node,
    sample::{Resolved, Samples},
};

/// The resource of AMD's device plugin.
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
    // A fleet may only request partitions, which have other names.
    let asked = resources.is_empty() || resources.contains(&GPU);
    if total == 0 && asked {
        check.add(
            FindingCode::NoGpuNodes,
            format!("no node has {GPU} allocatable: GPU runners stay Pending"),
            "install AMD's GPU device plugin; if an autoscaler adds GPU nodes from zero, this is \
             expected",
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
                "no node with as many has the labels {}",
                names(labels.iter().map(String::as_str))
            )
        } else {
            "no node has as many".to_owned()
        };
        let source = if chosen.by_name { " (by its name)" } else { "" };
        check.add(
            FindingCode::GpusDoNotFit,
            format!(
                "a runner of {}/{} requests {} {}{source}, and {why}: it stays Pending",
                sample.namespace, sample.name, chosen.gpus, chosen.resource
            ),
            "label nodes, or change nodeSelector or gpu.count of the profile; if an autoscaler adds GPU \
             nodes from zero, this is expected",
        );
    }
    check
}

/// The result for a scale set that gets GPUs.
fn wants(sample: &crate::doctor::sample::Sample) -> Option<&Resolved> {
    sample.outcome.as_ref().ok().filter(|chosen| chosen.gpus > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::testing::{codes, healthy, scale_set};

    fn with(change: impl FnOnce(&mut Facts)) -> Check {
        let mut facts = healthy();
        change(&mut facts);
        check(&facts, &Samples::of(&facts))
    }

    #[test]
    fn scale_set_needs_a_node_with_gpus_and_labels() {
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
        assert!(unlabelled.findings[0].message.contains("has the labels pytorch=yes"));
    }

    #[test]
    fn cluster_without_gpus_is_one_finding() {
        let found = with(|facts| facts.nodes.as_mut().unwrap().items.clear());
        assert_eq!(codes(&found), ["no-gpu-nodes"]);
    }
}
