//! Jobs, and the messages that tell a listener about them.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    clock::{NEVER, Seconds, rfc3339},
    scope::Scope,
};

/// How far a job is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// Offered: the listener may acquire it.
    Available,
    /// The scale set's: it has to bring a runner.
    Assigned,
    /// On the runner of this ID and name.
    Running(u64, String),
}

/// One job. It goes when it is completed.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// `runnerRequestId`, by which the listener acquires it.
    pub(crate) id: u64,
    pub(crate) stage: Stage,
    pub(crate) queued: Seconds,
    pub(crate) assigned: Option<Seconds>,
    pub(crate) started: Option<Seconds>,
}

/// What happened to a job: one item of a message's body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    Available,
    Assigned,
    Started,
    /// With its result, such as `succeeded`.
    Completed(&'static str, Seconds),
}

/// How many jobs and runners a scale set has; `RunnerScaleSetStatistic` of `actions/scaleset`.
/// ARC wants `minRunners` + `totalAssignedJobs` runners.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the wire's own names")]
pub(crate) struct Statistics {
    pub(crate) total_available_jobs: usize,
    /// Always 0 here: a job that is acquired is assigned at once.
    pub(crate) total_acquired_jobs: usize,
    /// Those that run are counted as well: their runners are wanted.
    pub(crate) total_assigned_jobs: usize,
    pub(crate) total_running_jobs: usize,
    pub(crate) total_registered_runners: usize,
    pub(crate) total_busy_runners: usize,
    pub(crate) total_idle_runners: usize,
}

impl Statistics {
    /// Of these jobs, with so many runners.
    pub(crate) fn of<'j>(jobs: impl Iterator<Item = &'j Job>, runners: usize) -> Self {
        let mut all = Self { total_registered_runners: runners, ..Self::default() };
        for job in jobs {
            match job.stage {
                Stage::Available => all.total_available_jobs += 1,
                Stage::Assigned => all.total_assigned_jobs += 1,
                Stage::Running(..) => {
                    all.total_assigned_jobs += 1;
                    all.total_running_jobs += 1;
                }
            }
        }
        all.total_busy_runners = all.total_running_jobs.min(runners);
        all.total_idle_runners = runners - all.total_busy_runners;
        all
    }
}

impl Job {
    pub(crate) fn new(id: u64, now: Seconds) -> Self {
        Self { id, stage: Stage::Available, queued: now, assigned: None, started: None }
    }

    /// Gives it to the scale set.
    pub(crate) fn assign(&mut self, now: Seconds) {
        self.stage = Stage::Assigned;
        self.assigned = Some(now);
    }

    /// The message item of an event, with the fields of `JobMessageBase` in `actions/scaleset`
    /// and those of the event's own type.
    pub(crate) fn message(&self, event: Event, scope: &Scope, scale_set: &str) -> Value {
        let id = self.id;
        let (owner, repository) = scope.owner_and_repository();
        let time = |time: Option<Seconds>| time.map_or_else(|| NEVER.to_owned(), rfc3339);
        let finished = match event {
            Event::Completed(_, finished) => Some(finished),
            _ => None,
        };
        let kind = match event {
            Event::Available => "JobAvailable",
            Event::Assigned => "JobAssigned",
            Event::Started => "JobStarted",
            Event::Completed(..) => "JobCompleted",
        };
        let mut message = json!({
            "messageType": kind,
            "runnerRequestId": id,
            "repositoryName": repository,
            "ownerName": owner,
            "jobId": format!("00000000-0000-4000-a000-{id:012x}"),
            "jobWorkflowRef": format!("{owner}/{repository}/.github/workflows/ci.yml@refs/heads/main"),
            "jobDisplayName": format!("job {id}"),
            "workflowRunId": id,
            "eventName": "push",
            "requestLabels": [scale_set],
            "queueTime": rfc3339(self.queued),
            "scaleSetAssignTime": time(self.assigned),
            "runnerAssignTime": time(self.started),
            "finishTime": time(finished),
        });
        let mut add = |key: &str, value: Value| {
            if let Some(message) = message.as_object_mut() {
                message.insert(key.to_owned(), value);
            }
        };
        match event {
            // No current client calls it: they acquire by acquirejobs.
            Event::Available => add("acquireJobUrl", "".into()),
            Event::Assigned => {}
            Event::Started | Event::Completed(..) => {
                let (runner, name) = match &self.stage {
                    Stage::Running(runner, name) => (*runner, name.as_str()),
                    _ => (0, ""),
                };
                add("runnerId", runner.into());
                add("runnerName", name.into());
            }
        }
        if let Event::Completed(result, _) = event {
            add("result", result.into());
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_job_is_counted_as_assigned_too() {
        let mut jobs: Vec<Job> = (1..=4).map(|id| Job::new(id, 0)).collect();
        jobs[1].assign(1);
        jobs[2].assign(1);
        jobs[3].stage = Stage::Running(9, "r".to_owned());
        let statistics = Statistics::of(jobs.iter(), 2);
        assert_eq!(
            serde_json::to_value(statistics).unwrap(),
            json!({
                "totalAvailableJobs": 1, "totalAcquiredJobs": 0, "totalAssignedJobs": 3,
                "totalRunningJobs": 1, "totalRegisteredRunners": 2, "totalBusyRunners": 1,
                "totalIdleRunners": 1,
            })
        );
    }

    #[test]
    fn a_message_has_the_fields_of_its_type() {
        let scope = Scope::Repository("amd".to_owned(), "rocm".to_owned());
        let mut job = Job::new(5, 0);
        let available = job.message(Event::Available, &scope, "gpu");
        assert_eq!(available["messageType"], "JobAvailable");
        assert_eq!(available["runnerRequestId"], 5);
        assert_eq!(available["scaleSetAssignTime"], NEVER);
        assert_eq!(available["acquireJobUrl"], "");
        job.assign(60);
        let assigned = job.message(Event::Assigned, &scope, "gpu");
        assert_eq!(assigned["scaleSetAssignTime"], "1970-01-01T00:01:00Z");
        assert_eq!(assigned["ownerName"], "amd");
        assert_eq!(assigned["repositoryName"], "rocm");
        assert_eq!(assigned["requestLabels"], json!(["gpu"]));
        job.stage = Stage::Running(3, "gpu-x".to_owned());
        job.started = Some(61);
        let completed = job.message(Event::Completed("succeeded", 120), &scope, "gpu");
        assert_eq!(completed["runnerId"], 3);
        assert_eq!(completed["runnerName"], "gpu-x");
        assert_eq!(completed["result"], "succeeded");
        assert_eq!(completed["finishTime"], "1970-01-01T00:02:00Z");
    }
}
