//! What the scripts of a test ask for.

use serde_json::{Value, json};

use super::Service;
use crate::{clock::Seconds, jobs::Stage, refusal::Refusal, scale_set::no_job};

impl Service {
    /// Queues jobs at a scale set of whatever tenant, and gives their IDs. Fails with 404.
    pub(crate) fn add_jobs(
        &mut self,
        scale_set: u64,
        count: u64,
        offer: bool,
        now: Seconds,
    ) -> Result<Value, Refusal> {
        let runners = self.runners_of(scale_set);
        let first = self.last_id + 1;
        let set = self.scale_sets.get_mut(&scale_set);
        let set = set.ok_or_else(|| Refusal::no_scale_set(scale_set))?;
        set.add_jobs(first..first + count, offer, runners, now);
        self.last_id += count;
        Ok(json!({"jobs": (first..first + count).collect::<Vec<u64>>()}))
    }

    /// Puts a job on a runner of its scale set, by the runner's name.
    pub(crate) fn start_job(
        &mut self,
        job: u64,
        runner: &str,
        now: Seconds,
    ) -> Result<(), Refusal> {
        let set = self.scale_sets.values().find(|set| set.jobs.contains_key(&job));
        let id = set.ok_or_else(|| no_job(job))?.id;
        let mut runners = self.runners.iter();
        let found = runners.find(|(_, other)| other.scale_set == id && other.name == runner);
        let (number, _) = found.ok_or_else(|| {
            Refusal::new(404, "AgentNotFoundException", format!("no agent {runner}"))
        })?;
        let (runner, runners) = ((*number, runner.to_owned()), self.runners_of(id));
        let set = self.scale_sets.get_mut(&id).ok_or_else(|| Refusal::no_scale_set(id))?;
        set.start(job, runner, runners, now)
    }

    /// Ends a job. An ephemeral runner takes no other one, so the job's goes with it.
    pub(crate) fn complete_job(
        &mut self,
        job: u64,
        result: &'static str,
        now: Seconds,
    ) -> Result<(), Refusal> {
        let set = self.scale_sets.values().find(|set| set.jobs.contains_key(&job));
        let set = set.ok_or_else(|| no_job(job))?;
        let id = set.id;
        if let Some(Stage::Running(runner, _)) = set.jobs.get(&job).map(|job| &job.stage) {
            self.runners.remove(runner);
        }
        let runners = self.runners_of(id);
        let set = self.scale_sets.get_mut(&id).ok_or_else(|| Refusal::no_scale_set(id))?;
        set.complete(job, result, runners, now)
    }

    /// All that is remembered but tokens.
    pub(crate) fn state(&self) -> Value {
        let sets = self.scale_sets.values().map(|set| {
            let runners = self.runners.iter().filter(|(_, runner)| runner.scale_set == set.id);
            let jobs = set.jobs.values().map(|job| match &job.stage {
                Stage::Available => json!({"id": job.id, "stage": "available"}),
                Stage::Assigned => json!({"id": job.id, "stage": "assigned"}),
                Stage::Running(_, runner) => {
                    json!({"id": job.id, "stage": "running", "runner": runner})
                }
            });
            json!({
                "id": set.id,
                "name": set.name,
                "scope": set.scope.to_string(),
                "runnerGroup": self.group(set.group),
                "labels": set.labels,
                "listener": set.session.as_ref().map(|session| session.owner.as_str()),
                "maxCapacity": set.capacity,
                "messages": set.queue.len(),
                "statistics": set.statistics(self.runners_of(set.id)),
                "jobs": jobs.collect::<Vec<Value>>(),
                "runners": runners
                    .map(|(id, runner)| json!({"id": id, "name": runner.name}))
                    .collect::<Vec<Value>>(),
            })
        });
        json!({"scaleSets": sets.collect::<Vec<Value>>()})
    }
}
