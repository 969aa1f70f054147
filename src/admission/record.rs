//! What an answer is, once it is found: bytes to send, and words to log and count.

/// What was done with a pod.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// A patch was sent.
    Patched,
    /// The pod already is as its profile wants it.
    Unchanged,
    /// The pod is none of our business.
    Skipped,
}

impl Outcome {
    /// The word used in logs, metrics and audit annotations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Patched => "patched",
            Self::Unchanged => "unchanged",
            Self::Skipped => "skipped",
        }
    }
}

/// What there is to say about one answer in logs and metrics. Holds names only: no env value and
/// no part of the pod's spec ever gets in here.
#[derive(Clone, Debug)]
pub struct Record {
    /// The request's uid.
    pub uid: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name, or its generateName followed by `*`.
    pub name: String,
    /// What was done.
    pub outcome: Outcome,
    /// Why, as one fixed word such as `injected` or `not-a-runner`.
    pub reason: &'static str,
    /// The profile that was applied.
    pub profile: Option<String>,
    /// The number of patch operations.
    pub operations: usize,
    /// The fixed word of each conflict, such as `env-kept`.
    pub conflicts: Vec<&'static str>,
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
