//! From the bytes of a review to the bytes of its answer.

use super::{
    decision::{Decision, decide},
    record::{Answer, Outcome, Owner, Record},
    response,
    review::{self, Request, Unreadable},
};
use crate::{inject::Config, podspec::owner};

/// The reason of a refusal for the review's size.
const TOO_MANY_VALUES: &str = "too-many-values";

/// Answers the `AdmissionReview` in `body`.
///
/// # Errors
///
/// What is no review that can be answered; the caller gets an HTTP 400, which the API server turns
/// into a retriable error.
pub fn answer(body: &[u8], config: &Config) -> Result<Answer, Unreadable> {
    let request = match review::read(body) {
        Err(Unreadable::TooManyValues { uid }) => return Ok(refusal(uid)),
        request => request?,
    };
    let decision = decide(&request, config);
    let body = response::review(&request, &decision);
    Ok(Answer { body, record: record(&request, &decision) })
}

/// The answer to a review with more values than are read.
fn refusal(uid: String) -> Answer {
    let message = Unreadable::TooManyValues { uid: uid.clone() }.to_string();
    Answer {
        body: response::refusal(&uid, message),
        record: Record {
            uid,
            namespace: String::new(),
            name: String::new(),
            owner: None,
            outcome: Outcome::Refused,
            reason: TOO_MANY_VALUES,
            skip: None,
            profile: None,
            operations: 0,
            conflicts: Vec::new(),
            dry_run: false,
        },
    }
}

fn record(request: &Request<'_>, decision: &Decision<'_>) -> Record {
    let (skip, profile, operations) = match decision {
        Decision::Skip(skip) => (Some(*skip), None, 0),
        Decision::Planned { selection, operations, .. } => {
            (None, Some(selection.profile.name.clone()), operations.len())
        }
    };
    let owner = request.object.as_ref().and_then(owner);
    Record {
        uid: request.uid.to_string(),
        namespace: request.namespace.to_string(),
        name: display_name(request),
        owner: owner.map(|owner| Owner {
            name: owner.text("name").to_owned(),
            uid: owner.text("uid").to_owned(),
        }),
        outcome: decision.outcome(),
        reason: decision.reason(),
        skip,
        profile,
        operations,
        conflicts: decision.codes(),
        dry_run: request.dry_run.unwrap_or_default(),
    }
}

/// The name; for a pod whose name is still to be generated its prefix and a `*`.
pub(crate) fn display_name(request: &Request<'_>) -> String {
    if !request.name.is_empty() {
        return request.name.to_string();
    }
    let metadata = request.object.as_ref().and_then(|pod| pod.get("metadata"));
    let text = |key| metadata.map(|metadata| metadata.text(key)).unwrap_or_default();
    match (text("name"), text("generateName")) {
        ("", prefix) => format!("{prefix}*"),
        (name, _) => name.to_owned(),
    }
}
