//! Writing into the status of each object whether it is in force. Any replica does, and only where
//! it says something new.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, stream};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use kube::{Api, api::PostParams};
use tokio::{
    sync::watch::Receiver,
    time::{Instant, sleep_until},
};

use super::{Acceptance, Latest, ObjectWithStatus, Snapshot, stored::Stored};
use crate::{
    controller::{
        MANAGER,
        backoff::{Backoff, random},
    },
    profile::{
        Problem,
        status::{ACCEPTED, RunnerProfileStatus, line},
    },
    telemetry::Chain,
};

/// How often a status is corrected that another replica has written, up to a fifth more: replicas
/// started together drift apart.
const CORRECT: Duration = Duration::from_secs(30);
/// Writes at a time. The API server has other things to do.
const PARALLEL: usize = 4;
/// How often a write is tried that another one came before.
const TRIES: usize = 5;
/// `409 Conflict`: the object has changed since it was read.
const CONFLICT: u16 = 409;
/// `404 Not Found`: the object is gone.
const NOT_FOUND: u16 = 404;
/// The longest message of a condition, in bytes. The API server takes 32,768; a screen or two is
/// enough, and every replica has all statuses in memory.
const MESSAGE_BYTES: usize = 8 << 10;
/// The longest line of the log for one problem, in bytes.
const LINE_BYTES: usize = 512;

/// What this replica wrote last of each object, by uid.
type Written = BTreeMap<String, Acceptance>;

/// Writes until the owner is gone.
pub(super) async fn write(
    api: Api<Stored>,
    mut snapshots: Receiver<Snapshot>,
    mut latest: Receiver<Latest>,
) {
    let mut written = Written::new();
    let mut backoff = Backoff::default();
    let mut correct_at = Instant::now() + jittered(CORRECT);
    let mut retry_at: Option<Instant> = None;
    loop {
        let next = retry_at.map_or(correct_at, |at| at.min(correct_at));
        tokio::select! {
            changed = latest.changed() => if changed.is_err() { return },
            changed = snapshots.changed() => if changed.is_err() { return },
            () = sleep_until(next) => {}
        }
        let corrects = Instant::now() >= correct_at;
        if corrects {
            correct_at = Instant::now() + jittered(CORRECT);
        }
        let compiled = latest.borrow_and_update().clone();
        let snapshot = snapshots.borrow_and_update().clone();
        let (Some(compiled), Some(snapshot)) = (compiled, snapshot) else { continue };
        let acceptances = &compiled.acceptances;
        written.retain(|uid, _| acceptances.contains_key(uid));
        let jobs = jobs(&snapshot, acceptances, &written, corrects);
        let results: Vec<_> = stream::iter(jobs)
            .map(|job| async {
                let result = put(&api, &job).await;
                (job, result)
            })
            .buffer_unordered(PARALLEL)
            .collect()
            .await;
        let mut failed = None;
        for (job, result) in results {
            match result {
                Ok(()) => {
                    written.insert(job.uid, job.acceptance);
                }
                Err(error) => failed = Some((job.name, error)),
            }
        }
        // One line for all: what prevents one write prevents the others.
        retry_at = failed.map(|(name, error)| {
            let error = Chain(&error).to_string();
            if backoff.record(&error) {
                tracing::warn!(name, error, "cannot write the status of RunnerProfiles");
            }
            Instant::now() + backoff.delay(random())
        });
        if retry_at.is_none() {
            backoff.reset();
        }
    }
}

/// One status to write.
#[derive(Clone, Debug, PartialEq)]
struct Job {
    name: String,
    uid: String,
    acceptance: Acceptance,
}

/// What there is to write.
///
/// A status that differs from what this replica has written already is another replica's, which
/// has other files or another version. It is corrected with the others (`corrects`) and no sooner,
/// or the two would write as fast as they can for as long as they differ.
fn jobs(
    objects: &[ObjectWithStatus],
    acceptances: &BTreeMap<String, Acceptance>,
    written: &Written,
    corrects: bool,
) -> Vec<Job> {
    let mut jobs = Vec::new();
    for ObjectWithStatus { object, status } in objects {
        let Some(acceptance) = acceptances.get(&object.uid) else { continue };
        if acceptance.generation == object.generation
            && (corrects || written.get(&object.uid) != Some(acceptance))
            && changed(acceptance, status, Timestamp::UNIX_EPOCH).is_some()
        {
            jobs.push(Job {
                name: object.name.clone(),
                uid: object.uid.clone(),
                acceptance: acceptance.clone(),
            });
        }
    }
    jobs
}

/// Reads, changes and writes, again where another write came first.
async fn put(api: &Api<Stored>, job: &Job) -> Result<(), kube::Error> {
    let parameters =
        PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let mut tries = 0;
    loop {
        tries += 1;
        let result = match api.get_status(&job.name).await {
            Ok(mut object) => match changed_of(&object, job, Timestamp::now()) {
                None => return Ok(()),
                Some(status) => {
                    object.status.0 = serde_json::to_value(status).unwrap_or_default();
                    api.replace_status(&job.name, &parameters, &object).await.map(drop)
                }
            },
            Err(error) => Err(error),
        };
        match result {
            Err(kube::Error::Api(status)) if status.code == CONFLICT && tries < TRIES => {}
            Err(kube::Error::Api(status)) if status.code == NOT_FOUND => return Ok(()),
            result => return result,
        }
    }
}

/// The status that the object is to have; `None` where it has it, or is not the one that was
/// compiled: made anew, or edited since.
fn changed_of(object: &Stored, job: &Job, now: Timestamp) -> Option<RunnerProfileStatus> {
    let Job { uid, acceptance, .. } = job;
    let is_same = object.metadata.uid.as_ref() == Some(uid)
        && object.metadata.generation == Some(acceptance.generation);
    if is_same { changed(acceptance, &object.status(), now) } else { None }
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

/// `period` and up to a fifth more.
fn jittered(period: Duration) -> Duration {
    period.mul_f64(1.0 + random() / 5.0)
}

#[cfg(test)]
mod tests;
