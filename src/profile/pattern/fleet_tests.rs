//! Names of public fleets, and one set of patterns that reads the correct count from each.

use std::collections::HashSet;

use super::Pattern;

const NAMES: &str = include_str!("../../../tests/fixtures/scale-set-names.tsv");
const FLEET: &str = include_str!("../../../tests/fixtures/fleet-patterns.tsv");

/// A row of the table of patterns.
struct Rule {
    priority: u32,
    pattern: Pattern,
    /// `{gpus}`, or a number.
    count: &'static str,
}

impl Rule {
    fn gpus(&self, name: &str) -> Option<u32> {
        let found = self.pattern.matches(name)?;
        Some(found.gpus.unwrap_or_else(|| self.count.parse().unwrap()))
    }
}

/// The rows of a table of three columns, without comments and header.
fn rows(table: &'static str) -> impl Iterator<Item = [&'static str; 3]> {
    table.lines().filter(|line| !line.starts_with('#')).skip(1).map(|line| {
        let cells: Vec<_> = line.split('\t').collect();
        cells.try_into().unwrap_or_else(|_| panic!("three columns: {line}"))
    })
}

fn mk_fleet() -> Vec<Rule> {
    rows(FLEET)
        .map(|[priority, pattern, count]| Rule {
            priority: priority.parse().unwrap(),
            pattern: Pattern::parse(pattern).unwrap(),
            count,
        })
        .collect()
}

/// The counts of the matching rules with the highest priority. More than one count is a conflict.
fn decide(fleet: &[Rule], name: &str) -> HashSet<u32> {
    let matching = || fleet.iter().filter(|rule| rule.pattern.matches(name).is_some());
    let top = matching().map(|rule| rule.priority).max();
    matching()
        .filter(|rule| Some(rule.priority) == top)
        .filter_map(|rule| rule.gpus(name))
        .collect()
}

#[test]
fn fleet_name_gets_its_count() {
    let fleet = mk_fleet();
    for [name, gpus, family] in rows(NAMES) {
        let expected = if gpus == "-" { 0 } else { gpus.parse().unwrap() };
        assert_eq!(decide(&fleet, name), HashSet::from([expected]), "{name} ({family})");
    }
}

#[test]
fn fleet_names_are_many_and_unique() {
    let names: Vec<_> = rows(NAMES).map(|[name, _, _]| name).collect();
    assert!(names.len() >= 120, "{}", names.len());
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    for name in names {
        // ARC's chart limits the length, and Kubernetes the characters.
        assert!(name.len() <= 45, "{name}");
        assert!(name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '.' | '-')), "{name}");
    }
}

#[test]
fn fleet_rule_count_agrees_with_pattern() {
    for rule in mk_fleet() {
        assert_eq!(rule.count == "{gpus}", rule.pattern.has_gpus(), "{}", rule.pattern);
    }
}

#[test]
fn fleet_rules_each_decide_a_name() {
    let fleet = mk_fleet();
    for rule in &fleet {
        let decides = rows(NAMES).any(|[name, _, _]| {
            let top =
                fleet.iter().filter(|r| r.pattern.matches(name).is_some()).map(|r| r.priority);
            rule.pattern.matches(name).is_some() && top.max() == Some(rule.priority)
        });
        assert!(decides, "{}", rule.pattern);
    }
}
