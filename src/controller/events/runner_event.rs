//! Which responses have an event.

use crate::{
    admission::{Outcome, Owner, Record},
    inject::ConflictCode,
    inject::Skip,
};

/// Bytes of an object's name. A review comes before the API server checks names, and the queue
/// counts events and not bytes.
const NAME_LENGTH: usize = 253;
/// Bytes of a uid. The API server's have 36.
const UID_LENGTH: usize = 64;

/// One event about an EphemeralRunner. It has names and fixed words only, as the record does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunnerEvent {
    /// The namespace of pod and EphemeralRunner.
    pub namespace: String,
    /// The EphemeralRunner.
    pub owner: Owner,
    /// What the webhook did.
    pub kind: EventKind,
}

/// What the webhook did with the pod.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EventKind {
    /// It injected a profile.
    Injected {
        /// The profile's name.
        profile: String,
        /// The number of patch operations.
        changes: usize,
        /// The kind of each conflict.
        conflicts: Vec<ConflictCode>,
    },
    /// It skipped the pod.
    Skipped(Skip),
}

impl RunnerEvent {
    /// The event of a response. `None` for a dry run (nothing is stored), for a pod without an owner,
    /// and for an unchanged pod: after a reinvocation the webhook's own patch is why.
    pub fn of(record: &Record) -> Option<Self> {
        if record.dry_run {
            return None;
        }
        let owner = record.owner.as_ref().filter(|owner| can_be(owner))?;
        let kind = match (record.outcome, record.skip, &record.profile) {
            (Outcome::Patched, _, Some(profile)) => EventKind::Injected {
                profile: profile.clone(),
                changes: record.operations,
                conflicts: record.conflicts.clone(),
            },
            (Outcome::Skipped, Some(skip), _) if skip.has_event() => EventKind::Skipped(skip),
            _ => return None,
        };
        Some(Self { namespace: record.namespace.clone(), owner: owner.clone(), kind })
    }
}

/// Whether an EphemeralRunner can have this name and uid.
fn can_be(owner: &Owner) -> bool {
    (1..=NAME_LENGTH).contains(&owner.name.len()) && owner.uid.len() <= UID_LENGTH
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A thousand queued names of a megabyte each would exhaust the memory.
    #[test]
    fn owner_with_oversized_name_or_uid_has_no_event() {
        let of = |name: usize, uid: usize| {
            let owner = Owner { name: "n".repeat(name), uid: "u".repeat(uid) };
            RunnerEvent::of(&Record { owner: Some(owner), ..record() }).is_some()
        };
        assert!(of(253, 64));
        assert!(!of(254, 36));
        assert!(!of(20, 65));
        assert!(!of(0, 36));
    }

    /// The record of a patched pod.
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
    fn patched_pod_has_an_event_on_its_owner() {
        let event = RunnerEvent::of(&record()).unwrap();
        assert_eq!((&*event.namespace, &*event.owner.name), ("arc-runners", "runner"));
        let profile = "rocm".to_owned();
        let kind =
            EventKind::Injected { profile, changes: 3, conflicts: vec![ConflictCode::EnvKept] };
        assert_eq!(event.kind, kind);
    }

    #[test]
    fn unchanged_pod_has_no_event() {
        assert_eq!(RunnerEvent::of(&Record { outcome: Outcome::Unchanged, ..record() }), None);
    }

    #[test]
    fn dry_run_has_no_event() {
        assert_eq!(RunnerEvent::of(&Record { dry_run: true, ..record() }), None);
        assert_eq!(RunnerEvent::of(&Record { dry_run: true, ..skipped(Skip::OptedOut) }), None);
    }

    #[test]
    fn pod_without_owner_has_no_event() {
        assert_eq!(RunnerEvent::of(&Record { owner: None, ..record() }), None);
        let nameless = Owner { name: String::new(), uid: "1-2".to_owned() };
        assert_eq!(RunnerEvent::of(&Record { owner: Some(nameless), ..record() }), None);
    }

    #[test]
    fn skipped_runner_has_an_event() {
        for skip in Skip::ALL {
            let kind = RunnerEvent::of(&skipped(skip)).map(|event| event.kind);
            assert_eq!(kind, skip.has_event().then_some(EventKind::Skipped(skip)));
        }
        // No event for a pod that is no runner, has no owner, or is for other GPUs.
        let silent = Skip::ALL.into_iter().filter(|skip| !skip.has_event());
        let silent: Vec<_> = silent.collect();
        let expected =
            [Skip::NotAPod, Skip::NotACreate, Skip::NotARunner, Skip::NoOwner, Skip::OtherGpu];
        assert_eq!(silent, expected);
    }
}
