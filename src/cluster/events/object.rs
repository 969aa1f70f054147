//! The Event as the API server gets it.

use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time},
    jiff::Timestamp,
};
use sha2::{Digest, Sha256};

use super::{
    message::message,
    notice::{News, Notice},
};
use crate::{cluster::MANAGER, podspec::OWNER_KIND};

/// The kind's version in every release of ARC so far. `kubectl describe` looks by name and uid.
const OWNER_VERSION: &str = "actions.github.com/v1alpha1";
/// Who reports: `reportingComponent`, which has to be a qualified name.
pub const REPORTER: &str = "arc-rocm.dev/webhook";
/// What we did, in the machine's words; an event with a time must have it.
const ACTION: &str = "Inject";
/// Bytes of a message, a longer one is refused (`NoteLengthLimit` in Kubernetes'
/// `pkg/apis/core/validation/events.go`).
pub const MESSAGE_LENGTH: usize = 1024;
/// Bytes of `reportingInstance` (`ReportingInstanceLengthLimit`, there as well).
const INSTANCE_LENGTH: usize = 128;
/// Characters of an object's name: a DNS subdomain's.
const NAME_LENGTH: usize = 253;
/// Bytes of a digest in a name; twice as many characters. 64 bits tell a runner's few events apart.
const DIGEST_LENGTH: usize = 8;

/// The Event of a notice; `instance` is the name of our own pod.
///
/// It is a core/v1 Event with all that either API has, so that `kubectl describe` and
/// `kubectl get events` show when, by whom and about what, whichever of both they ask.
pub(super) fn event(notice: &Notice, at: Timestamp, instance: &str) -> Event {
    let Notice { namespace, owner, news } = notice;
    let mut message = message(news);
    message.truncate(message.floor_char_boundary(MESSAGE_LENGTH));
    let (reason, type_) = match news {
        News::Injected { .. } => ("Injected", "Normal"),
        News::Skipped(skip) if skip.is_warned() => ("InjectionSkipped", "Warning"),
        News::Skipped(_) => ("InjectionSkipped", "Normal"),
    };
    let instance = instance.get(..instance.floor_char_boundary(INSTANCE_LENGTH));
    Event {
        metadata: ObjectMeta {
            name: Some(name(notice, &message)),
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
    }
}

/// The same for the same words about the same runner: ARC tries a refused pod again and again, and
/// the API server may ask twice about one pod. One event is enough, whichever replica was asked.
fn name(notice: &Notice, message: &str) -> String {
    let mut digest = Sha256::new();
    // No part can run into the next one.
    for part in [&notice.owner.uid, message] {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    let digest = digest.finalize();
    let hex = digest.iter().take(DIGEST_LENGTH).map(|byte| format!("{byte:02x}"));
    let hex: String = hex.collect();
    let owner = &notice.owner.name;
    let room = owner.floor_char_boundary(NAME_LENGTH - 1 - hex.len());
    let owner = owner.get(..room).unwrap_or_default().trim_end_matches(['-', '.']);
    format!("{owner}.{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{admission::Owner, inject::Skip};

    fn notice(owner: &str, uid: &str, news: News) -> Notice {
        let owner = Owner { name: owner.to_owned(), uid: uid.to_owned() };
        Notice { namespace: "arc-runners".to_owned(), owner, news }
    }

    fn made(notice: &Notice) -> Event {
        event(notice, Timestamp::UNIX_EPOCH, "arc-rocm-7d4f-x2x4z")
    }

    #[test]
    fn it_is_about_the_ephemeral_runner() {
        let event = made(&notice("runner", "1-2", News::Skipped(Skip::OptedOut)));
        let about = event.involved_object;
        assert_eq!(about.api_version.as_deref(), Some("actions.github.com/v1alpha1"));
        assert_eq!(about.kind.as_deref(), Some("EphemeralRunner"));
        assert_eq!((about.name.as_deref(), about.uid.as_deref()), (Some("runner"), Some("1-2")));
        // The API server refuses an event in another namespace than its object's.
        assert_eq!(about.namespace, event.metadata.namespace);
        assert_eq!(event.reporting_component.as_deref(), Some("arc-rocm.dev/webhook"));
        assert_eq!(event.reporting_instance.as_deref(), Some("arc-rocm-7d4f-x2x4z"));
    }

    #[test]
    fn a_skip_warns_where_the_answer_does() {
        for (skip, wanted) in [(Skip::OptedOut, "Normal"), (Skip::UnknownProfile, "Warning")] {
            let event = made(&notice("runner", "1-2", News::Skipped(skip)));
            assert_eq!(event.type_.as_deref(), Some(wanted));
            assert_eq!(event.reason.as_deref(), Some("InjectionSkipped"));
        }
    }

    #[test]
    fn the_name_is_the_same_for_the_same_words_about_the_same_runner_alone() {
        let name = |uid, skip| made(&notice("runner", uid, News::Skipped(skip))).metadata.name;
        let first = name("1-2", Skip::OptedOut);
        assert_eq!(first, name("1-2", Skip::OptedOut));
        assert_ne!(first, name("1-3", Skip::OptedOut));
        assert_ne!(first, name("1-2", Skip::ControllerUser));
        assert!(first.unwrap().starts_with("runner."));
    }

    #[test]
    fn a_long_owner_gives_a_name_that_is_valid() {
        // Cut where a hyphen would be last, which no part of a DNS subdomain may end with.
        let owner = format!("{}-{}", "r".repeat(235), "x".repeat(17));
        let name = made(&notice(&owner, "1-2", News::Skipped(Skip::OptedOut))).metadata.name;
        let name = name.unwrap();
        assert!(name.len() <= NAME_LENGTH && !name.contains("-."), "{name}");
    }

    #[test]
    fn a_long_instance_is_cut() {
        let notice = notice("runner", "1-2", News::Skipped(Skip::OptedOut));
        let event = event(&notice, Timestamp::UNIX_EPOCH, &"ä".repeat(100));
        assert_eq!(event.reporting_instance, Some("ä".repeat(INSTANCE_LENGTH / 2)));
    }
}
