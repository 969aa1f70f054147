//! What is worth an event.

use crate::{
    admission::{Outcome, Owner, Record},
    inject::ConflictCode,
    inject::Skip,
};

/// Bytes of a name that can be an object's. The review of a pod comes before its names are checked,
/// and what waits in the queue is counted by the piece.
const NAME_LENGTH: usize = 253;
/// Bytes of a uid, with some to spare: the API server's have 36.
const UID_LENGTH: usize = 64;

/// What a runner's author is told. Names and words only, as in the record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    /// The namespace of pod and EphemeralRunner.
    pub namespace: String,
    /// The EphemeralRunner.
    pub owner: Owner,
    /// What was done.
    pub news: News,
}

/// What was done with the pod.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum News {
    /// A profile was laid under it.
    Injected {
        /// The profile's name.
        profile: String,
        /// The number of patch operations.
        changes: usize,
        /// The kind of each conflict.
        conflicts: Vec<ConflictCode>,
    },
    /// It was left alone.
    Skipped(Skip),
}

impl Notice {
    /// What to say about an answer; nothing of a dry run, of which nothing is stored, of a pod
    /// without an owner to tell, and of a pod that was complete: on the second call of a pod's
    /// creation it is that by our own doing.
    pub fn of(record: &Record) -> Option<Self> {
        if record.dry_run {
            return None;
        }
        let owner = record.owner.as_ref().filter(|owner| can_be(owner))?;
        let news = match (record.outcome, record.skip, &record.profile) {
            (Outcome::Patched, _, Some(profile)) => News::Injected {
                profile: profile.clone(),
                changes: record.operations,
                conflicts: record.conflicts.clone(),
            },
            (Outcome::Skipped, Some(skip), _) if skip.is_told() => News::Skipped(skip),
            _ => return None,
        };
        Some(Self { namespace: record.namespace.clone(), owner: owner.clone(), news })
    }
}

/// Whether there can be such an EphemeralRunner.
fn can_be(owner: &Owner) -> bool {
    (1..=NAME_LENGTH).contains(&owner.name.len()) && owner.uid.len() <= UID_LENGTH
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A megabyte of name in each of a thousand places would be the end of the process.
    #[test]
    fn an_owner_whose_name_or_uid_is_too_long_for_one_is_nobody_to_tell() {
        let of = |name: usize, uid: usize| {
            let owner = Owner { name: "n".repeat(name), uid: "u".repeat(uid) };
            Notice::of(&Record { owner: Some(owner), ..record() }).is_some()
        };
        assert!(of(253, 64));
        assert!(!of(254, 36));
        assert!(!of(20, 65));
        assert!(!of(0, 36));
    }

    /// Of a pod that was patched.
    pub(in super::super) fn record() -> Record {
        Record {
            uid: "u".to_owned(),
            namespace: "arc-runners".to_owned(),
            name: "pod".to_owned(),
            owner: Some(Owner { name: "runner".to_owned(), uid: "1-2".to_owned() }),
            outcome: Outcome::Patched,
            reason: "injected",
            skip: None,
            profile: Some("rocm".to_owned()),
            operations: 3,
            conflicts: vec![ConflictCode::EnvKept],
            dry_run: false,
        }
    }

    fn skipped(skip: Skip) -> Record {
        Record { outcome: Outcome::Skipped, skip: Some(skip), profile: None, ..record() }
    }

    #[test]
    fn a_patch_is_told_to_the_owner_of_the_pod() {
        let notice = Notice::of(&record()).unwrap();
        assert_eq!((&*notice.namespace, &*notice.owner.name), ("arc-runners", "runner"));
        let profile = "rocm".to_owned();
        let news = News::Injected { profile, changes: 3, conflicts: vec![ConflictCode::EnvKept] };
        assert_eq!(notice.news, news);
    }

    #[test]
    fn a_second_call_that_finds_nothing_to_do_is_not_told() {
        assert_eq!(Notice::of(&Record { outcome: Outcome::Unchanged, ..record() }), None);
    }

    #[test]
    fn a_dry_run_is_not_told() {
        assert_eq!(Notice::of(&Record { dry_run: true, ..record() }), None);
        assert_eq!(Notice::of(&Record { dry_run: true, ..skipped(Skip::OptedOut) }), None);
    }

    #[test]
    fn without_an_owner_there_is_nobody_to_tell() {
        assert_eq!(Notice::of(&Record { owner: None, ..record() }), None);
        let nameless = Owner { name: String::new(), uid: "1-2".to_owned() };
        assert_eq!(Notice::of(&Record { owner: Some(nameless), ..record() }), None);
    }

    #[test]
    fn skips_are_told_where_a_runner_comes_up_bare() {
        for skip in Skip::ALL {
            let told = Notice::of(&skipped(skip)).map(|notice| notice.news);
            assert_eq!(told, skip.is_told().then_some(News::Skipped(skip)));
        }
        // Of a pod that is no runner, or has no owner, there is none to tell.
        let silent = Skip::ALL.into_iter().filter(|skip| !skip.is_told());
        let silent: Vec<_> = silent.collect();
        assert_eq!(silent, [Skip::NotAPod, Skip::NotACreate, Skip::NotARunner, Skip::NoOwner]);
    }
}
