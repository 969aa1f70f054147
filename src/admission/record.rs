//! What an answer is, once it is found: bytes to send, and words to log, count and tell.

use crate::inject::{ConflictCode, Skip};

/// What was done with a pod.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// A patch was sent.
    Patched,
    /// The pod already is as its profile wants it.
    Unchanged,
    /// No profile is for the pod.
    Skipped,
    /// The review is larger than what is read; the API server is asked to try again.
    Refused,
}

impl Outcome {
    /// The word used in logs, metrics and audit annotations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Patched => "patched",
            Self::Unchanged => "unchanged",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
        }
    }
}

/// The EphemeralRunner that controls a pod, as the pod refers to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// Its name, in the pod's namespace.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// What there is to say about one answer in logs, metrics and Events. Holds names only: no env value and
/// no part of the pod's spec ever gets in here.
#[derive(Clone, Debug)]
pub struct Record {
    /// The request's uid.
    pub uid: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name, or its generateName followed by `*`.
    pub name: String,
    /// The EphemeralRunner that controls the pod, if one does.
    pub owner: Option<Owner>,
    /// What was done.
    pub outcome: Outcome,
    /// Why, as one fixed word such as `injected` or `not-a-runner`.
    pub reason: &'static str,
    /// The same, of a pod that was left alone.
    pub skip: Option<Skip>,
    /// The profile that was applied.
    pub profile: Option<String>,
    /// The number of patch operations.
    pub operations: usize,
    /// The kind of each conflict.
    pub conflicts: Vec<ConflictCode>,
    /// Whether the request was a dry run.
    pub dry_run: bool,
}

/// An answer ready to send.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The `AdmissionReview`, as JSON.
    pub body: Vec<u8>,
    /// What to log and count.
    pub record: Record,
}
