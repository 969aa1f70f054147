//! From the bytes of a review to the bytes of its answer.

use super::{
    decision::{Decision, decide},
    record::{Answer, Owner, Record},
    response,
    review::{self, Request, Unreadable},
};
use crate::{inject::Config, podspec};

/// Answers the `AdmissionReview` in `body`.
pub fn answer(body: &[u8], config: &Config) -> Result<Answer, Unreadable> {
    let request = review::read(body)?;
    let decision = decide(&request, config);
    let patch = response::patch(&decision);
    Ok(Answer {
        body: response::write(&request.uid, &decision, patch.as_deref()),
        record: record(&request, &decision),
    })
}

fn record(request: &Request<'_>, decision: &Decision<'_>) -> Record {
    let (skip, profile, operations) = match decision {
        Decision::Skip(skip) => (Some(*skip), None, 0),
        Decision::Planned { selection, operations, .. } => {
            (None, Some(selection.profile.name.clone()), operations.len())
        }
    };
    let owner = request.object.as_ref().and_then(podspec::owner);
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
