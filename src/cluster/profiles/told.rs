//! What an object's status is to say.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::Verdict;
use crate::profile::{
    Problem,
    status::{ACCEPTED, READY, RunnerProfileStatus},
};

/// The longest message of a condition, in bytes. The API server takes 32,768; more than a screen or
/// two helps nobody, and every replica has all statuses in memory.
const MESSAGE_BYTES: usize = 8 << 10;
/// The longest `lastError`, in bytes: a line.
const ERROR_BYTES: usize = 512;
/// The status that `verdict` calls for; `None` where `old` says the same already, so that replicas
/// do not write in turns.
pub(super) fn tell(
    verdict: &Verdict,
    old: &RunnerProfileStatus,
    now: Timestamp,
) -> Option<RunnerProfileStatus> {
    let Verdict { generation, problems } = verdict;
    let is_good = problems.is_empty();
    let (accepted, ready) = if is_good {
        ("the spec is good".to_owned(), ("InForce", "the spec is in force"))
    } else {
        (text(problems), ("LeftOut", "the spec has problems"))
    };
    let accepted = (ACCEPTED, is_good, if is_good { "Accepted" } else { "Invalid" }, accepted);
    let ready = (READY, is_good, ready.0, ready.1.to_owned());
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
        last_error: first_problem(problems),
        pods_patched: old.pods_patched.or(Some(0)),
        accepted: None,
    };
    (status != *old).then_some(status)
}

/// The first thing that is wrong, in a line of at most 512 bytes.
pub fn first_problem(problems: &[Problem]) -> Option<String> {
    problems.first().map(|problem| cut(line(problem), ERROR_BYTES))
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
    use super::*;
    use crate::profile::Position;

    fn verdict(generation: i64, problems: &[&str]) -> Verdict {
        let problem = |message: &&str| Problem {
            file: "f".to_owned(),
            at: Position::default(),
            path: "spec.gpu".to_owned(),
            message: (*message).to_owned(),
        };
        Verdict { generation, problems: problems.iter().map(problem).collect() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap_or_default()
    }

    fn told(verdict: &Verdict, old: &RunnerProfileStatus, second: i64) -> RunnerProfileStatus {
        tell(verdict, old, at(second)).unwrap_or_else(|| panic!("nothing to tell"))
    }

    #[test]
    fn what_is_there_already_is_not_written_again_whatever_the_time() {
        let good = verdict(3, &[]);
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
    fn a_bad_edit_is_told_with_its_field_and_without_a_place() {
        let before = told(&verdict(3, &[]), &RunnerProfileStatus::default(), 1);
        let status = told(&verdict(4, &["no such field"]), &before, 2);
        let [accepted, ready] = status.conditions.as_slice() else { panic!("{status:?}") };
        assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("False", "Invalid"));
        assert_eq!(accepted.message, "spec.gpu: no such field");
        assert_eq!(accepted.last_transition_time, Time(at(2)));
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "LeftOut"));
        assert_eq!(ready.observed_generation, Some(4));
        assert_eq!(status.last_error.as_deref(), Some("spec.gpu: no such field"));
        // Mended.
        assert_eq!(told(&verdict(5, &[]), &status, 3).last_error, None);
    }

    #[test]
    fn messages_are_bounded_and_cut_between_characters() {
        let bad = verdict(1, &[&"\u{e4}".repeat(40_000)]);
        let status = told(&bad, &RunnerProfileStatus::default(), 1);
        let [accepted, _] = status.conditions.as_slice() else { panic!("{status:?}") };
        assert!(
            accepted.message.len() <= MESSAGE_BYTES && accepted.message.ends_with("\u{e4} ...")
        );
        assert!(status.last_error.is_some_and(|error| error.len() <= ERROR_BYTES));
    }
}
