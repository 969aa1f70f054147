//! What an object's status is to say.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::profile::{
    Problem,
    objects::{Refusal, Verdict},
    status::{ACCEPTED, LastGood, READY, RunnerProfileStatus},
};

/// The longest message of a condition, in bytes. The API server takes 32,768; more than a screen or
/// two helps nobody, and every replica has all statuses in memory.
const MESSAGE_BYTES: usize = 8 << 10;
/// The longest `lastError`, in bytes: a line.
const ERROR_BYTES: usize = 512;
/// The largest spec that is kept as the last good one, in bytes of JSON. etcd takes 1.5 MiB for an
/// object, which holds the spec once more; without it, only a restart forgets the last good spec.
const ACCEPTED_BYTES: usize = 512 << 10;

/// The status that `verdict` calls for; `None` where `old` says the same already, so that replicas
/// do not write in turns.
pub(super) fn tell(
    verdict: &Verdict,
    old: &RunnerProfileStatus,
    now: Timestamp,
) -> Option<RunnerProfileStatus> {
    let Verdict { generation, refusal, in_force, good } = verdict;
    let (reason, message) = match refusal {
        None => ("Accepted", "the spec is good".to_owned()),
        Some(Refusal { reason, problems }) => (reason.as_str(), text(problems)),
    };
    let accepted = (ACCEPTED, refusal.is_none(), reason, message);
    let ready = match in_force {
        Some(force) if force == generation => {
            (READY, true, "InForce", "the newest spec is in force".to_owned())
        }
        Some(force) => {
            let message = format!("the spec of generation {force}, the last good one, is in force");
            (READY, true, "LastGoodInForce", message)
        }
        None => (READY, false, "LeftOut", "there is no good spec".to_owned()),
    };
    let conditions = [accepted, ready].map(|(kind, is_true, reason, message)| {
        let status = if is_true { "True" } else { "False" };
        let before = old.conditions.iter().find(|one| one.type_ == kind && one.status == status);
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: cut(message, MESSAGE_BYTES),
            observed_generation: Some(*generation),
            last_transition_time: before
                .map_or(Time(now), |before| before.last_transition_time.clone()),
        }
    });
    let status = RunnerProfileStatus {
        conditions: conditions.to_vec(),
        last_error: refusal.as_ref().and_then(first_problem),
        pods_patched: old.pods_patched.or(Some(0)),
        accepted: good.clone().filter(fits),
    };
    (status != *old).then_some(status)
}

/// The first thing that is wrong, in a line of at most 512 bytes.
pub fn first_problem(refusal: &Refusal) -> Option<String> {
    refusal.problems.first().map(|problem| cut(line(problem), ERROR_BYTES))
}

fn fits(good: &LastGood) -> bool {
    size(&good.spec) <= ACCEPTED_BYTES
}

/// The bytes of a value as JSON, nearly.
fn size(value: &Value) -> usize {
    value.to_string().len()
}

/// The problems, a line each. Their places are in a text that nobody wrote.
pub(super) fn text(problems: &[Problem]) -> String {
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn line(problem: &Problem) -> String {
    match problem.path.as_str() {
        "" => problem.message.clone(),
        path => format!("{path}: {}", problem.message),
    }
}

/// At most `most` bytes of `text`, whole characters.
fn cut(mut text: String, most: usize) -> String {
    const MORE: &str = " ...";
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub(MORE.len())));
        text.push_str(MORE);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::profile::{Position, objects::Reason};

    fn verdict(refusal: Option<Refusal>, in_force: Option<i64>) -> Verdict {
        let good =
            in_force.map(|generation| LastGood { generation, spec: json!({"groups": null}) });
        Verdict { generation: 3, refusal, in_force, good }
    }

    fn refusal(message: &str) -> Refusal {
        let problem = Problem {
            file: "f".to_owned(),
            at: Position { line: 1, column: 77 },
            path: "spec.gpu".to_owned(),
            message: message.to_owned(),
        };
        Refusal { reason: Reason::Invalid, problems: vec![problem] }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap_or_default()
    }

    fn told(verdict: &Verdict, old: &RunnerProfileStatus, second: i64) -> RunnerProfileStatus {
        tell(verdict, old, at(second)).unwrap_or_else(|| panic!("nothing to tell"))
    }

    #[test]
    fn what_is_there_already_is_not_written_again_whatever_the_time() {
        let good = verdict(None, Some(3));
        let status = told(&good, &RunnerProfileStatus::default(), 1);
        assert_eq!(tell(&good, &status, at(9)), None);
        let read: RunnerProfileStatus =
            serde_json::from_value(serde_json::to_value(&status).unwrap_or_default())
                .unwrap_or_default();
        assert_eq!(tell(&good, &read, at(9)), None);
        let counted = RunnerProfileStatus { pods_patched: Some(5), ..status };
        assert_eq!(tell(&good, &counted, at(9)), None);
    }

    #[test]
    fn a_bad_edit_is_told_with_its_field_and_without_a_place_and_the_last_good_spec_stays() {
        let before = told(&verdict(None, Some(3)), &RunnerProfileStatus::default(), 1);
        let bad = Verdict { generation: 4, ..verdict(Some(refusal("no such field")), Some(3)) };
        let status = told(&bad, &before, 2);
        let [accepted, ready] = status.conditions.as_slice() else { panic!("{status:?}") };
        assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("False", "Invalid"));
        assert_eq!(accepted.message, "spec.gpu: no such field");
        assert_eq!(accepted.last_transition_time, Time(at(2)));
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("True", "LastGoodInForce"));
        assert_eq!(ready.last_transition_time, Time(at(1)));
        assert_eq!(ready.observed_generation, Some(4));
        assert_eq!(status.last_error.as_deref(), Some("spec.gpu: no such field"));
        assert_eq!(status.accepted, before.accepted);
        // Mended.
        let mended = Verdict { generation: 5, ..verdict(None, Some(5)) };
        assert_eq!(told(&mended, &status, 3).last_error, None);
    }

    #[test]
    fn messages_are_bounded_and_cut_between_characters() {
        let bad = verdict(Some(refusal(&"\u{e4}".repeat(40_000))), None);
        let status = told(&bad, &RunnerProfileStatus::default(), 1);
        let [accepted, ready] = status.conditions.as_slice() else { panic!("{status:?}") };
        assert!(
            accepted.message.len() <= MESSAGE_BYTES && accepted.message.ends_with("\u{e4} ...")
        );
        assert!(status.last_error.is_some_and(|error| error.len() <= ERROR_BYTES));
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "LeftOut"));
    }

    #[test]
    fn a_spec_too_large_to_be_stored_twice_is_not() {
        let spec = json!({"template": "x".repeat(ACCEPTED_BYTES)});
        let good =
            Verdict { good: Some(LastGood { generation: 3, spec }), ..verdict(None, Some(3)) };
        assert_eq!(told(&good, &RunnerProfileStatus::default(), 1).accepted, None);
    }
}
