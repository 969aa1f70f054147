//! The words of an event.

use std::fmt::Write as _;

use super::notice::News;
use crate::inject::ConflictCode;

/// Kinds of conflicts that are explained; the rest are counted. Four fit on the few lines that
/// `kubectl describe` gives an event, and well within the API server's limit.
const EXPLAINED: usize = 4;

/// What an event says of `news`.
pub(super) fn message(news: &News) -> String {
    match news {
        News::Skipped(skip) => format!("Skipped: {}", skip.sentence()),
        News::Injected { profile, changes, conflicts } if conflicts.is_empty() => {
            format!("Injected profile {profile} ({})", count(*changes, "change"))
        }
        News::Injected { profile, changes, conflicts } => format!(
            "Injected profile {profile} ({}, {}).{}",
            count(*changes, "change"),
            count(conflicts.len(), "conflict"),
            explained(conflicts)
        ),
    }
}

/// The kinds of conflicts in the order of their first, each with its meaning.
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
        message(&News::Injected { profile: "fleet".to_owned(), changes, conflicts })
    }

    #[test]
    fn an_injection_names_its_profile_and_counts_its_changes() {
        assert_eq!(injected(14, &[]), "Injected profile fleet (14 changes)");
        assert_eq!(injected(1, &[]), "Injected profile fleet (1 change)");
    }

    #[test]
    fn conflicts_are_counted_by_kind_and_explained() {
        assert_eq!(
            injected(9, &[ConflictCode::EnvKept, ConflictCode::ImageKept, ConflictCode::EnvKept]),
            "Injected profile fleet (9 changes, 3 conflicts). 2 times env-kept: An environment \
             variable that the author wrote is kept. image-kept: The author's own image is kept."
        );
        assert!(injected(9, &[ConflictCode::DindKept]).starts_with(
            "Injected profile fleet (9 changes, 1 conflict). dind-kept: The pod has its own"
        ));
    }

    #[test]
    fn of_many_kinds_the_first_are_explained_and_the_rest_counted() {
        let told = injected(9, &ConflictCode::ALL[..5]);
        assert!(told.contains("command-kept: ") && !told.contains("mount-kept"), "{told}");
        assert!(told.ends_with(" And 1 other kind."), "{told}");
        assert!(injected(9, ConflictCode::ALL).ends_with("other kinds."));
    }

    #[test]
    fn the_longest_message_is_one_that_the_api_server_takes() {
        let mut codes = ConflictCode::ALL.to_vec();
        codes.sort_by_key(|code| std::cmp::Reverse(code.as_str().len() + code.meaning().len()));
        // The longest name that an object can have.
        let profile = "p".repeat(253);
        // Many of each, so that the numbers are long.
        let conflicts = codes.repeat(1000);
        let told = message(&News::Injected { profile, changes: 1_000_000, conflicts });
        assert!(told.len() <= MESSAGE_LENGTH, "{} bytes: {told}", told.len());
    }

    #[test]
    fn a_skip_says_why() {
        assert_eq!(
            message(&News::Skipped(Skip::OptedOut)),
            "Skipped: arc-rocm.dev/inject says false"
        );
    }
}
