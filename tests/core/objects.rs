//! RunnerProfile objects, by chance: whatever comes in whatever order, the good ones are in force.

use arc_rocm::profile::{
    objects::{Judged, Object, judge},
    status::LastGood,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A good profile of which no other matches the same pods.
fn good(index: usize, base: Option<usize>) -> Value {
    let extends = base.map_or_else(|| "rocm".to_owned(), |base| format!("good-{base}"));
    json!({
        "extends": extends,
        "groups": [1000 + index],
        "match": {"scaleSets": [format!("set-{index}-*")]},
    })
}

/// A spec that is bad in one of the ways there are.
fn bad(kind: usize, index: usize) -> Value {
    match kind % 6 {
        0 => json!({"gpus": 1}),
        1 => json!({"extends": "nobody"}),
        2 => json!({"template": {"spec": {"nodeSelectr": {}}}}),
        3 => json!({"extends": format!("bad-{index}")}),
        4 => json!({"dind": {"dataRoot": {"emptyDir": {}, "hostPath": {"path": "/a"}}}}),
        // Meets a good one, which is older.
        _ => json!({"extends": "rocm", "match": {"scaleSets": ["set-0-*"]}}),
    }
}

fn object(name: String, created: i64, spec: Value, last: Option<Value>) -> Object {
    Object {
        uid: format!("uid of {name}"),
        name,
        generation: 2,
        created,
        spec,
        good: last.map(|spec| LastGood { generation: 1, spec }),
    }
}

/// Good objects, some of which build on an earlier one, and bad ones.
fn objects() -> impl Strategy<Value = (Vec<Object>, Vec<Object>)> {
    let bases = prop::collection::vec(prop::option::of(0_usize..8), 1..8);
    let kinds = prop::collection::vec((0_usize..6, prop::bool::ANY), 0..6);
    (bases, kinds).prop_map(|(bases, kinds)| {
        let goods = bases.iter().enumerate().map(|(index, base)| {
            let base = base.filter(|base| *base < index);
            object(format!("good-{index}"), 1, good(index, base), None)
        });
        let bads = kinds.iter().enumerate().map(|(index, (kind, had))| {
            let last = had.then(|| json!({"extends": "rocm", "groups": [index]}));
            object(format!("bad-{index}"), 2, bad(*kind, index), last)
        });
        (goods.collect(), bads.collect())
    })
}

fn judged(objects: &[Object]) -> Judged {
    judge(&[], objects).unwrap()
}

/// Name and digest of all that is in force, in the order in which it is tried.
fn set(judged: &Judged) -> Vec<(String, String)> {
    judged.profiles.iter().map(|profile| (profile.name.clone(), profile.digest.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_order_of_arrival_does_not_matter(
        (all, shuffled) in objects().prop_flat_map(|(goods, bads)| {
            let all = [goods, bads].concat();
            (Just(all.clone()), Just(all).prop_shuffle())
        }),
    ) {
        let (one, other) = (judged(&all), judged(&shuffled));
        prop_assert_eq!(set(&one), set(&other));
        prop_assert_eq!(one.verdicts, other.verdicts);
    }

    #[test]
    fn bad_objects_change_no_other_profile((goods, bads) in objects()) {
        let alone = judged(&goods);
        let beside = judged(&[goods.clone(), bads.clone()].concat());
        for object in &goods {
            prop_assert_eq!(&alone.verdicts[&object.name], &beside.verdicts[&object.name]);
            let digest = |judged: &Judged| judged.profiles.get(&object.name).map(|one| one.digest.clone());
            prop_assert_eq!(digest(&alone), digest(&beside));
            prop_assert!(digest(&alone).is_some());
        }
        for object in &bads {
            let verdict = &beside.verdicts[&object.name];
            prop_assert!(verdict.refusal.is_some(), "{:?}", object);
            let expected = object.good.as_ref().map(|good| good.generation);
            prop_assert_eq!(verdict.in_force, expected, "{:?}", object);
        }
    }
}

#[test]
fn a_second_look_at_what_was_judged_changes_nothing() {
    let mut all: Vec<Object> = (0..5)
        .map(|index| object(format!("good-{index}"), 1, good(index, None), None))
        .chain((0..6).map(|index| object(format!("bad-{index}"), 2, bad(index, index), None)))
        .collect();
    let first = judged(&all);
    for object in &mut all {
        object.good.clone_from(&first.verdicts[&object.name].good);
    }
    let second = judged(&all);
    assert_eq!(set(&first), set(&second));
    assert_eq!(first.verdicts, second.verdicts);
}
