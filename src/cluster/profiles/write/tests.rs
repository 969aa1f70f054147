use serde_json::json;

use super::*;
use crate::profile::{Object, Position, Problem, status::RunnerProfileStatus};

fn verdict() -> Verdict {
    Verdict { generation: 1, problems: Vec::new() }
}

fn seen(status: RunnerProfileStatus) -> Vec<Seen> {
    let object =
        Object { name: "a".to_owned(), uid: "u".to_owned(), generation: 1, spec: json!({}) };
    vec![Seen { object, status }]
}

fn judged(verdict: Verdict) -> Verdicts {
    Arc::new([("u".to_owned(), verdict)].into())
}

fn stored(status: &Value) -> Stored {
    serde_json::from_value(json!({
        "apiVersion": "arc-rocm.dev/v1alpha1",
        "kind": "RunnerProfile",
        "metadata": {"name": "a", "uid": "u", "generation": 1, "resourceVersion": "7"},
        "spec": {},
        "status": status,
    }))
    .unwrap_or_else(|error| panic!("{error}"))
}

fn told() -> RunnerProfileStatus {
    tell(&verdict(), &RunnerProfileStatus::default(), Timestamp::UNIX_EPOCH).unwrap_or_default()
}

#[test]
fn one_write_for_an_object_has_both_what_became_of_it_and_its_count() {
    let mut counts = Counts::default();
    let none = RunnerProfileStatus::default;
    let first = jobs(&seen(none()), &judged(verdict()), &Said::new(), &mut counts, false, |_| 2);
    assert_eq!(first.iter().map(|job| job.added).collect::<Vec<_>>(), [0]);
    let later = jobs(&seen(none()), &judged(verdict()), &Said::new(), &mut counts, true, |_| 5);
    assert_eq!(later.iter().map(|job| job.added).collect::<Vec<_>>(), [3]);
}

#[test]
fn counts_alone_wait_for_the_flush_and_nothing_is_written_without_news() {
    let mut counts = Counts::default();
    let mut jobs_at = |is_flush, patched| {
        jobs(&seen(told()), &judged(verdict()), &Said::new(), &mut counts, is_flush, |_| patched)
            .len()
    };
    assert_eq!(jobs_at(true, 0), 0);
    assert_eq!(jobs_at(false, 4), 0);
    assert_eq!(jobs_at(true, 4), 1);
}

/// Replicas of other files or another version would else write as fast as they can.
#[test]
fn another_replicas_verdict_is_not_contradicted_before_the_flush() {
    let mut counts = Counts::default();
    let others = RunnerProfileStatus::default;
    let mut jobs_at = |said: &Said, is_flush| {
        jobs(&seen(others()), &judged(verdict()), said, &mut counts, is_flush, |_| 0).len()
    };
    assert_eq!(jobs_at(&Said::new(), false), 1);
    let said = Said::from([("u".to_owned(), verdict())]);
    assert_eq!(jobs_at(&said, false), 0);
    assert_eq!(jobs_at(&said, true), 1);
    // A verdict that is news of ours is said at once.
    let problem = Problem {
        file: "f".to_owned(),
        at: Position::default(),
        path: "spec".to_owned(),
        message: "bad".to_owned(),
    };
    let before = Verdict { problems: vec![problem], ..verdict() };
    assert_eq!(jobs_at(&Said::from([("u".to_owned(), before)]), false), 1);
}

#[test]
fn what_another_replica_counted_meanwhile_is_added_to_and_not_replaced() {
    let job = |added| Job { name: "a".to_owned(), uid: "u".to_owned(), verdict: verdict(), added };
    let mut status = serde_json::to_value(told()).unwrap_or_default();
    status["podsPatched"] = json!(40);
    let changed_by = |added| changed(&stored(&status), &job(added), Timestamp::UNIX_EPOCH);
    assert_eq!(changed_by(2).map(|status| status["podsPatched"].clone()), Some(json!(42)));
    assert_eq!(changed_by(0), None);
}

#[test]
fn an_object_that_was_made_anew_or_edited_meanwhile_does_not_get_the_old_verdict() {
    let job = Job { name: "a".to_owned(), uid: "u".to_owned(), verdict: verdict(), added: 0 };
    let mut object = stored(&json!({}));
    assert!(changed(&object, &job, Timestamp::UNIX_EPOCH).is_some());
    object.metadata.generation = Some(2);
    assert_eq!(changed(&object, &job, Timestamp::UNIX_EPOCH), None);
    object.metadata.generation = Some(1);
    object.metadata.uid = Some("other".to_owned());
    assert_eq!(changed(&object, &job, Timestamp::UNIX_EPOCH), None);
}

#[test]
fn replicas_drift_apart_by_at_most_a_fifth() {
    let periods: Vec<Duration> = (0..50).map(|_| jittered(FLUSH)).collect();
    assert!(periods.iter().all(|period| (FLUSH..FLUSH * 6 / 5).contains(period)), "{periods:?}");
    assert!(periods.iter().any(|period| *period != periods[0]), "{periods:?}");
}
