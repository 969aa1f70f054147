//! Scale set names of public fleets, with profiles that read the number of GPUs from the name.

use std::{collections::BTreeMap, fmt::Write as _};

use arc_rocm::inject::Config;
use serde_json::Value;

use crate::support::{ask, config, review};

const NAMES: &str = include_str!("../fixtures/scale-set-names.tsv");
const PATTERNS: &str = include_str!("../fixtures/fleet-patterns.tsv");

/// The rows of a table of three columns, without comments and header.
fn rows(table: &'static str) -> impl Iterator<Item = [&'static str; 3]> {
    table.lines().filter(|line| !line.starts_with('#')).skip(1).map(|line| {
        let cells: Vec<&str> = line.split('\t').collect();
        cells.try_into().unwrap()
    })
}

/// One profile for each priority and count of the table of patterns.
fn fleet() -> Config {
    let mut groups: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for [priority, pattern, count] in rows(PATTERNS) {
        groups.entry((priority, count)).or_default().push(pattern);
    }
    let mut text = String::new();
    for ((priority, count), patterns) in groups {
        let name = format!("p{priority}-{}", count.trim_matches(['{', '}']));
        let count = count.parse().unwrap_or(2);
        write!(
            text,
            "---\napiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: {name}}}\n\
             spec:\n  extends: rocm\n  priority: {priority}\n  gpu: {{count: {count}}}\n  match: {{scaleSets: {patterns:?}}}\n",
        )
        .unwrap();
    }
    config(&text)
}

fn gpus(pod: &Value) -> &str {
    let limits = pod.pointer("/spec/containers/0/resources/limits/amd.com~1gpu");
    limits.and_then(Value::as_str).unwrap_or("-")
}

#[test]
fn scale_set_name_gives_its_gpu_count() {
    let config = fleet();
    let captured = review("plain").to_string();
    let mut names = 0;
    for [name, expected, family] in rows(NAMES) {
        let review = captured.replace("linux.rocm.gpu.gfx942.2", name);
        let answered = ask(&serde_json::from_str(&review).unwrap(), &config);
        assert_eq!(gpus(&answered.pod), expected, "{name} ({family})");
        let command = answered.pod.pointer("/spec/containers/0/command/4").unwrap();
        let count = expected.replace('-', "0");
        assert_eq!(command, &format!("--gpus={count}"), "{name}");
        names += 1;
    }
    assert!(names > 120, "{names}");
}

#[test]
fn gpu_count_prefers_annotation_then_name() {
    let config = fleet();
    let mut review = review("plain");
    assert_eq!(gpus(&ask(&review, &config).pod), "2");
    let annotations = review.pointer_mut("/request/object/metadata/annotations").unwrap();
    annotations["arc-rocm.dev/gpus"] = "8".into();
    assert_eq!(gpus(&ask(&review, &config).pod), "8");
    let annotations = review.pointer_mut("/request/object/metadata/annotations").unwrap();
    annotations["arc-rocm.dev/gpus"] = "many".into();
    assert_eq!(gpus(&ask(&review, &config).pod), "2");
}
