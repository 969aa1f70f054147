//! From the bytes of a review to the bytes of its answer.

use super::{
    memo::Memo,
    response,
    review::{self, Request, Unreadable},
};
use crate::{
    patch::Operation,
    plan::{Conflict, plan, runner_index},
    pod::Json,
    profile::{Choice, ProfileSet},
    selection::{Requesters, RunnerPod, Skip},
};

/// Everything that an answer depends on beside the review. Compiled ahead: a new configuration is
/// a new value, swapped in as a whole. What is remembered beside it makes answers faster, never
/// other ones.
#[derive(Debug)]
pub struct Rules {
    /// The profiles.
    pub profiles: ProfileSet,
    /// Who may have privileged containers added.
    pub requesters: Requesters,
    /// What these rules have answered already.
    memo: Memo,
}

impl Rules {
    /// Rules with these profiles and requesters.
    pub fn new(profiles: ProfileSet, requesters: Requesters) -> Self {
        Self { profiles, requesters, memo: Memo::default() }
    }

    /// Whether `review` would be answered from memory. The answer is the same either way.
    pub fn is_known(&self, review: &[u8]) -> bool {
        self.memo.get(review).is_some()
    }
}

/// The built-in profile, and ARC's controller as requester.
impl Default for Rules {
    fn default() -> Self {
        Self::new(ProfileSet::builtin(), Requesters::default())
    }
}

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

/// The reason of an outcome that is not a skip.
const INJECTED: &str = "injected";
const COMPLETE: &str = "complete";

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

/// What was decided about one pod.
#[derive(Debug)]
pub enum Decision<'p> {
    /// It is left alone.
    Skip(Skip),
    /// A profile was laid under it.
    Planned {
        /// The profile, and what the choice depended on.
        choice: Choice<'p>,
        /// The patch; empty when the pod already is as the profile wants it.
        operations: Vec<Operation<'p>>,
        /// Where author and profile differ.
        conflicts: Vec<Conflict>,
    },
}

impl Decision<'_> {
    /// What is done with the pod.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Skip(_) => Outcome::Skipped,
            Self::Planned { operations, .. } if operations.is_empty() => Outcome::Unchanged,
            Self::Planned { .. } => Outcome::Patched,
        }
    }

    /// Why, as one fixed word.
    pub fn reason(&self) -> &'static str {
        match (self, self.outcome()) {
            (Self::Skip(skip), _) => skip.as_str(),
            (Self::Planned { .. }, Outcome::Patched) => INJECTED,
            (Self::Planned { .. }, _) => COMPLETE,
        }
    }

    /// The fixed word of each conflict.
    pub fn codes(&self) -> Vec<&'static str> {
        match self {
            Self::Skip(_) => Vec::new(),
            Self::Planned { conflicts, .. } => {
                conflicts.iter().map(|conflict| conflict.code.as_str()).collect()
            }
        }
    }
}

/// Answers the `AdmissionReview` in `body`.
pub fn answer(body: &[u8], rules: &Rules) -> Result<Answer, Unreadable> {
    if let Some(answer) = rules.memo.get(body) {
        return Ok(answer);
    }
    let request = review::read(body)?;
    let decision = decide(&request, rules);
    let patch = response::patch(&decision);
    let answer = Answer {
        body: response::write(&request.uid, &decision, patch.as_deref()),
        record: record(&request, &decision),
    };
    rules.memo.put(body, &request, &answer, patch.as_deref());
    Ok(answer)
}

/// Decides about the object of a request.
pub(crate) fn decide<'p>(request: &'p Request<'p>, rules: &'p Rules) -> Decision<'p> {
    match choose(request, rules) {
        Err(skip) => Decision::Skip(skip),
        Ok((pod, runner, choice)) => {
            let plan = plan(pod, runner, choice.selected());
            let conflicts = plan.conflicts;
            Decision::Planned { choice, operations: plan.edits.operations(pod), conflicts }
        }
    }
}

/// The pod, its runner container and its profile; or why it is left alone.
pub(crate) fn choose<'p>(
    request: &'p Request<'p>,
    rules: &'p Rules,
) -> Result<(&'p Json<'p>, usize, Choice<'p>), Skip> {
    let kind = &request.kind;
    if !(kind.group.is_empty() && &*kind.version == "v1" && &*kind.kind == "Pod") {
        return Err(Skip::NotAPod);
    }
    if &*request.operation != "CREATE" || !request.sub_resource.is_empty() {
        return Err(Skip::NotACreate);
    }
    let pod = request.object.as_ref().ok_or(Skip::NotAPod)?;
    let namespace = &*request.namespace;
    let user = &request.user_info.username;
    let runner_pod = RunnerPod::of(pod, namespace, user, &rules.requesters)?;
    let (index, runner) = runner_index(pod)
        .and_then(|index| Some((index, pod.get("spec")?.list("containers").get(index)?)))
        .ok_or(Skip::NoRunnerContainer)?;
    let choice = rules.profiles.choose(&runner_pod, runner)?;
    Ok((pod, index, choice))
}

fn record(request: &Request<'_>, decision: &Decision<'_>) -> Record {
    let (profile, operations) = match decision {
        Decision::Skip(_) => (None, 0),
        Decision::Planned { choice, operations, .. } => {
            (Some(choice.profile.name.clone()), operations.len())
        }
    };
    Record {
        uid: request.uid.to_string(),
        namespace: request.namespace.to_string(),
        name: display_name(request),
        outcome: decision.outcome(),
        reason: decision.reason(),
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
