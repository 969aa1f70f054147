//! The Event of a response, as the API server gets it.

use std::fmt::Write as _;

use aws_lc_rs::digest::{Context, SHA256};
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time},
    jiff::Timestamp,
};

use crate::{
    admission::{Outcome, Record},
    controller::MANAGER,
    inject::{ConflictCode, Skip},
    podspec::OWNER_KIND,
};

/// The kind's version in every release of ARC so far. `kubectl describe` looks by name and uid.
const OWNER_VERSION: &str = "actions.github.com/v1alpha1";
/// `reportingComponent`, which must be a qualified name.
pub const REPORTER: &str = "arc-rocm.dev/webhook";
/// `action`, which an event with `eventTime` must have.
const ACTION: &str = "Inject";
/// Bytes of a message. The API server refuses a longer one (`NoteLengthLimit` in Kubernetes'
/// `pkg/apis/core/validation/events.go`).
pub const MESSAGE_LENGTH: usize = 1024;
/// Bytes of `reportingInstance` (`ReportingInstanceLengthLimit`, there as well).
const INSTANCE_LENGTH: usize = 128;
/// Characters of an object's name: a DNS subdomain's.
const NAME_LENGTH: usize = 253;

/// Bytes of a uid. The API server's have 36.
const UID_LENGTH: usize = 64;
/// Kinds of conflicts that are explained; the rest are counted. Four fit on the few lines of
/// `kubectl describe` and into the API server's limit.
const EXPLAINED: usize = 4;

/// The Event of a response; `instance` is the webhook's own pod. `None` for a dry run (nothing is
/// stored), for a pod without an owner, and for an unchanged pod: after a reinvocation the webhook's own
/// patch is why.
///
/// It has names and fixed words only, as the record does. It is a core/v1 Event with the fields of both
/// Event APIs: `kubectl describe` and `kubectl get events` read different ones.
pub fn event_of(record: &Record, at: Timestamp, instance: &str) -> Option<Event> {
    let (namespace, owner) = (&record.namespace, record.owner.as_ref()?);
    // A review comes before the API server checks names, and the queue counts events and not bytes.
    let can_be = (1..=NAME_LENGTH).contains(&owner.name.len())
        && owner.uid.len() <= UID_LENGTH
        && namespace.len() <= NAME_LENGTH;
    if record.dry_run || !can_be {
        return None;
    }
    let (reason, type_, mut message) = match (record.outcome, record.skip, &record.profile) {
        (Outcome::Patched, _, Some(profile)) => {
            ("Injected", "Normal", injected(profile, record.operations, &record.conflicts))
        }
        (Outcome::Skipped, Some(skip), _) if skip.has_event() => {
            let type_ = if skip.is_warned() { "Warning" } else { "Normal" };
            ("InjectionSkipped", type_, skipped(skip))
        }
        _ => return None,
    };
    message.truncate(message.floor_char_boundary(MESSAGE_LENGTH));
    let instance = instance.get(..instance.floor_char_boundary(INSTANCE_LENGTH));
    Some(Event {
        metadata: ObjectMeta {
            name: Some(name(&owner.name, &owner.uid, &message)),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some(OWNER_VERSION.to_owned()),
            kind: Some(OWNER_KIND.to_owned()),
            namespace: Some(namespace.clone()),
            name: Some(owner.name.clone()),
            uid: Some(owner.uid.clone()),
            ..ObjectReference::default()
        },
        reason: Some(reason.to_owned()),
        message: Some(message),
        type_: Some(type_.to_owned()),
        action: Some(ACTION.to_owned()),
        event_time: Some(MicroTime(at)),
        first_timestamp: Some(Time(at)),
        last_timestamp: Some(Time(at)),
        count: Some(1),
        source: Some(EventSource { component: Some(MANAGER.to_owned()), host: None }),
        reporting_component: Some(REPORTER.to_owned()),
        reporting_instance: instance.map(str::to_owned),
        ..Event::default()
    })
}

