//! Writing into the status of each object whether it is in force. Any replica does, and only where
//! it says something new.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, stream};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{
    sync::watch::Receiver,
    time::{MissedTickBehavior, interval},
};

use super::{Acceptance, Latest, ObjectWithStatus, Snapshot, stored::Stored};
use crate::{
    controller::{MANAGER, watch::FailureLog},
    profile::{
        Problem,
        status::{ACCEPTED, RunnerProfileStatus, line},
    },
    telemetry::Chain,
};

/// How often a status is written that failed, or that another replica has changed.
const CORRECT: Duration = Duration::from_secs(30);
/// Writes at a time. The API server has other things to do.
const PARALLEL: usize = 4;
/// `409 Conflict` and `404 Not Found`: the object has changed since it was read, or is gone.
const CHANGED: [u16; 2] = [409, 404];
/// The longest message of a condition, in bytes. The API server takes 32,768; a screen or two is
/// enough, and every replica has all statuses in memory.
const MESSAGE_BYTES: usize = 8 << 10;
/// The longest line of the log for one problem, in bytes.
const LINE_BYTES: usize = 512;

type Acceptances = BTreeMap<String, Acceptance>;

/// Writes until the owner is gone.
pub(super) async fn write(
    api: Api<Stored>,
    snapshots: Receiver<Snapshot>,
    mut latest: Receiver<Latest>,
) {
    let mut written = Acceptances::new();
    let mut log = FailureLog::default();
    // Up to a fifth more, so that replicas started together drift apart.
    let mut corrections = interval(CORRECT.mul_f64(1.0 + fastrand::f64() / 5.0));
    corrections.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let corrects = tokio::select! {
            changed = latest.changed() => if changed.is_err() { return } else { false },
            _ = corrections.tick() => true,
        };
        let compiled = latest.borrow_and_update().clone();
        let snapshot = snapshots.borrow().clone();
        let (Some(compiled), Some(snapshot)) = (compiled, snapshot) else { continue };
        if corrects {
            written.clear();
        }
        let writes = due(&snapshot, &compiled.acceptances, &written, Timestamp::now());
        let puts = writes.into_iter().map(|write| put(&api, write));
        let results: Vec<_> = stream::iter(puts).buffer_unordered(PARALLEL).collect().await;
        // One line for all: what prevents one write prevents the others.
        if let Some(error) = results.into_iter().find_map(Result::err) {
            let error = Chain(&error).to_string();
            if log.is_new(&error) {
                tracing::warn!(error, "cannot write the status of RunnerProfiles; retrying");
            }
        }
        written.clone_from(&compiled.acceptances);
    }
}

/// One status to write.
#[derive(Debug, PartialEq)]
struct Write {
    name: String,
    /// The `metadata.resourceVersion` of the object as it was read.
    version: Option<String>,
    status: RunnerProfileStatus,
}

/// The statuses to write.
///
/// What this replica has `written` already and is different now is another replica's, which has other
/// files or another version. It is corrected from time to time, or the two would write as fast as they
/// can for as long as they differ.
fn due(
    objects: &[ObjectWithStatus],
    acceptances: &Acceptances,
    written: &Acceptances,
    now: Timestamp,
) -> Vec<Write> {
    let due = |ObjectWithStatus { object, status, version }: &ObjectWithStatus| {
        let acceptance = acceptances.get(&object.uid)?;
        if acceptance.generation != object.generation
            || written.get(&object.uid) == Some(acceptance)
        {
            return None;
        }
        let status = changed(acceptance, status, now)?;
        Some(Write { name: object.name.clone(), version: version.clone(), status })
    };
    objects.iter().filter_map(due).collect()
}

/// Writes a status, unless the object has changed since it was read: then there is a newer compilation,
/// or another replica was faster.
async fn put(api: &Api<Stored>, Write { name, version, status }: Write) -> kube::Result<()> {
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let patch = json!({"metadata": {"resourceVersion": version}, "status": status});
    match api.patch_status(&name, &params, &Patch::Merge(patch)).await {
        Err(kube::Error::Api(status)) if CHANGED.contains(&status.code) => Ok(()),
        result => result.map(drop),
    }
}

/// The status by `acceptance`; `None` where `old` says the same, so that replicas do not write in
/// turns.
fn changed(
    acceptance: &Acceptance,
    old: &RunnerProfileStatus,
    now: Timestamp,
) -> Option<RunnerProfileStatus> {
    let Acceptance { generation, problems } = acceptance;
    let (status, reason, message) = if problems.is_empty() {
        ("True", "Accepted", "the profile is in force".to_owned())
    } else {
        let lines: Vec<String> = problems.iter().map(line).collect();
        ("False", "Invalid", lines.join("\n"))
    };
    let before = old.conditions.iter().find(|one| one.type_ == ACCEPTED && one.status == status);
    let condition = Condition {
        type_: ACCEPTED.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: cut(message, MESSAGE_BYTES),
        observed_generation: Some(*generation),
        last_transition_time: before
            .map_or(Time(now), |before| before.last_transition_time.clone()),
    };
    let status = RunnerProfileStatus { conditions: vec![condition] };
    (status != *old).then_some(status)
}

/// The first problem, in a line of bounded length.
pub fn first_problem(problems: &[Problem]) -> Option<String> {
    problems.first().map(|problem| cut(line(problem), LINE_BYTES))
}

/// At most `most` bytes of `text`, whole characters.
fn cut(mut text: String, most: usize) -> String {
    const MORE: &str = " ...";
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub(MORE.len())));
        text.push_str(MORE);
    }
    text
}

#[cfg(test)]
mod tests;
