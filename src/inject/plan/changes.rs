//! What the rules add: edits of the pod and conflicts.

use super::conflict::{ChangeReason, Conflict, ConflictCode, Winner};
use crate::{
    inject::patch::{Content, Edits, Step},
    podspec::ContainerRef,
};

/// What the rules have added so far. Rules write to it and never read it.
#[derive(Default)]
pub(super) struct Changes<'p> {
    pub(super) edits: Edits<'p, ChangeReason>,
    pub(super) conflicts: Vec<Conflict>,
}

impl<'p> Changes<'p> {
    /// Sets the field at `field` below `spec`.
    pub(super) fn set_spec(
        &mut self,
        field: &'p str,
        value: impl Content<'p>,
        reason: ChangeReason,
    ) {
        self.edits.set(&[Step::key("spec"), Step::key(field)], value, reason);
    }

    /// Sets a field of a container that is in the pod.
    pub(super) fn set_in(
        &mut self,
        place: ContainerRef<'_>,
        path: &[&'p str],
        value: impl Content<'p>,
        reason: ChangeReason,
    ) {
        self.edits.set(&steps(place, path), value, reason);
    }

    /// Appends to a list of a container that is in the pod.
    pub(super) fn append_in(
        &mut self,
        place: ContainerRef<'_>,
        field: &'p str,
        value: impl Content<'p>,
        reason: ChangeReason,
    ) {
        self.edits.append(&steps(place, &[field]), value, reason);
    }

    /// Adds a conflict.
    pub(super) fn conflict(
        &mut self,
        code: ConflictCode,
        winner: Winner,
        path: impl Into<String>,
        message: impl Into<String>,
    ) {
        let (path, message) = (path.into(), message.into());
        self.conflicts.push(Conflict { code, winner, path, message });
    }

    /// Adds a conflict that the scale set's template won: its value stays.
    pub(super) fn kept(&mut self, code: ConflictCode, path: impl Into<String>, profile: &str) {
        let message = format!("the pod's own value is kept, profile {profile} differs");
        self.conflict(code, Winner::ScaleSet, path, message);
    }

    /// Adds a conflict about a setting that the pod's own settings exclude.
    pub(super) fn excluded(&mut self, path: impl Into<String>, by: &str) {
        let message = format!("left out, because the pod says {by}");
        self.conflict(ConflictCode::SecurityKept, Winner::ScaleSet, path, message);
    }
}

/// The steps to a field of a container that is in the pod.
pub(super) fn steps<'p>(place: ContainerRef<'_>, path: &[&'p str]) -> Vec<Step<'p>> {
    let container = [Step::key("spec"), Step::key(place.list), Step::Index(place.index)];
    container.into_iter().chain(path.iter().map(|key| Step::key(key))).collect()
}
