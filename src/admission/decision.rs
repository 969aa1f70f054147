//! What is done with one pod, and why.

use super::{record::Outcome, review::Request};
use crate::inject::{
    ChangeReason, Config, Conflict, ConflictCode, Plan, Selection, Skip, Subject, patch::Operation,
    plan, select,
};

/// The reason of an outcome that is not a skip.
const INJECTED: &str = "injected";
const COMPLETE: &str = "complete";

/// What was decided about one pod.
#[derive(Debug)]
pub enum Decision<'p> {
    /// It is skipped.
    Skip(Skip),
    /// A profile was laid under it.
    Planned {
        /// The profile, and what the choice depended on.
        selection: Selection<'p>,
        /// The patch; empty when the pod already is as the profile wants it.
        operations: Vec<Operation<'p, ChangeReason>>,
        /// Where the scale set's template and the profile differ.
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
    pub fn codes(&self) -> Vec<ConflictCode> {
        match self {
            Self::Skip(_) => Vec::new(),
            Self::Planned { conflicts, .. } => {
                conflicts.iter().map(|conflict| conflict.code).collect()
            }
        }
    }
}

/// Decides about the object of a request.
pub(crate) fn decide<'p>(request: &'p Request<'p>, config: &'p Config) -> Decision<'p> {
    match subject(request, config) {
        Err(skip) => Decision::Skip(skip),
        Ok(Subject { pod, runner, selection }) => {
            let Plan { edits, conflicts, intended: _ } = plan(pod, runner, selection.selected());
            Decision::Planned { selection, operations: edits.operations(pod), conflicts }
        }
    }
}

/// The runner pod of a request and its profile; or why the pod is skipped.
pub(crate) fn subject<'p>(
    request: &'p Request<'p>,
    config: &'p Config,
) -> Result<Subject<'p>, Skip> {
    let kind = &request.kind;
    if !(kind.group.is_empty() && &*kind.version == "v1" && &*kind.kind == "Pod") {
        return Err(Skip::NotAPod);
    }
    if &*request.operation != "CREATE" || !request.sub_resource.is_empty() {
        return Err(Skip::NotACreate);
    }
    let pod = request.object.as_ref().ok_or(Skip::NotAPod)?;
    select(pod, &request.namespace, &request.user_info.username, config)
}
