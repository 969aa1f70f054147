use serde_json::json;

use super::{testing::new, *};

/// An object whose spec is in force.
fn settled(name: &str, spec: Value) -> Object {
    let good = Some(LastGood { generation: 1, spec: spec.clone() });
    Object { good, ..new(name, spec) }
}

/// The same object with another spec.
fn edited(object: Object, spec: Value) -> Object {
    Object { generation: object.generation + 1, spec, ..object }
}

fn created(created: i64, object: Object) -> Object {
    Object { created, ..object }
}

fn file(name: &str, spec: &Value) -> File {
    let text = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name},
        "spec": spec,
    });
    File { name: format!("{name}.yaml"), text: text.to_string() }
}

fn judged(files: &[File], objects: &[Object]) -> Judged {
    judge(files, objects).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// The word and the messages of a refusal; empty without one.
fn refusal(judged: &Judged, name: &str) -> (&'static str, String) {
    match &judged.verdicts[name].refusal {
        None => ("", String::new()),
        Some(Refusal { reason, problems }) => {
            let messages: Vec<&str> = problems.iter().map(|one| one.message.as_str()).collect();
            (reason.as_str(), messages.join("\n"))
        }
    }
}

/// Which generation of each object is in force.
fn in_force(judged: &Judged) -> Vec<(&str, Option<i64>)> {
    judged.verdicts.iter().map(|(name, one)| (name.as_str(), one.in_force)).collect()
}

fn digest(judged: &Judged, name: &str) -> String {
    judged.profiles.get(name).map(|profile| profile.digest.clone()).unwrap_or_default()
}

fn matching(pattern: &str) -> Value {
    json!({"extends": "rocm", "match": {"scaleSets": [pattern]}})
}

#[test]
fn files_and_objects_are_one_set_and_objects_extend_both() {
    let files = [file("base", &json!({"groups": [1]}))];
    let objects = [
        new("child", json!({"extends": "middle", "match": {"scaleSets": ["a-*"]}})),
        new("middle", json!({"extends": "base"})),
    ];
    let judged = judged(&files, &objects);
    assert_eq!(in_force(&judged), [("child", Some(1)), ("middle", Some(1))]);
    let child = judged.profiles.get("child").map(|one| (one.extends.clone(), one.origin.clone()));
    let bases = vec!["middle".to_owned(), "base".to_owned()];
    assert_eq!(child, Some((bases, "runnerprofiles.arc-rocm.dev/child".to_owned())));
}

#[test]
fn the_builtin_profile_is_for_everyone_only_where_there_is_no_object_either() {
    let builtin = |objects: &[Object]| {
        let set = judged(&[], objects).profiles;
        set.get(BUILTIN).map(|profile| profile.matcher.is_some())
    };
    assert_eq!(builtin(&[]), Some(true));
    assert_eq!(builtin(&[new("a", json!({}))]), Some(false));
    // A mistake in the only profile must not give every runner a privileged container.
    assert_eq!(builtin(&[new("a", json!({"gpus": 1}))]), Some(false));
}

#[test]
fn a_bad_edit_keeps_the_last_good_spec_and_says_what_is_wrong() {
    let a = settled("a", matching("a-*"));
    let before = judged(&[], std::slice::from_ref(&a));
    let bad = edited(a, json!({"extends": "rocm", "template": {"spec": {"nodeSelectr": {}}}}));
    let after = judged(&[], &[bad]);
    assert_eq!(in_force(&after), [("a", Some(1))]);
    assert_eq!(digest(&after, "a"), digest(&before, "a"));
    let (reason, message) = refusal(&after, "a");
    assert_eq!(reason, "Invalid");
    assert!(message.contains("did you mean \"nodeSelector\"?"), "{message}");
    assert_eq!(after.verdicts["a"].good, before.verdicts["a"].good);
}

#[test]
fn a_bad_object_without_a_good_spec_is_left_out_and_nothing_else_changes() {
    let good = [new("a", matching("a-*")), new("b", matching("b-*"))];
    let before = judged(&[], &good);
    let with_bad = [good.to_vec(), vec![new("c", json!({"extends": "nobody"}))]].concat();
    let after = judged(&[], &with_bad);
    assert_eq!(in_force(&after), [("a", Some(1)), ("b", Some(1)), ("c", None)]);
    assert_eq!(
        (digest(&after, "a"), digest(&after, "b")),
        (digest(&before, "a"), digest(&before, "b"))
    );
    assert!(refusal(&after, "c").1.contains("there is no valid profile \"nobody\""));
}

#[test]
fn a_file_comes_before_an_object_of_its_name() {
    let files = [file("a", &matching("a-*"))];
    let objects = [settled("a", matching("b-*")), new(BUILTIN, json!({}))];
    let judged = judged(&files, &objects);
    assert_eq!(in_force(&judged), [("a", None), (BUILTIN, None)]);
    let (reason, message) = refusal(&judged, "a");
    assert_eq!(reason, "NameTaken");
    assert_eq!(message, "the file a.yaml has a profile of this name, and files come first");
    assert_eq!(refusal(&judged, BUILTIN).0, "NameTaken");
    let origin = judged.profiles.get("a").map(|profile| profile.origin.as_str());
    assert_eq!(origin, Some("a.yaml:1"));
}

#[test]
fn of_two_that_meet_the_file_wins_then_what_was_in_force_then_the_older_then_the_name() {
    let loser = |files: &[File], objects: &[Object]| {
        let judged = judged(files, objects);
        let lost = judged.verdicts.iter().filter(|(_, one)| one.refusal.is_some());
        let lost: Vec<(String, &str)> =
            lost.map(|(name, _)| (name.clone(), refusal(&judged, name).0)).collect();
        assert!(lost.iter().all(|(name, _)| judged.profiles.get(name).is_none()), "{lost:?}");
        lost
    };
    let lost = |name: &str| vec![(name.to_owned(), "Conflict")];
    let spec = || matching("x-*");
    assert_eq!(loser(&[file("z", &spec())], &[settled("a", spec())]), lost("a"));
    let old_and_new = [created(1, new("a", spec())), created(2, settled("b", spec()))];
    assert_eq!(loser(&[], &old_and_new), lost("a"));
    let older = [created(2, new("a", spec())), created(1, new("b", spec()))];
    assert_eq!(loser(&[], &older), lost("a"));
    assert_eq!(loser(&[], &[new("a", spec()), new("b", spec())]), lost("b"));
}

#[test]
fn an_edit_that_runs_into_another_profile_is_the_one_refused() {
    let a = settled("a", matching("a-*"));
    let b = settled("b", matching("b-*"));
    let after = judged(&[], &[created(1, edited(a, matching("b-*"))), created(9, b)]);
    assert_eq!(in_force(&after), [("a", Some(1)), ("b", Some(1))]);
    let (reason, message) = refusal(&after, "a");
    assert_eq!(reason, "Conflict");
    assert!(message.contains("also matched by profile \"b\""), "{message}");
}

#[test]
fn only_the_loser_of_three_in_a_row_goes() {
    // a meets b and b meets c, but a and c do not meet.
    let objects = [
        created(1, new("a", matching("x-1*"))),
        created(2, new("b", matching("x-*"))),
        created(3, new("c", matching("x-2*"))),
    ];
    assert_eq!(in_force(&judged(&[], &objects)), [("a", Some(1)), ("b", None), ("c", Some(1))]);
}

#[test]
fn a_bad_base_is_to_blame_and_not_what_extends_it() {
    let base = settled("base", json!({"extends": "rocm", "groups": [7]}));
    let child = new("child", json!({"extends": "base", "match": {"scaleSets": ["c-*"]}}));
    let after = judged(&[], &[edited(base, json!({"gpus": 1})), child]);
    assert_eq!(in_force(&after), [("base", Some(1)), ("child", Some(1))]);
    assert_eq!((refusal(&after, "base").0, refusal(&after, "child").0), ("Invalid", ""));
}

#[test]
fn an_edit_of_a_base_that_breaks_a_profile_in_force_is_refused() {
    let base = settled("base", json!({"extends": "rocm"}));
    let child = settled(
        "child",
        json!({"extends": "base", "dind": {"registryCredentials": {"secretName": "hub"}}}),
    );
    let before = judged(&[], &[base.clone(), child.clone()]);
    assert_eq!(in_force(&before), [("base", Some(1)), ("child", Some(1))]);
    // Good by itself, but the child's credentials need the start wrapper.
    let edit = json!({"extends": "rocm", "start": null});
    let alone = judged(&[], &[new("base", edit.clone())]);
    assert_eq!(refusal(&alone, "base").0, "");
    let after = judged(&[], &[edited(base, edit), child]);
    assert_eq!(in_force(&after), [("base", Some(1)), ("child", Some(1))]);
    assert_eq!((refusal(&after, "base").0, refusal(&after, "child").0), ("BreaksOthers", ""));
    assert_eq!(digest(&after, "child"), digest(&before, "child"));
}

#[test]
fn a_good_edit_of_a_base_is_not_held_back_by_a_profile_that_is_bad_anyhow() {
    let base = settled("base", json!({"extends": "rocm"}));
    // In force before the version of arc-rocm that refuses it.
    let child = settled("child", json!({"extends": "base", "template": {"spec": {"nope": 1}}}));
    let other = settled("other", json!({"extends": "base", "gpu": {"resource": "no good"}}));
    let after =
        judged(&[], &[edited(base, json!({"extends": "rocm", "groups": [9]})), child, other]);
    assert_eq!(in_force(&after), [("base", Some(2)), ("child", None), ("other", None)]);
    assert_eq!(refusal(&after, "base").0, "");
}

#[test]
fn a_base_that_is_gone_takes_what_extends_it_and_nothing_else() {
    let child = settled("child", json!({"extends": "gone"}));
    let after = judged(&[], &[child, settled("a", matching("a-*"))]);
    assert_eq!(in_force(&after), [("a", Some(1)), ("child", None)]);
}

#[test]
fn a_circle_of_objects_goes_as_a_whole() {
    let objects = [
        new("a", json!({"extends": "b"})),
        new("b", json!({"extends": "a"})),
        new("c", matching("c-*")),
    ];
    assert_eq!(in_force(&judged(&[], &objects)), [("a", None), ("b", None), ("c", Some(1))]);
}

#[test]
fn a_long_chain_on_a_bad_base_comes_to_an_end() {
    let mut objects: Vec<Object> = (0..MAX_ROUNDS + 20)
        .map(|index| {
            let base = if index == 0 { "nobody".to_owned() } else { format!("p{}", index - 1) };
            new(&format!("p{index}"), json!({"extends": base}))
        })
        .collect();
    objects.push(new("good", matching("a-*")));
    let judged = judged(&[], &objects);
    let good: Vec<_> = in_force(&judged).into_iter().filter(|(_, force)| force.is_some()).collect();
    assert_eq!(good, [("good", Some(1))]);
}

#[test]
fn bad_files_are_the_files_problem() {
    let problems = judge(&[file("a", &json!({"gpus": 1}))], &[new("b", json!({}))]);
    let problems = problems.map(|_| ()).unwrap_err();
    assert!(problems.iter().all(|problem| problem.file == "a.yaml"), "{problems:?}");
}

#[test]
fn null_in_an_object_takes_an_inherited_value_away() {
    let judged = judged(&[], &[new("a", json!({"extends": "rocm", "dind": null, "groups": null}))]);
    let template = judged.profiles.get("a").map(|profile| profile.pod_template(1).to_string());
    assert!(template.is_some_and(|text| !text.contains("docker-data")));
}

/// An object of a list is cut off below what may be read; what is left of it is still too deep.
#[test]
fn an_object_that_is_too_deep_is_one_bad_object() {
    let mut deep = json!({});
    for _ in 0..90 {
        deep = json!({"a": deep});
    }
    let objects = [new("deep", json!({"template": {"spec": deep}})), new("good", json!({}))];
    let judged = judged(&[], &objects);
    let (reason, messages) = refusal(&judged, "deep");
    assert_eq!(reason, "Invalid");
    assert!(messages.contains("nest deeper than 64 levels"), "{messages}");
    assert_eq!(in_force(&judged), [("deep", None), ("good", Some(1))]);
}