/// The same message about the same runner gets the same name on every replica, so the API server
/// stores it once. ARC retries a refused pod, and the API server may call twice for one pod.
fn name(owner: &str, uid: &str, message: &str) -> String {
    let mut digest = Context::new(&SHA256);
    // The length goes first, so that two different pairs never hash the same bytes.
    for part in [uid, message] {
        digest.update(&part.len().to_be_bytes());
        digest.update(part.as_bytes());
    }
    let digest = digest.finish();
    // 64 bits tell a runner's few events apart.
    let digest =
        digest.as_ref().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let hex = format!("{digest:016x}");
    let room = owner.floor_char_boundary(NAME_LENGTH - 1 - hex.len());
    let owner = owner.get(..room).unwrap_or_default().trim_end_matches(['-', '.']);
    format!("{owner}.{hex}")
}

fn skipped(skip: Skip) -> String {
    format!("Skipped: {}", skip.sentence())
}

fn injected(profile: &str, changes: usize, conflicts: &[ConflictCode]) -> String {
    let changes = count(changes, "change");
    if conflicts.is_empty() {
        return format!("Injected profile {profile} ({changes})");
    }
    let (count, explained) = (count(conflicts.len(), "conflict"), explained(conflicts));
    format!("Injected profile {profile} ({changes}, {count}).{explained}")
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
pub(super) mod tests {
    use super::*;
    use crate::admission::Owner;

    fn made(record: &Record) -> Option<Event> {
        event_of(record, Timestamp::UNIX_EPOCH, "arc-rocm-7d4f-x2x4z")
    }

    /// The record of a patched pod.
    pub(in super::super) fn record() -> Record {
        Record {
            uid: "u".to_owned(),
            namespace: "arc-runners".to_owned(),
            name: "pod".to_owned(),
            owner: Some(owner("runner", "1-2")),
            outcome: Outcome::Patched,
            reason: "injected",
            skip: None,
            profile: Some("rocm".to_owned()),
            operations: 3,
            conflicts: vec![ConflictCode::EnvKept],
            dry_run: false,
        }
    }

    fn owner(name: &str, uid: &str) -> Owner {
        Owner { name: name.to_owned(), uid: uid.to_owned() }
    }

    fn skipped(skip: Skip) -> Record {
        Record { outcome: Outcome::Skipped, skip: Some(skip), profile: None, ..record() }
    }

    #[test]
    fn event_is_about_the_ephemeral_runner() {
        let event = made(&record()).unwrap();
        let object = event.involved_object;
        assert_eq!(object.api_version.as_deref(), Some("actions.github.com/v1alpha1"));
        assert_eq!(object.kind.as_deref(), Some("EphemeralRunner"));
        assert_eq!((object.name.as_deref(), object.uid.as_deref()), (Some("runner"), Some("1-2")));
        // The API server refuses an event in another namespace than its object's.
        assert_eq!(object.namespace.as_deref(), Some("arc-runners"));
        assert_eq!(object.namespace, event.metadata.namespace);
        assert_eq!(
            (event.reason.as_deref(), event.type_.as_deref()),
            (Some("Injected"), Some("Normal"))
        );
        let message = event.message.unwrap();
        assert!(
            message.starts_with("Injected profile rocm (3 changes, 1 conflict). "),
            "{message}"
        );
        assert_eq!(event.reporting_component.as_deref(), Some("arc-rocm.dev/webhook"));
        assert_eq!(event.reporting_instance.as_deref(), Some("arc-rocm-7d4f-x2x4z"));
    }

    #[test]
    fn event_warns_where_the_response_does() {
        for (skip, wanted) in [(Skip::OptedOut, "Normal"), (Skip::UnknownProfile, "Warning")] {
            let event = made(&skipped(skip)).unwrap();
            assert_eq!(event.type_.as_deref(), Some(wanted));
            assert_eq!(event.reason.as_deref(), Some("InjectionSkipped"));
        }
    }

    #[test]
    fn event_is_absent_for_dry_run_unchanged_pod_and_pod_without_owner() {
        assert_eq!(made(&Record { dry_run: true, ..record() }), None);
        assert_eq!(made(&Record { dry_run: true, ..skipped(Skip::OptedOut) }), None);
        assert_eq!(made(&Record { outcome: Outcome::Unchanged, ..record() }), None);
        assert_eq!(made(&Record { owner: None, ..record() }), None);
    }

    /// A thousand queued names of a megabyte each would exhaust the memory.
    #[test]
    fn event_with_oversized_name_or_uid_is_absent() {
        let of = |name: usize, uid: usize, namespace: usize| {
            let owner = Some(owner(&"n".repeat(name), &"u".repeat(uid)));
            made(&Record { owner, namespace: "s".repeat(namespace), ..record() }).is_some()
        };
        assert!(of(253, 64, 253));
        for (name, uid, namespace) in [(254, 36, 9), (20, 65, 9), (0, 36, 9), (20, 36, 254)] {
            assert!(!of(name, uid, namespace), "{name} {uid} {namespace}");
        }
    }

    #[test]
    fn skipped_runner_has_an_event() {
        for skip in Skip::ALL {
            let message = made(&skipped(*skip)).and_then(|event| event.message);
            let expected = format!("Skipped: {}", skip.sentence());
            assert_eq!(message, skip.has_event().then_some(expected));
        }
        // No event for a pod that is no runner, or has no owner.
        let silent: Vec<_> = Skip::ALL.iter().copied().filter(|skip| !skip.has_event()).collect();
        let expected = [Skip::NotAPod, Skip::NotACreate, Skip::NotARunner, Skip::NoOwner];
        assert_eq!(silent, expected);
    }

    #[test]
    fn event_name_depends_on_runner_and_message() {
        let name = |uid, skip| {
            made(&Record { owner: Some(owner("runner", uid)), ..skipped(skip) })
                .unwrap()
                .metadata
                .name
        };
        let first = name("1-2", Skip::OptedOut);
        assert_eq!(first, name("1-2", Skip::OptedOut));
        assert_ne!(first, name("1-3", Skip::OptedOut));
        assert_ne!(first, name("1-2", Skip::ControllerUser));
        assert!(first.unwrap().starts_with("runner."));
    }

    #[test]
    fn event_name_of_long_owner_is_valid() {
        // The cut falls behind a hyphen, which must not end a part of a DNS subdomain.
        let long = format!("{}-{}", "r".repeat(235), "x".repeat(17));
        let event = made(&Record { owner: Some(owner(&long, "1-2")), ..record() });
        let name = event.unwrap().metadata.name.unwrap();
        assert!(name.len() <= NAME_LENGTH && !name.contains("-."), "{name}");
    }

    #[test]
    fn event_long_instance_is_cut() {
        let event = event_of(&record(), Timestamp::UNIX_EPOCH, &"ä".repeat(100)).unwrap();
        assert_eq!(event.reporting_instance, Some("ä".repeat(INSTANCE_LENGTH / 2)));
    }

    #[test]
    fn injected_message_names_profile_and_counts_changes() {
        assert_eq!(injected("fleet", 14, &[]), "Injected profile fleet (14 changes)");
        assert_eq!(injected("fleet", 1, &[]), "Injected profile fleet (1 change)");
    }

    #[test]
    fn injected_message_explains_conflicts_by_kind() {
        assert_eq!(
            injected(
                "fleet",
                9,
                &[ConflictCode::EnvKept, ConflictCode::ImageKept, ConflictCode::EnvKept]
            ),
            "Injected profile fleet (9 changes, 3 conflicts). 2 times env-kept: An environment \
             variable of the scale set's template is kept. image-kept: The scale set's own image \
             is kept."
        );
        assert!(injected("fleet", 9, &[ConflictCode::DindKept]).starts_with(
            "Injected profile fleet (9 changes, 1 conflict). dind-kept: The pod has its own"
        ));
    }

    #[test]
    fn injected_message_counts_further_kinds() {
        let text = injected("fleet", 9, &ConflictCode::ALL[..5]);
        assert!(text.contains("command-kept: ") && !text.contains("mount-kept"), "{text}");
        assert!(text.ends_with(" And 1 other kind."), "{text}");
        assert!(injected("fleet", 9, ConflictCode::ALL).ends_with("other kinds."));
    }

    #[test]
    fn longest_message_is_within_the_api_servers_limit() {
        let mut codes = ConflictCode::ALL.to_vec();
        codes.sort_by_key(|code| std::cmp::Reverse(code.as_str().len() + code.meaning().len()));
        // The longest name that an object can have.
        let profile = "p".repeat(253);
        // Many of each, so that the numbers are long.
        let conflicts = codes.repeat(1000);
        let text = injected(&profile, 1_000_000, &conflicts);
        assert!(text.len() <= MESSAGE_LENGTH, "{} bytes: {text}", text.len());
    }
}
