//! The rules do not depend on each other.

use std::{fs, path::Path};

use serde_json::Value;

use super::*;
use crate::inject::{Config, select};

const USER: &str = "system:serviceaccount:arc-systems:arc-gha-rs-controller";

/// All changes, sorted, so that the order of the rules does not matter.
fn sorted(facts: &Facts<'_>, rules: impl Iterator<Item = Rule>) -> (Vec<String>, Vec<String>) {
    let mut changes = Changes::default();
    for rule in rules {
        rule(facts, &mut changes);
    }
    let mut edits = Vec::new();
    changes.edits.each(|path, leaf| edits.push(format!("{path} {leaf:?}")));
    let conflicts = changes.conflicts.iter().map(|conflict| format!("{conflict:?}"));
    let mut conflicts: Vec<_> = conflicts.collect();
    edits.sort();
    conflicts.sort();
    (edits, conflicts)
}

#[test]
fn rules_in_reverse_order_make_the_same_changes() {
    let config = Config::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arc");
    for name in
        ["plain", "experimental-plain", "dind", "dind-regular-container", "author-overrides"]
    {
        let text = fs::read_to_string(folder.join(format!("{name}.pod.json"))).unwrap();
        let pod: Value = serde_json::from_str(&text).unwrap();
        let pod = Json::of(&pod);
        let subject = select(&pod, "arc-runners", USER, &config).unwrap();
        let facts = Facts::new(&pod, subject.runner, subject.selection.selected());
        let (edits, conflicts) = sorted(&facts, RULES.into_iter());
        assert!(!edits.is_empty(), "{name}");
        assert_eq!(sorted(&facts, RULES.into_iter().rev()), (edits, conflicts), "{name}");
    }
}
