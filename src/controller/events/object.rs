//! The Event as the API server gets it.

use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time},
    jiff::Timestamp,
};
use sha2::{Digest, Sha256};

use super::{
    message::message,
    runner_event::{EventKind, RunnerEvent},
};
use crate::{controller::MANAGER, podspec::OWNER_KIND};

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
/// Bytes of a digest in a name; twice as many characters. 64 bits tell a runner's few events apart.
const DIGEST_LENGTH: usize = 8;

/// Builds the Event; `instance` is the webhook's own pod.
///
/// A core/v1 Event with the fields of both Event APIs: `kubectl describe` and `kubectl get events`
/// read different ones.
pub(super) fn to_event(event: &RunnerEvent, at: Timestamp, instance: &str) -> Event {
    let RunnerEvent { namespace, owner, kind } = event;
    let mut message = message(kind);
    message.truncate(message.floor_char_boundary(MESSAGE_LENGTH));
    let (reason, type_) = match kind {
        EventKind::Injected { .. } => ("Injected", "Normal"),
        EventKind::Skipped(skip) if skip.is_warned() => ("InjectionSkipped", "Warning"),
        EventKind::Skipped(_) => ("InjectionSkipped", "Normal"),
    };
    let instance = instance.get(..instance.floor_char_boundary(INSTANCE_LENGTH));
    Event {
        metadata: ObjectMeta {
            name: Some(name(event, &message)),
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

/// The same message about the same runner gets the same name on every replica, so the API server
/// stores it once. ARC retries a refused pod, and the API server may call twice for one pod.
fn name(event: &RunnerEvent, message: &str) -> String {
    let mut digest = Sha256::new();
    // The length goes first, so that two different pairs never hash the same bytes.
    for part in [&event.owner.uid, message] {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    let digest = digest.finalize();
    let hex = digest.iter().take(DIGEST_LENGTH).map(|byte| format!("{byte:02x}"));
    let hex: String = hex.collect();
    let owner = &event.owner.name;
    let room = owner.floor_char_boundary(NAME_LENGTH - 1 - hex.len());
    let owner = owner.get(..room).unwrap_or_default().trim_end_matches(['-', '.']);
    format!("{owner}.{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{admission::Owner, inject::Skip};

    fn about(owner: &str, uid: &str, kind: EventKind) -> RunnerEvent {
        let owner = Owner { name: owner.to_owned(), uid: uid.to_owned() };
        RunnerEvent { namespace: "arc-runners".to_owned(), owner, kind }
    }

    fn made(event: &RunnerEvent) -> Event {
        to_event(event, Timestamp::UNIX_EPOCH, "arc-rocm-7d4f-x2x4z")
    }

    #[test]
    fn event_is_about_the_ephemeral_runner() {
        let event = made(&about("runner", "1-2", EventKind::Skipped(Skip::OptedOut)));
        let object = event.involved_object;
        assert_eq!(object.api_version.as_deref(), Some("actions.github.com/v1alpha1"));
        assert_eq!(object.kind.as_deref(), Some("EphemeralRunner"));
        assert_eq!((object.name.as_deref(), object.uid.as_deref()), (Some("runner"), Some("1-2")));
        // The API server refuses an event in another namespace than its object's.
        assert_eq!(object.namespace, event.metadata.namespace);
        assert_eq!(event.reporting_component.as_deref(), Some("arc-rocm.dev/webhook"));
        assert_eq!(event.reporting_instance.as_deref(), Some("arc-rocm-7d4f-x2x4z"));
    }

    #[test]
    fn event_warns_where_the_response_does() {
        for (skip, wanted) in [(Skip::OptedOut, "Normal"), (Skip::UnknownProfile, "Warning")] {
            let event = made(&about("runner", "1-2", EventKind::Skipped(skip)));
            assert_eq!(event.type_.as_deref(), Some(wanted));
            assert_eq!(event.reason.as_deref(), Some("InjectionSkipped"));
        }
    }

    #[test]
    fn event_name_depends_on_runner_and_message() {
        let name = |uid, skip| made(&about("runner", uid, EventKind::Skipped(skip))).metadata.name;
        let first = name("1-2", Skip::OptedOut);
        assert_eq!(first, name("1-2", Skip::OptedOut));
        assert_ne!(first, name("1-3", Skip::OptedOut));
        assert_ne!(first, name("1-2", Skip::ControllerUser));
        assert!(first.unwrap().starts_with("runner."));
    }

    #[test]
    fn event_name_of_long_owner_is_valid() {
        // The cut falls behind a hyphen, which must not end a part of a DNS subdomain.
        let owner = format!("{}-{}", "r".repeat(235), "x".repeat(17));
        let name = made(&about(&owner, "1-2", EventKind::Skipped(Skip::OptedOut))).metadata.name;
        let name = name.unwrap();
        assert!(name.len() <= NAME_LENGTH && !name.contains("-."), "{name}");
    }

    #[test]
    fn event_long_instance_is_cut() {
        let event = about("runner", "1-2", EventKind::Skipped(Skip::OptedOut));
        let event = to_event(&event, Timestamp::UNIX_EPOCH, &"ä".repeat(100));
        assert_eq!(event.reporting_instance, Some("ä".repeat(INSTANCE_LENGTH / 2)));
    }
}
