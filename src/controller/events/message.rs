//! The message of an event.

use std::fmt::Write as _;

use super::runner_event::EventKind;
use crate::inject::ConflictCode;

/// Kinds of conflicts that are explained; the rest are counted. Four fit on the few lines of
/// `kubectl describe` and into the API server's limit.
const EXPLAINED: usize = 4;

/// The message.
pub(super) fn message(kind: &EventKind) -> String {
    match kind {
        EventKind::Skipped(skip) => format!("Skipped: {}", skip.sentence()),
        EventKind::Injected { profile, changes, conflicts } if conflicts.is_empty() => {
            format!("Injected profile {profile} ({})", count(*changes, "change"))
        }
        EventKind::Injected { profile, changes, conflicts } => format!(
            "Injected profile {profile} ({}, {}).{}",
            count(*changes, "change"),
            count(conflicts.len(), "conflict"),
            explained(conflicts)
        ),
    }
}

/// Each kind of conflict with its meaning, in the order of appearance.
fn explained(conflicts: &[ConflictCode]) -> String {
    let mut kinds: Vec<(ConflictCode, usize)> = Vec::new();
    for code in conflicts {
        match kinds.iter_mut().find(|(known, _)| known == code) {
            Some((_, times)) => *times += 1,
            None => kinds.push((*code, 1)),
        }
    }
    let mut text = String::new();
    // Writing to a String cannot fail.
    for (code, times) in kinds.iter().take(EXPLAINED) {
        let times = if *times == 1 { String::new() } else { format!("{times} times ") };
        let _ = write!(text, " {times}{}: {}", code.as_str(), code.meaning());
    }
    if let Some(more) = kinds.len().checked_sub(EXPLAINED).filter(|more| *more > 0) {
        let _ = write!(text, " And {}.", count(more, "other kind"));
    }
    text
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::{super::object::MESSAGE_LENGTH, *};
    use crate::inject::Skip;

    fn injected(changes: usize, conflicts: &[ConflictCode]) -> String {
        let conflicts = conflicts.to_vec();
        message(&EventKind::Injected { profile: "fleet".to_owned(), changes, conflicts })
    }

    #[test]
    fn injected_message_names_profile_and_counts_changes() {
        assert_eq!(injected(14, &[]), "Injected profile fleet (14 changes)");
        assert_eq!(injected(1, &[]), "Injected profile fleet (1 change)");
    }

    #[test]
    fn injected_message_explains_conflicts_by_kind() {
        assert_eq!(
            injected(9, &[ConflictCode::EnvKept, ConflictCode::ImageKept, ConflictCode::EnvKept]),
            "Injected profile fleet (9 changes, 3 conflicts). 2 times env-kept: An environment \
             variable of the scale set's template is kept. image-kept: The scale set's own image \
             is kept."
        );
        assert!(injected(9, &[ConflictCode::DindKept]).starts_with(
            "Injected profile fleet (9 changes, 1 conflict). dind-kept: The pod has its own"
        ));
    }

    #[test]
    fn injected_message_counts_further_kinds() {
        let text = injected(9, &ConflictCode::ALL[..5]);
        assert!(text.contains("command-kept: ") && !text.contains("mount-kept"), "{text}");
        assert!(text.ends_with(" And 1 other kind."), "{text}");
        assert!(injected(9, ConflictCode::ALL).ends_with("other kinds."));
    }

    #[test]
    fn longest_message_is_within_the_api_servers_limit() {
        let mut codes = ConflictCode::ALL.to_vec();
        codes.sort_by_key(|code| std::cmp::Reverse(code.as_str().len() + code.meaning().len()));
        // The longest name that an object can have.
        let profile = "p".repeat(253);
        // Many of each, so that the numbers are long.
        let conflicts = codes.repeat(1000);
        let text = message(&EventKind::Injected { profile, changes: 1_000_000, conflicts });
        assert!(text.len() <= MESSAGE_LENGTH, "{} bytes: {text}", text.len());
    }

    #[test]
    fn skipped_message_has_the_reason() {
        assert_eq!(
            message(&EventKind::Skipped(Skip::OptedOut)),
            "Skipped: arc-rocm.dev/inject says false"
        );
    }
}
