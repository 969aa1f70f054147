//! The index against a look at every matcher.

use proptest::prelude::*;
use serde_json::json;

use super::Index;
use crate::{
    pod::Json,
    profile::spec::Match,
    selection::{ARC_CONTROLLER, Matcher, Requesters, RunnerPod},
};

fn matcher(scale_sets: Option<Vec<String>>, namespaces: Option<Vec<String>>) -> Matcher {
    Matcher::compile(&Match { scale_sets, namespaces, ..Match::default() }).expect("patterns")
}

/// Looks for a runner of a scale set, which has one name on GitHub and one as an object.
fn ask<T>(names: [&str; 2], namespace: &str, look: impl FnOnce(&RunnerPod<'_>) -> T) -> T {
    let text = json!({"metadata": {
        "labels": {"actions-ephemeral-runner": "True", "actions.github.com/scale-set-name": names[0]},
        "annotations": {"actions.github.com/runner-scale-set-name": names[1]},
        "ownerReferences": [{"apiVersion": "actions.github.com/v1alpha1", "kind": "EphemeralRunner", "controller": true}],
    }})
    .to_string();
    let pod = Json::parse(&text).expect("JSON");
    look(&RunnerPod::of(&pod, namespace, ARC_CONTROLLER, &Requesters::default()).expect("a runner"))
}

/// A pattern of few letters, so that many of them match; it may be none at all.
fn pattern() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec!["a", "b", "ß", "-", "*", "*", "a-", "{gpus}-"]);
    prop::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat())
}

fn patterns() -> impl Strategy<Value = Option<Vec<String>>> {
    let valid =
        pattern().prop_filter("a pattern", |text| crate::selection::Pattern::parse(text).is_ok());
    prop::option::of(prop::collection::vec(valid, 1..4))
}

fn namespaces() -> impl Strategy<Value = Option<Vec<String>>> {
    patterns().prop_map(|all| {
        all.map(|all| all.into_iter().map(|text| text.replace("{gpus}", "*")).collect())
    })
}

proptest! {
    #[test]
    fn whatever_matches_is_a_candidate_each_once_and_in_order(
        all in prop::collection::vec((patterns(), namespaces()), 0..20),
        names in ["[abß4-]{0,6}", "[abß4-]{0,6}"],
        namespace in "[abß-]{0,5}",
    ) {
        let matchers: Vec<Matcher> =
            all.into_iter().map(|(sets, namespaces)| matcher(sets, namespaces)).collect();
        let index = Index::new(matchers.iter().map(Some));
        let (candidates, matching) = ask([&names[0], &names[1]], &namespace, |pod| {
            let matching: Vec<usize> =
                (0..matchers.len()).filter(|place| matchers[*place].judge(pod).is_ok()).collect();
            (index.candidates(pod), matching)
        });
        prop_assert!(candidates.is_sorted_by(|a, b| a < b), "{candidates:?}");
        for place in matching {
            prop_assert!(candidates.contains(&place), "{place} of {candidates:?}");
        }
    }
}

#[test]
fn the_profiles_of_a_thousand_other_teams_are_no_candidates() {
    let of = |team: u32| {
        let name = |text: &str| Some(vec![text.replace('N', &team.to_string())]);
        match team % 4 {
            0 => matcher(name("team-N.gpu.{gpus}"), None),
            1 => matcher(name("*-of-team-N"), None),
            2 => matcher(name("*"), name("team-N")),
            _ => matcher(None, name("*-N")),
        }
    };
    let matchers: Vec<Matcher> = (0..1000).map(of).collect();
    let index = Index::new(matchers.iter().map(Some));
    let found = |names, namespace| ask(names, namespace, |pod| index.candidates(pod));
    assert_eq!(found(["team-8-gpu-2", "team-8.gpu.2"], "any"), [8]);
    assert_eq!(found(["mi300-of-team-5", "mi300-of-team-5"], "any"), [5]);
    assert_eq!(found(["any", "any"], "team-6"), [6]);
    assert_eq!(found(["any", "any"], "runners-7"), [7]);
    assert_eq!(found(["any", "any"], "any"), [0_usize; 0]);
}

#[test]
fn what_only_a_name_chooses_is_never_a_candidate() {
    let any = matcher(None, None);
    let index = Index::new([None, Some(&any)]);
    assert_eq!(ask(["a", "b"], "c", |pod| index.candidates(pod)), [1]);
}
