//! The checks: from facts to findings.

mod admission;
mod api_server;
mod ca_bundle;
mod certificate;
mod controller_user;
mod nodes;
mod pod_security;
mod profiles;
mod registration;
mod runners;
mod serving;
mod validity;

pub(super) use api_server::unreachable;

use super::{Check, Facts, sample::Samples};

/// The most names in a finding.
const NAMES: usize = 10;

pub(super) fn all(facts: &Facts) -> Vec<Check> {
    let samples = Samples::of(facts);
    vec![
        api_server::check(facts),
        registration::check(facts),
        ca_bundle::check(facts),
        serving::check(facts),
        admission::check(facts),
        certificate::check(facts),
        controller_user::check(facts),
        pod_security::check(facts, &samples),
        profiles::check(facts, &samples),
        nodes::check(facts, &samples),
        runners::check(facts, &samples),
    ]
}

/// A list of names, cut at [`NAMES`].
fn names<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let all: Vec<&str> = names.into_iter().collect();
    let mut text = all.iter().take(NAMES).copied().collect::<Vec<_>>().join(", ");
    if all.len() > NAMES {
        text = format!("{text} and {} more", all.len() - NAMES);
    }
    text
}

/// `1 pod`, `2 pods`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_list_of_names_is_cut() {
        let many: Vec<String> = (0..12).map(|number| number.to_string()).collect();
        let text = names(many.iter().map(String::as_str));
        assert_eq!(text, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
        assert_eq!(names(["a"]), "a");
    }
}
