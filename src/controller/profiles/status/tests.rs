use hyper::http;
use kube::{Client, client::Body};

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
    ObjectWithStatus { object, status, version: Some("7".to_owned()) }
}

fn of(acceptance: Acceptance) -> Acceptances {
    Acceptances::from([("u".to_owned(), acceptance)])
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
fn status_of_another_replica_is_left_until_the_next_correction() {
    let others = [object(first(&acceptance(1, &["no such field"])))];
    let good = of(acceptance(1, &[]));
    let count = |written: &Acceptances| due(&others, &good, written, at(2)).len();
    assert_eq!(count(&Acceptances::new()), 1);
    assert_eq!(count(&good), 0);
    assert_eq!(count(&of(acceptance(1, &["another problem"]))), 1);
}

#[test]
fn status_that_is_right_is_not_written() {
    let right = [object(first(&acceptance(1, &[])))];
    assert_eq!(due(&right, &of(acceptance(1, &[])), &Acceptances::new(), at(2)), []);
}

#[test]
fn status_of_an_object_that_changed_since_is_not_written() {
    let none = [object(RunnerProfileStatus::default())];
    let count = |acceptances| due(&none, &acceptances, &Acceptances::new(), at(1)).len();
    assert_eq!(count(of(acceptance(1, &[]))), 1);
    assert_eq!(count(of(acceptance(2, &[]))), 0);
    assert_eq!(count(Acceptances::from([("other".to_owned(), acceptance(1, &[]))])), 0);
}

#[tokio::test]
async fn status_write_names_the_version_and_takes_a_conflict() {
    for (code, is_ok) in [(200, true), (404, true), (409, true), (403, false)] {
        let server = tower::service_fn(move |request: http::Request<Body>| async move {
            let body = request.into_body().collect_bytes().await?;
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["metadata"], json!({"resourceVersion": "7"}));
            assert_eq!(body["status"]["conditions"][0]["status"], "True");
            let answer = json!({"kind": "Status", "status": "Failure", "code": code});
            let response = http::Response::builder().status(code);
            Ok::<_, kube::Error>(
                response.body(Body::from(answer.to_string().into_bytes())).unwrap(),
            )
        });
        let api = Api::all(Client::new(server, "arc-rocm"));
        let none = [object(RunnerProfileStatus::default())];
        let mut writes = due(&none, &of(acceptance(1, &[])), &Acceptances::new(), at(1));
        assert_eq!(put(&api, writes.remove(0)).await.is_ok(), is_ok, "{code}");
    }
}
