//! One runner scale set: what ARC registered, its listener's session, its jobs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    clock::{Seconds, rfc3339},
    jobs::{Event, Job, Stage, Statistics},
    queue::Queue,
    refusal::Refusal,
    scope::Scope,
};

/// How long a session is its owner's after the last that was heard of it. More than the longest
/// poll, so that a living listener keeps it; short enough that the successor of one that was
/// killed gets it within its ten tries, 30 s apart (`actions/scaleset`, `listener.go`).
const LEASE: Seconds = 90;

/// What ARC says about a scale set when it creates or changes it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Description {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runner_group_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) labels: Option<Vec<Label>>,
    /// `{ephemeral, isElastic, disableUpdate}`, given back as it came. Its key is the only one
    /// that begins with a capital.
    #[serde(rename = "RunnerSetting", skip_serializing_if = "Option::is_none")]
    pub(crate) setting: Option<Value>,
}

/// A label of a scale set, by which jobs ask for it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Label {
    /// `System`, or absent.
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// A listener's message session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// A UUID: the client parses it as one.
    pub(crate) id: String,
    /// The listener's host name.
    pub(crate) owner: String,
    pub(crate) seen: Seconds,
}

/// A registered scale set.
#[derive(Debug)]
pub(crate) struct ScaleSet {
    pub(crate) id: u64,
    pub(crate) tenant: u64,
    pub(crate) scope: Scope,
    pub(crate) name: String,
    pub(crate) group: u64,
    pub(crate) labels: Vec<Label>,
    pub(crate) setting: Value,
    pub(crate) created: Seconds,
    pub(crate) session: Option<Session>,
    /// The last `X-ScaleSetMaxCapacity` of the listener: `maxRunners`.
    pub(crate) capacity: Option<u64>,
    pub(crate) jobs: BTreeMap<u64, Job>,
    pub(crate) queue: Queue,
}

impl ScaleSet {
    /// Takes over what a description says.
    pub(crate) fn describe(&mut self, description: Description) {
        let Description { name, runner_group_id, labels, setting } = description;
        self.name = name.unwrap_or_else(|| std::mem::take(&mut self.name));
        self.group = runner_group_id.unwrap_or(self.group);
        self.labels = labels.unwrap_or_else(|| std::mem::take(&mut self.labels));
        self.setting = setting.unwrap_or_else(|| self.setting.take());
    }

    /// As `RunnerScaleSet` of `actions/scaleset`.
    pub(crate) fn json(&self, group: &str, runners: usize) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "runnerGroupId": self.group,
            "runnerGroupName": group,
            "labels": self.labels,
            "RunnerSetting": self.setting,
            "createdOn": rfc3339(self.created),
            "statistics": self.statistics(runners),
        })
    }

    /// Of its jobs, with so many runners registered.
    pub(crate) fn statistics(&self, runners: usize) -> Statistics {
        Statistics::of(self.jobs.values(), runners)
    }

    /// The session of this ID, kept alive. Fails with 404 where another one is in force, or none.
    pub(crate) fn touch(&mut self, id: &str, now: Seconds) -> Result<(), Refusal> {
        match &mut self.session {
            Some(session) if session.id == id => {
                session.seen = now;
                Ok(())
            }
            _ => Err(Refusal::no_session(id)),
        }
    }

    /// Opens a session. Fails with 409 while another listener's is alive.
    pub(crate) fn open(&mut self, session: Session) -> Result<(), Refusal> {
        let alive = |other: &&Session| session.seen < other.seen.saturating_add(LEASE);
        if let Some(other) = self.session.as_ref().filter(alive) {
            let message = format!("{} has a session already: {}", self.name, other.owner);
            return Err(Refusal::new(409, "RunnerScaleSetSessionConflictException", message));
        }
        self.session = Some(session);
        Ok(())
    }

    /// Queues new jobs and tells the listener: assigned at once, or with `offer` for it to
    /// acquire.
    pub(crate) fn add_jobs(
        &mut self,
        ids: impl Iterator<Item = u64>,
        offer: bool,
        runners: usize,
        now: Seconds,
    ) {
        let mut events = Vec::new();
        for id in ids {
            let mut job = Job::new(id, now);
            let event = if offer {
                Event::Available
            } else {
                job.assign(now);
                Event::Assigned
            };
            events.push(job.message(event, &self.scope, &self.name));
            self.jobs.insert(id, job);
        }
        self.queue.push(&events, &self.statistics(runners));
    }

    /// Assigns those of these jobs that are still on offer, and says which.
    pub(crate) fn acquire(&mut self, ids: &[u64], runners: usize, now: Seconds) -> Vec<u64> {
        let mut acquired = Vec::new();
        let mut events = Vec::new();
        for id in ids {
            if let Some(job) = self.jobs.get_mut(id)
                && job.stage == Stage::Available
            {
                job.assign(now);
                events.push(job.message(Event::Assigned, &self.scope, &self.name));
                acquired.push(*id);
            }
        }
        if !events.is_empty() {
            self.queue.push(&events, &self.statistics(runners));
        }
        acquired
    }

    /// Puts an assigned job on a runner. Fails with 409 where it is not assigned.
    pub(crate) fn start(
        &mut self,
        id: u64,
        runner: (u64, String),
        runners: usize,
        now: Seconds,
    ) -> Result<(), Refusal> {
        let job = self.jobs.get_mut(&id).ok_or_else(|| no_job(id))?;
        if job.stage != Stage::Assigned {
            let message = format!("job {id} is not waiting for a runner");
            return Err(Refusal::new(409, "JobStateException", message));
        }
        job.stage = Stage::Running(runner.0, runner.1);
        job.started = Some(now);
        let message = job.message(Event::Started, &self.scope, &self.name);
        self.queue.push(&[message], &self.statistics(runners));
        Ok(())
    }

    /// Ends a job, in whatever stage it is.
    pub(crate) fn complete(
        &mut self,
        id: u64,
        result: &'static str,
        runners: usize,
        now: Seconds,
    ) -> Result<(), Refusal> {
        let job = self.jobs.remove(&id).ok_or_else(|| no_job(id))?;
        let message = job.message(Event::Completed(result, now), &self.scope, &self.name);
        self.queue.push(&[message], &self.statistics(runners));
        Ok(())
    }
}

