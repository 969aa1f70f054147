//! Writing what became of the objects into their status. Any replica does, and only where it says
//! something new.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use kube::{Api, api::PostParams};
use serde_json::Value;
use tokio::{
    sync::watch::Receiver,
    time::{Instant, sleep_until},
};

use super::{Seen, Sight, Verdict, Verdicts, counts::Counts, stored::Stored, told::tell};
use crate::{
    cluster::{
        MANAGER,
        trouble::{Trouble, random},
    },
    server::Service,
    telemetry::Chain,
};

/// How often counts are added, up to a fifth more: replicas started together drift apart.
const FLUSH: Duration = Duration::from_secs(30);
/// Writes at a time. The API server has other things to do.
const AT_A_TIME: usize = 4;
/// How often a write is tried that another came before. Each time somebody has got on.
const TRIES: usize = 5;
/// `409 Conflict`: the object has changed since it was read.
const CONFLICT: u16 = 409;
/// `404 Not Found`: the object is gone.
const NOT_FOUND: u16 = 404;

/// Writes until the owner is gone.
pub(super) async fn write(
    api: Api<Stored>,
    mut objects: Receiver<Sight>,
    mut verdicts: Receiver<Verdicts>,
    service: Arc<Service>,
) {
    let mut counts = Counts::default();
    let mut said = Said::new();
    let mut trouble = Trouble::default();
    let mut flush = Instant::now() + jittered(FLUSH);
    let mut again: Option<Instant> = None;
    loop {
        let next = again.map_or(flush, |again| again.min(flush));
        tokio::select! {
            changed = verdicts.changed() => if changed.is_err() { return },
            changed = objects.changed() => if changed.is_err() { return },
            () = sleep_until(next) => {}
        }
        let is_flush = Instant::now() >= flush;
        if is_flush {
            flush = Instant::now() + jittered(FLUSH);
        }
        let judged = verdicts.borrow_and_update().clone();
        let sight = objects.borrow_and_update().clone().unwrap_or_default();
        counts.keep(|uid| judged.contains_key(uid));
        said.retain(|uid, _| judged.contains_key(uid));
        let jobs = jobs(&sight, &judged, &said, &mut counts, is_flush, |name| {
            service.metrics().patched(name)
        });
        let results: Vec<_> = stream::iter(jobs)
            .map(|job| async {
                let result = put(&api, &job).await;
                (job, result)
            })
            .buffer_unordered(AT_A_TIME)
            .collect()
            .await;
        let mut failed = None;
        for (job, result) in results {
            match result {
                Ok(()) => {
                    counts.told(&job.uid, job.added);
                    said.insert(job.uid, job.verdict);
                }
                Err(error) => failed = Some((job.name, error)),
            }
        }
        // One line for all: what keeps us from one status keeps us from the others.
        again = failed.map(|(name, error)| {
            let error = Chain(&error).to_string();
            if trouble.notes(&error) {
                tracing::warn!(name, error, "cannot write the status of RunnerProfiles");
            }
            Instant::now() + trouble.wait(random())
        });
        if again.is_none() {
            trouble.ends();
        }
    }
}

/// What this replica said of each object last, by uid.
type Said = BTreeMap<String, Verdict>;

/// One status to write.
#[derive(Clone, Debug, PartialEq)]
struct Job {
    name: String,
    uid: String,
    verdict: Verdict,
    /// Pods to add to the count.
    added: u64,
}

/// What there is to write: one job for an object at most.
///
/// A verdict that was said and is another one in the status now is another replica's, which has
/// other files or another version. It is said again with the counts and no sooner, or the two
/// would write as fast as they can for as long as they differ.
fn jobs(
    sight: &[Seen],
    judged: &Verdicts,
    said: &Said,
    counts: &mut Counts,
    is_flush: bool,
    patched: impl Fn(&str) -> u64,
) -> Vec<Job> {
    let mut jobs = Vec::new();
    for Seen { object, status } in sight {
        let Some(verdict) = judged.get(&object.uid) else { continue };
        let added = counts.untold(&object.uid, patched(&object.name));
        // Telling writes every spec out, so what is not to be said anyway is asked first.
        let is_news = (is_flush || said.get(&object.uid) != Some(verdict))
            && verdict.generation == object.generation
            && tell(verdict, status, Timestamp::UNIX_EPOCH).is_some();
        if is_news || (is_flush && added > 0) {
            jobs.push(Job {
                name: object.name.clone(),
                uid: object.uid.clone(),
                verdict: verdict.clone(),
                added,
            });
        }
    }
    jobs
}

/// Reads, changes and writes, again where another was faster.
async fn put(api: &Api<Stored>, job: &Job) -> Result<(), kube::Error> {
    let parameters =
        PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let mut tries = 0;
    loop {
        tries += 1;
        let result = match api.get_status(&job.name).await {
            Ok(mut object) => match changed(&object, job, Timestamp::now()) {
                None => return Ok(()),
                Some(status) => {
                    object.status.0 = status;
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

/// The status that the object is to have, where it is another than it has.
fn changed(object: &Stored, job: &Job, now: Timestamp) -> Option<Value> {
    if object.metadata.uid.as_deref() != Some(&job.uid) {
        return None;
    }
    let old = object.status();
    // What was judged is not what is there any more: the next verdict is under way.
    let is_judged = object.metadata.generation == Some(job.verdict.generation);
    let told = if is_judged { tell(&job.verdict, &old, now) } else { None };
    if told.is_none() && job.added == 0 {
        return None;
    }
    let mut status = told.unwrap_or(old);
    let added = i64::try_from(job.added).unwrap_or(i64::MAX);
    status.pods_patched = Some(status.pods_patched.unwrap_or_default().saturating_add(added));
    serde_json::to_value(status).ok()
}

/// `period` and up to a fifth more.
fn jittered(period: Duration) -> Duration {
    period.mul_f64(1.0 + random() / 5.0)
}

#[cfg(test)]
mod tests;
