//! What is done with one pod, and why.

use super::{record::Outcome, review::Request, rules::Rules};
use crate::{
    patch::Operation,
    plan::{Code, Conflict, Plan, plan, runner_index},
    pod::Json,
    profile::Choice,
    selection::{RunnerPod, Skip},
};

/// The reason of an outcome that is not a skip.
pub(crate) const INJECTED: &str = "injected";
const COMPLETE: &str = "complete";

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

    /// The kind of each conflict.
    pub fn codes(&self) -> Vec<Code> {
        match self {
            Self::Skip(_) => Vec::new(),
            Self::Planned { conflicts, .. } => {
                conflicts.iter().map(|conflict| conflict.code).collect()
            }
        }
    }
}

/// Decides about the object of a request.
pub(crate) fn decide<'p>(request: &'p Request<'p>, rules: &'p Rules) -> Decision<'p> {
    match choose(request, rules) {
        Err(skip) => Decision::Skip(skip),
        Ok((pod, runner, choice)) => {
            let Plan { edits, conflicts } = plan(pod, runner, choice.selected());
            Decision::Planned { choice, operations: edits.operations(pod), conflicts }
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
