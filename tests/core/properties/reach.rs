//! Coverage of the generated cases: a property that is never exercised proves nothing.

use std::collections::BTreeSet;

use arc_rocm::inject::ConflictCode;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};

use super::is_repairable;
use crate::{
    generate::{pods, profiles},
    support::ask,
    validity::problems,
};

const CASES: usize = 700;

#[test]
fn generated_cases_are_valid_and_reach_every_conflict() {
    let mut runner = TestRunner::deterministic();
    let (mut good, mut valid, mut patched) = (0, 0, 0);
    let mut codes = BTreeSet::new();
    for _ in 0..CASES {
        let (pod, profile) =
            (pods::cases(), profiles::cases()).new_tree(&mut runner).unwrap().current();
        let Some(config) = profile.config() else { continue };
        let review = pod.review();
        let answered = ask(&review, &config);
        let audit = &answered.review["response"]["auditAnnotations"];
        good += 1;
        valid += usize::from(is_repairable(&problems(&review["request"]["object"])));
        patched += usize::from(audit["outcome"] == "patched");
        let conflicts = audit["conflicts"].as_str().unwrap_or_default();
        codes.extend(conflicts.split(',').map(str::to_owned));
    }
    let missing: Vec<&str> = ConflictCode::ALL
        .iter()
        .map(|code| code.as_str())
        .filter(|code| !codes.contains(*code))
        .collect();
    println!("good {good} valid {valid} patched {patched}");
    assert_eq!(missing, [""; 0]);
    assert!(good * 10 > CASES * 7, "{good} of {CASES} profiles are good");
    assert!(valid * 2 > good, "{valid} of {good} pods are valid");
    assert!(patched * 10 > good * 9, "{patched} of {good} pods are patched");
}
