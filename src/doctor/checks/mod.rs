//! The checks: from facts to findings.

mod admission;
mod api_server;
mod certificate;
mod controller;
mod nodes;
mod profiles;
mod registration;
mod runner_pods;
mod runners;
mod serving;

use std::collections::BTreeMap;

pub(super) use api_server::unreachable;

use super::{Check, Facts, FindingCode, facts::Settings, sample::Samples};

/// The most names in a finding.
const NAMES: usize = 10;

pub(super) fn all(facts: &Facts) -> Vec<Check> {
    let samples = Samples::of(facts);
    vec![
        api_server::check(facts),
        registration::check(facts),
        certificate::check(facts),
        serving::check(facts),
        admission::check(facts),
        controller::check(facts),
        profiles::check(facts, &samples),
        runner_pods::check(facts, &samples),
        nodes::check(facts, &samples),
        runners::check(facts, &samples),
    ]
}

/// The names of the installation, for remedies.
fn installation(settings: &Settings) -> [(&str, &str); 2] {
    [("NAME", &settings.name), ("NAMESPACE", &settings.namespace)]
}

/// Adds a finding if the pods of scale sets are not known, because the profiles are not.
fn needs_profiles(check: &mut Check, samples: &Samples) {
    if !samples.known {
        check.unknown("the profiles are not known, as the profiles check says");
    }
}

/// A list of names, cut at [`NAMES`].
fn names(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let all: Vec<_> = names.into_iter().collect();
    let text = all.iter().take(NAMES).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if all.len() > NAMES { format!("{text} and {} more", all.len() - NAMES) } else { text }
}

/// `1 pod`, `2 pods`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Names with what is said of them. What is the same of several is one finding.
#[derive(Default)]
struct Grouped<'f>(BTreeMap<(FindingCode, String), Vec<&'f str>>);

impl<'f> Grouped<'f> {
    fn say(&mut self, code: FindingCode, name: &'f str, text: String) {
        self.0.entry((code, text)).or_default().push(name);
    }

    /// Adds a finding for each text; `subject` says what the names are.
    fn add_to(self, check: &mut Check, subject: &str) {
        for ((code, text), all) in self.0 {
            check.add(code, format!("{subject} {}: {text}", names(all)), &[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Unknown, testing::healthy};

    #[test]
    fn page_has_the_checks_in_their_order() {
        let page = include_str!("../../../docs/doctor.md");
        let (_, table) = page.split_once("| check | what it compares |\n").unwrap();
        let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
        let listed: Vec<&str> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
        let checks: Vec<&str> = all(&healthy()).iter().map(|check| check.name).collect();
        assert_eq!(listed, checks);
    }

    #[test]
    fn no_check_is_ok_without_facts() {
        fn blind<T>() -> Result<T, Unknown> {
            Err(Unknown::Forbidden("read it".to_owned()))
        }
        let facts = Facts {
            settings: healthy().settings,
            now: 0,
            version: blind(),
            registration: blind(),
            other_registrations: Vec::new(),
            deployment: blind(),
            certificate: blind(),
            config_map: blind(),
            profiles: blind(),
            runtime_classes: blind(),
            scale_sets: blind(),
            runners: blind(),
            runner_pods: blind(),
            namespaces: blind(),
            controllers: blind(),
            nodes: blind(),
            dry_run: blind(),
            trials: BTreeMap::new(),
        };
        for check in all(&facts) {
            let codes: Vec<_> = check.findings.iter().map(|finding| finding.code).collect();
            assert!(!codes.is_empty(), "{} is ok", check.name);
            assert!(codes.iter().all(|code| *code == FindingCode::Unknown), "{check:?}");
        }
    }

    #[test]
    fn long_list_of_names_is_cut() {
        let many: Vec<String> = (0..12).map(|number| number.to_string()).collect();
        assert_eq!(names(&many), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
        assert_eq!(names(["a"]), "a");
    }
}
