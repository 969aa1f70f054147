use serde_json::json;

use super::*;
use crate::profile::{Object, Position};

fn acceptance(generation: i64, problems: &[&str]) -> Acceptance {
    let problem = |message: &&str| Problem {
        file: "f".to_owned(),
        at: Position::default(),
        path: "spec.gpu".to_owned(),
        message: (*message).to_owned(),
    };
    Acceptance { generation, problems: problems.iter().map(problem).collect() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or_default()
}

/// The status that is written over `old`.
fn over(acceptance: &Acceptance, old: &RunnerProfileStatus, second: i64) -> RunnerProfileStatus {
    changed(acceptance, old, at(second)).unwrap_or_else(|| panic!("nothing to write"))
}

fn first(acceptance: &Acceptance) -> RunnerProfileStatus {
    over(acceptance, &RunnerProfileStatus::default(), 1)
}

fn object(status: RunnerProfileStatus) -> ObjectWithStatus {
    let object =
        Object { name: "a".to_owned(), uid: "u".to_owned(), generation: 1, spec: json!({}) };
    ObjectWithStatus { object, status }
}

fn job(acceptance: Acceptance) -> Job {
    Job { name: "a".to_owned(), uid: "u".to_owned(), acceptance }
}

#[test]
fn status_is_not_written_twice() {
    let good = acceptance(3, &[]);
    let status = first(&good);
    assert_eq!(changed(&good, &status, at(9)), None);
    let text = serde_json::to_string(&status).unwrap();
    let read: RunnerProfileStatus = serde_json::from_str(&text).unwrap();
    assert_eq!(changed(&good, &read, at(9)), None);
}

#[test]
fn status_of_a_bad_edit_has_every_problem() {
    let before = first(&acceptance(3, &[]));
    let status = over(&acceptance(4, &["no such field", "too many"]), &before, 2);
    let [accepted] = status.conditions.as_slice() else { panic!("{status:?}") };
    assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("False", "Invalid"));
    assert_eq!(accepted.message, "spec.gpu: no such field\nspec.gpu: too many");
    assert_eq!(accepted.last_transition_time, Time(at(2)));
    assert_eq!(accepted.observed_generation, Some(4));
    let still = over(&acceptance(5, &["too many"]), &status, 3);
    assert_eq!(still.conditions[0].last_transition_time, Time(at(2)));
    assert_eq!(over(&acceptance(6, &[]), &still, 4).conditions[0].status, "True");
}

#[test]
fn status_message_is_cut_between_characters() {
    let status = first(&acceptance(1, &[&"\u{e4}".repeat(40_000)]));
    let message = &status.conditions[0].message;
    assert!(message.len() <= MESSAGE_BYTES && message.ends_with("\u{e4} ..."));
}

/// Replicas of other files or another version would else write as fast as they can.
#[test]
fn status_of_another_replica_is_corrected_seldom() {
    let acceptances = BTreeMap::from([("u".to_owned(), acceptance(1, &[]))]);
    let others = object(first(&acceptance(1, &["no such field"])));
    let jobs_at = |written: &Written, corrects| {
        jobs(std::slice::from_ref(&others), &acceptances, written, corrects).len()
    };
    assert_eq!(jobs_at(&Written::new(), false), 1);
    let written = Written::from([("u".to_owned(), acceptance(1, &[]))]);
    assert_eq!(jobs_at(&written, false), 0);
    assert_eq!(jobs_at(&written, true), 1);
    let changed = Written::from([("u".to_owned(), acceptance(1, &["another problem"]))]);
    assert_eq!(jobs_at(&changed, false), 1);
}

#[test]
fn status_that_is_right_is_not_written() {
    let acceptances = BTreeMap::from([("u".to_owned(), acceptance(1, &[]))]);
    let right = [object(first(&acceptance(1, &[])))];
    assert!(jobs(&right, &acceptances, &Written::new(), true).is_empty());
}

#[test]
fn status_of_an_object_that_changed_since_is_not_written() {
    let mut stored: Stored = serde_json::from_value(json!({
        "apiVersion": "arc-rocm.dev/v1alpha1",
        "kind": "RunnerProfile",
        "metadata": {"name": "a", "uid": "u", "generation": 1, "resourceVersion": "7"},
        "spec": {},
    }))
    .unwrap();
    let job = job(acceptance(1, &[]));
    assert!(changed_of(&stored, &job, at(1)).is_some());
    stored.metadata.generation = Some(2);
    assert_eq!(changed_of(&stored, &job, at(1)), None);
    stored.metadata.generation = Some(1);
    stored.metadata.uid = Some("other".to_owned());
    assert_eq!(changed_of(&stored, &job, at(1)), None);
}

#[test]
fn corrections_of_replicas_drift_apart() {
    let periods: Vec<Duration> = (0..50).map(|_| jittered(CORRECT)).collect();
    assert!(periods.iter().all(|one| (CORRECT..CORRECT * 6 / 5).contains(one)), "{periods:?}");
    assert!(periods.iter().any(|one| *one != periods[0]), "{periods:?}");
}
