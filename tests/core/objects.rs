//! Random RunnerProfile objects in random order: the valid ones are always in force.

use arc_rocm::profile::{Object, Resolved, resolve};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A valid profile.
fn good(index: usize, base: Option<usize>) -> Value {
    let extends = base.map_or_else(|| "rocm".to_owned(), |base| format!("good-{base}"));
    json!({
        "extends": extends,
        "groups": [1000 + index],
        "match": {"scaleSets": [format!("set-x{index}-*")]},
    })
}

/// An invalid spec, of one of five kinds.
fn bad(kind: usize, index: usize) -> Value {
    match kind % 5 {
        0 => json!({"gpus": 1}),
        1 => json!({"extends": "missing"}),
        2 => json!({"template": {"spec": {"nodeSelectr": {}}}}),
        3 => json!({"extends": format!("bad-{index}")}),
        _ => json!({"dind": {"dataRoot": {"emptyDir": {}, "hostPath": {"path": "/a"}}}}),
    }
}

fn object(name: String, spec: Value) -> Object {
    Object { uid: format!("uid of {name}"), name, generation: 2, spec }
}

/// Valid objects, some of which extend an earlier one, and invalid ones, each with an object that
/// extends it.
fn objects() -> impl Strategy<Value = (Vec<Object>, Vec<Object>)> {
    let bases = prop::collection::vec(prop::option::of(0_usize..8), 1..8);
    let kinds = prop::collection::vec(0_usize..5, 0..6);
    (bases, kinds).prop_map(|(bases, kinds)| {
        let goods = bases.iter().enumerate().map(|(index, base)| {
            let base = base.filter(|base| *base < index);
            object(format!("good-{index}"), good(index, base))
        });
        let bads = kinds.iter().enumerate().flat_map(|(index, kind)| {
            let extends = json!({"extends": format!("bad-{index}")});
            [
                object(format!("bad-{index}"), bad(*kind, index)),
                object(format!("extends-bad-{index}"), extends),
            ]
        });
        (goods.collect(), bads.collect())
    })
}

fn resolved(objects: &[Object]) -> Resolved {
    resolve(&[], objects).unwrap()
}

/// Name and digest of the profiles in force, in the order in which they are tried.
fn set(resolved: &Resolved) -> Vec<(String, String)> {
    let profiles = resolved.profiles.iter();
    profiles.map(|profile| (profile.name.clone(), profile.digest.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn objects_in_any_order_give_the_same_set(
        (all, shuffled) in objects().prop_flat_map(|(goods, bads)| {
            let all = [goods, bads].concat();
            (Just(all.clone()), Just(all).prop_shuffle())
        }),
    ) {
        let (one, other) = (resolved(&all), resolved(&shuffled));
        prop_assert_eq!(set(&one), set(&other));
        prop_assert_eq!(one.refused, other.refused);
    }

    #[test]
    fn objects_refused_change_no_other_profile((goods, bads) in objects()) {
        let alone = resolved(&goods);
        prop_assert!(alone.refused.is_empty(), "{:?}", alone.refused);
        let beside = resolved(&[goods, bads.clone()].concat());
        prop_assert_eq!(set(&alone), set(&beside));
        let refused: Vec<&String> = beside.refused.keys().collect();
        let mut bad: Vec<&String> = bads.iter().map(|object| &object.name).collect();
        bad.sort();
        prop_assert_eq!(refused, bad);
    }
}