/// 404: a job that is not there.
pub(crate) fn no_job(id: u64) -> Refusal {
    Refusal::new(404, "JobNotFoundException", format!("no job {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_scale_set() -> ScaleSet {
        ScaleSet {
            id: 1,
            tenant: 1,
            scope: Scope::Organization("amd".to_owned()),
            name: "gpu".to_owned(),
            group: 1,
            labels: Vec::new(),
            setting: Value::Null,
            created: 0,
            session: None,
            capacity: None,
            jobs: BTreeMap::new(),
            queue: Queue::default(),
        }
    }

    fn mk_session(id: &str, seen: Seconds) -> Session {
        Session { id: id.to_owned(), owner: "listener".to_owned(), seen }
    }

    fn events(message: &Value) -> Vec<String> {
        let body: Vec<Value> = serde_json::from_str(message["body"].as_str().unwrap()).unwrap();
        body.iter().map(|item| item["messageType"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn jobs_that_are_assigned_are_in_the_statistics() {
        let mut set = mk_scale_set();
        set.add_jobs(7..9, false, 0, 10);
        let message = set.queue.after(0).unwrap();
        assert_eq!(events(message), ["JobAssigned", "JobAssigned"]);
        assert_eq!(message["statistics"]["totalAssignedJobs"], 2);
    }

    #[test]
    fn jobs_on_offer_are_assigned_when_they_are_acquired() {
        let mut set = mk_scale_set();
        set.add_jobs(7..9, true, 0, 10);
        let offer = set.queue.after(0).unwrap();
        assert_eq!(events(offer), ["JobAvailable", "JobAvailable"]);
        assert_eq!(offer["statistics"]["totalAvailableJobs"], 2);
        assert_eq!(offer["statistics"]["totalAssignedJobs"], 0);
        assert_eq!(set.acquire(&[8, 99], 0, 11), [8]);
        assert_eq!(set.acquire(&[8], 0, 11), [0_u64; 0]);
        let assigned = set.queue.after(1).unwrap();
        assert_eq!(events(assigned), ["JobAssigned"]);
        assert_eq!(assigned["statistics"]["totalAssignedJobs"], 1);
        assert_eq!(set.queue.after(2), None);
    }

    #[test]
    fn a_job_starts_once_and_ends_once() {
        let mut set = mk_scale_set();
        set.add_jobs(7..8, false, 1, 10);
        assert_eq!(set.start(7, (3, "r".to_owned()), 1, 11), Ok(()));
        assert_eq!(set.start(7, (3, "r".to_owned()), 1, 11).unwrap_err().status, 409);
        assert_eq!(set.statistics(1).total_busy_runners, 1);
        assert_eq!(set.complete(7, "succeeded", 1, 12), Ok(()));
        assert_eq!(set.complete(7, "succeeded", 1, 12).unwrap_err().status, 404);
        let last = set.queue.after(2).unwrap();
        assert_eq!(events(last), ["JobCompleted"]);
        assert_eq!(last["statistics"]["totalAssignedJobs"], 0);
    }

    #[test]
    fn a_session_is_its_owners_while_it_is_heard_of() {
        let mut set = mk_scale_set();
        assert_eq!(set.open(mk_session("a", 100)), Ok(()));
        assert_eq!(set.touch("a", 150), Ok(()));
        assert_eq!(set.open(mk_session("b", 150 + LEASE - 1)).unwrap_err().status, 409);
        assert_eq!(set.open(mk_session("b", 150 + LEASE)), Ok(()));
        assert_eq!(set.touch("a", 300).unwrap_err().status, 404);
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let mut set = mk_scale_set();
        set.labels = vec![Label { kind: "System".to_owned(), name: "gpu".to_owned() }];
        set.describe(Description { runner_group_id: Some(2), ..Description::default() });
        assert_eq!((set.name.as_str(), set.group, set.labels.len()), ("gpu", 2, 1));
    }
}
