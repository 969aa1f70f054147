//! The service: all that it remembers, and each thing that can be asked of it. No I/O and no
//! clock; requests arrive here parsed, with the time.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use crate::{
    clock::{Seconds, rfc3339},
    jobs::Stage,
    queue::Queue,
    refusal::Refusal,
    scale_set::{Description, ScaleSet, Session, no_job},
    scope::Scope,
    tokens::{Grant, Tokens},
};

/// The runner group that every tenant has. `isDefaultGroup` is said of it, and ARC's charts look
/// it up in lower case.
const DEFAULT_GROUP: &str = "Default";

/// What a run of the stand-in is like.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Of every token, in seconds.
    pub(crate) token_lifetime: Seconds,
    /// Runner groups beside the default one, in all tenants.
    pub(crate) groups: Vec<String>,
}

/// A runner that is registered: ARC asked for its configuration.
#[derive(Clone, Debug)]
struct Runner {
    name: String,
    scale_set: u64,
}

/// GitHub, as far as ARC sees it.
#[derive(Debug)]
pub(crate) struct Service {
    groups: Vec<String>,
    tokens: Tokens,
    /// The last number that was given to anything: IDs are unique over all tenants.
    last_id: u64,
    tenants: BTreeMap<u64, Scope>,
    scale_sets: BTreeMap<u64, ScaleSet>,
    runners: BTreeMap<u64, Runner>,
}

// === setting up ===

impl Service {
    /// One that nothing is registered with.
    pub(crate) fn new(settings: Settings) -> Self {
        let Settings { token_lifetime, groups } = settings;
        Self {
            groups: std::iter::once(DEFAULT_GROUP.to_owned()).chain(groups).collect(),
            tokens: Tokens::new(token_lifetime),
            last_id: 0,
            tenants: BTreeMap::new(),
            scale_sets: BTreeMap::new(),
            runners: BTreeMap::new(),
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The name of a runner group, by its ID.
    fn group(&self, id: u64) -> Option<&str> {
        let index = usize::try_from(id).ok()?.checked_sub(1)?;
        self.groups.get(index).map(String::as_str)
    }

    /// How many runners a scale set has.
    fn runners_of(&self, scale_set: u64) -> usize {
        self.runners.values().filter(|runner| runner.scale_set == scale_set).count()
    }
}

// === tokens ===

impl Service {
    /// A registration token for a scope, which becomes a tenant by it.
    pub(crate) fn registration_token(&mut self, scope: Scope, now: Seconds) -> Value {
        let known = self.tenants.iter().find(|(_, known)| **known == scope).map(|(id, _)| *id);
        let tenant = known.unwrap_or_else(|| {
            let id = self.next_id();
            self.tenants.insert(id, scope);
            id
        });
        let (token, expires) = self.tokens.issue(Grant::Registration(tenant), now);
        json!({"token": token, "expires_at": rfc3339(expires)})
    }

    /// Exchanges a registration token for a tenant's URL below `base`, and its token.
    pub(crate) fn register(
        &mut self,
        token: &str,
        base: &str,
        now: Seconds,
    ) -> Result<Value, Refusal> {
        let Grant::Registration(tenant) = self.tokens.grant(token, now)? else {
            return Err(Refusal::unauthorized("not a registration token"));
        };
        let (token, _) = self.tokens.issue(Grant::Tenant(tenant), now);
        Ok(json!({"url": format!("{base}/tenants/{tenant}"), "token": token}))
    }

    /// Fails with 401 unless the token is this tenant's.
    pub(crate) fn authorize(&self, token: &str, tenant: u64, now: Seconds) -> Result<(), Refusal> {
        match self.tokens.grant(token, now)? {
            Grant::Tenant(id) if id == tenant => Ok(()),
            _ => Err(Refusal::unauthorized("not this tenant's token")),
        }
    }

    /// Fails with 401 unless the token is that of a scale set's message queue.
    pub(crate) fn authorize_queue(
        &self,
        token: &str,
        id: u64,
        now: Seconds,
    ) -> Result<(), Refusal> {
        match self.tokens.grant(token, now)? {
            Grant::Queue(scale_set) if scale_set == id => Ok(()),
            _ => Err(Refusal::unauthorized("not this queue's token")),
        }
    }
}

// === runner groups and scale sets ===

impl Service {
    /// The runner group of a name, or all, as a list.
    pub(crate) fn runner_groups(&self, name: Option<&str>) -> Value {
        let is_wanted = |group: &str| {
            name.is_none_or(|name| name.is_empty() || name.eq_ignore_ascii_case(group))
        };
        let groups = (1_u64..).zip(&self.groups).filter(|(_, group)| is_wanted(group));
        list(groups.map(
            |(id, name)| json!({"id": id, "name": name, "size": 0, "isDefaultGroup": id == 1}),
        ))
    }

    fn json(&self, set: &ScaleSet) -> Value {
        set.json(self.group(set.group).unwrap_or_default(), self.runners_of(set.id))
    }

    /// A tenant's scale set. Fails with 404.
    pub(crate) fn scale_set(&self, tenant: u64, id: u64) -> Result<&ScaleSet, Refusal> {
        let set = self.scale_sets.get(&id).filter(|set| set.tenant == tenant);
        set.ok_or_else(|| Refusal::no_scale_set(id))
    }

    fn scale_set_mut(&mut self, tenant: u64, id: u64) -> Result<&mut ScaleSet, Refusal> {
        let set = self.scale_sets.get_mut(&id).filter(|set| set.tenant == tenant);
        set.ok_or_else(|| Refusal::no_scale_set(id))
    }

    /// A tenant's scale sets, of one group and of one name where these are given.
    pub(crate) fn find_scale_sets(
        &self,
        tenant: u64,
        group: Option<u64>,
        name: Option<&str>,
    ) -> Value {
        let sets = self.scale_sets.values().filter(|set| {
            set.tenant == tenant
                && group.is_none_or(|group| group == set.group)
                && name.is_none_or(|name| name.eq_ignore_ascii_case(&set.name))
        });
        list(sets.map(|set| self.json(set)))
    }

    /// One scale set.
    pub(crate) fn show_scale_set(&self, tenant: u64, id: u64) -> Result<Value, Refusal> {
        Ok(self.json(self.scale_set(tenant, id)?))
    }

    /// Creates a scale set. Fails with 400 without a name or for an unknown group, with 409 where
    /// the group has one of this name.
    pub(crate) fn create_scale_set(
        &mut self,
        tenant: u64,
        description: Description,
        now: Seconds,
    ) -> Result<Value, Refusal> {
        let name = description.name.clone().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Refusal::malformed("a scale set has a name"))?;
        let group = description.runner_group_id.unwrap_or(1);
        self.check_place(tenant, None, &name, group)?;
        let scope = self.tenants.get(&tenant).cloned();
        let scope = scope.ok_or_else(|| Refusal::unauthorized("no such tenant"))?;
        let id = self.next_id();
        let mut set = ScaleSet {
            id,
            tenant,
            scope,
            name,
            group,
            labels: Vec::new(),
            setting: json!({}),
            created: now,
            session: None,
            capacity: None,
            jobs: BTreeMap::new(),
            queue: Queue::default(),
        };
        set.describe(description);
        let shown = self.json(&set);
        self.scale_sets.insert(id, set);
        Ok(shown)
    }

    /// Changes a scale set. Fails with 404, and as creating one does.
    pub(crate) fn update_scale_set(
        &mut self,
        tenant: u64,
        id: u64,
        description: Description,
    ) -> Result<Value, Refusal> {
        let set = self.scale_set(tenant, id)?;
        let name = description.name.clone().unwrap_or_else(|| set.name.clone());
        let group = description.runner_group_id.unwrap_or(set.group);
        self.check_place(tenant, Some(id), &name, group)?;
        self.scale_set_mut(tenant, id)?.describe(description);
        self.show_scale_set(tenant, id)
    }

    /// Whether a scale set of this name may be in this group.
    fn check_place(
        &self,
        tenant: u64,
        id: Option<u64>,
        name: &str,
        group: u64,
    ) -> Result<(), Refusal> {
        if self.group(group).is_none() {
            return Err(Refusal::malformed(format!("no runner group {group}")));
        }
        let taken = self.scale_sets.values().any(|set| {
            set.tenant == tenant
                && set.group == group
                && Some(set.id) != id
                && set.name.eq_ignore_ascii_case(name)
        });
        if taken {
            let message = format!("there is a runner scale set {name} in this group");
            return Err(Refusal::new(409, "RunnerScaleSetExistsException", message));
        }
        Ok(())
    }

    /// Deletes a scale set with its runners, jobs and session.
    pub(crate) fn delete_scale_set(&mut self, tenant: u64, id: u64) -> Result<(), Refusal> {
        self.scale_set(tenant, id)?;
        self.scale_sets.remove(&id);
        self.runners.retain(|_, runner| runner.scale_set != id);
        Ok(())
    }
}

// === runners ===

impl Service {
    /// Registers a runner and gives the configuration that it starts with. Fails with 409 where
    /// the tenant has one of this name: ARC then removes that one and asks again.
    pub(crate) fn generate_jit_config(
        &mut self,
        tenant: u64,
        scale_set: u64,
        name: &str,
        work_folder: &str,
    ) -> Result<Value, Refusal> {
        self.scale_set(tenant, scale_set)?;
        if name.is_empty() {
            return Err(Refusal::malformed("a runner has a name"));
        }
        if self.runners_named(tenant, name).next().is_some() {
            let message = format!("there is an agent {name}");
            return Err(Refusal::new(409, "AgentExistsException", message));
        }
        let id = self.next_id();
        let runner = Runner { name: name.to_owned(), scale_set };
        let reference = reference(id, &runner);
        self.runners.insert(id, runner);
        // The shape that a runner unpacks: files by name, each in base64. What is in them leads
        // nowhere, so a real runner ends with an error.
        let settings = json!({"agentId": id, "agentName": name, "workFolder": work_folder});
        let config = json!({".runner": BASE64.encode(settings.to_string())});
        Ok(json!({"runner": reference, "encodedJITConfig": BASE64.encode(config.to_string())}))
    }

    fn runners_named<'s>(
        &'s self,
        tenant: u64,
        name: &'s str,
    ) -> impl Iterator<Item = (u64, &'s Runner)> {
        self.runners_of_tenant(tenant).filter(move |(_, runner)| runner.name == name)
    }

    fn runners_of_tenant(&self, tenant: u64) -> impl Iterator<Item = (u64, &Runner)> {
        let runners = self.runners.iter().map(|(id, runner)| (*id, runner));
        runners.filter(move |(_, runner)| self.scale_set(tenant, runner.scale_set).is_ok())
    }

    /// A tenant's runner. Fails with 404.
    fn runner(&self, tenant: u64, id: u64) -> Result<&Runner, Refusal> {
        let found = self.runners_of_tenant(tenant).find(|(other, _)| *other == id);
        found.map(|(_, runner)| runner).ok_or_else(|| Refusal::no_runner(id))
    }

    /// One runner.
    pub(crate) fn show_runner(&self, tenant: u64, id: u64) -> Result<Value, Refusal> {
        Ok(reference(id, self.runner(tenant, id)?))
    }

    /// A tenant's runners, of one name where that is given.
    pub(crate) fn find_runners(&self, tenant: u64, name: Option<&str>) -> Value {
        let runners = self.runners_of_tenant(tenant);
        let runners = runners.filter(|(_, runner)| name.is_none_or(|name| name == runner.name));
        list(runners.map(|(id, runner)| reference(id, runner)))
    }

    /// Removes a runner. Fails with 404, and with 400 while it has a job: ARC then waits.
    pub(crate) fn remove_runner(&mut self, tenant: u64, id: u64) -> Result<(), Refusal> {
        let set = self.scale_set(tenant, self.runner(tenant, id)?.scale_set)?;
        let is_busy = |stage: &Stage| matches!(stage, Stage::Running(runner, _) if *runner == id);
        if set.jobs.values().any(|job| is_busy(&job.stage)) {
            let message = format!("agent {id} runs a job");
            return Err(Refusal::new(400, "JobStillRunningException", message));
        }
        self.runners.remove(&id);
        Ok(())
    }
}

// === sessions and messages ===

impl Service {
    /// Opens a message session. `base` is the service's own URL. Fails with 404, and with 409
    /// while another listener has one.
    pub(crate) fn open_session(
        &mut self,
        tenant: u64,
        id: u64,
        owner: &str,
        base: &str,
        now: Seconds,
    ) -> Result<Value, Refusal> {
        self.scale_set(tenant, id)?;
        let serial = self.next_id();
        let session = format!("00000000-0000-4000-8000-{serial:012x}");
        let set = self.scale_set_mut(tenant, id)?;
        set.open(Session { id: session.clone(), owner: owner.to_owned(), seen: now })?;
        self.session_json(tenant, id, &session, base, now)
    }

    /// Gives a session a new token. Fails with 404.
    pub(crate) fn refresh_session(
        &mut self,
        tenant: u64,
        id: u64,
        session: &str,
        base: &str,
        now: Seconds,
    ) -> Result<Value, Refusal> {
        self.scale_set_mut(tenant, id)?.touch(session, now)?;
        self.session_json(tenant, id, session, base, now)
    }

    /// As `RunnerScaleSetSession` of `actions/scaleset`. The listener ends without statistics.
    fn session_json(
        &mut self,
        tenant: u64,
        id: u64,
        session: &str,
        base: &str,
        now: Seconds,
    ) -> Result<Value, Refusal> {
        let (token, _) = self.tokens.issue(Grant::Queue(id), now);
        let set = self.scale_set(tenant, id)?;
        let owner = set.session.as_ref().map(|session| session.owner.as_str());
        let path = format!("tenants/{tenant}/_apis/runtime/runnerscalesets/{id}/messages");
        Ok(json!({
            "sessionId": session,
            "ownerName": owner,
            "runnerScaleSet": self.json(set),
            "messageQueueUrl": format!("{base}/{path}?sessionId={session}"),
            "messageQueueAccessToken": token,
            "statistics": set.statistics(self.runners_of(id)),
        }))
    }

    /// Ends a session. Fails with 404.
    pub(crate) fn close_session(
        &mut self,
        tenant: u64,
        id: u64,
        session: &str,
        now: Seconds,
    ) -> Result<(), Refusal> {
        let set = self.scale_set_mut(tenant, id)?;
        set.touch(session, now)?;
        set.session = None;
        Ok(())
    }

    /// The next message after the one that was seen last, if there is one. Fails with 404 where
    /// the session is not in force (any more).
    pub(crate) fn next_message(
        &mut self,
        tenant: u64,
        id: u64,
        session: &str,
        seen: u64,
        now: Seconds,
    ) -> Result<Option<Value>, Refusal> {
        let set = self.scale_set_mut(tenant, id)?;
        set.touch(session, now)?;
        Ok(set.queue.after(seen).cloned())
    }

    /// Notes how many runners the listener says it can have.
    pub(crate) fn note_capacity(
        &mut self,
        tenant: u64,
        id: u64,
        capacity: u64,
    ) -> Result<(), Refusal> {
        self.scale_set_mut(tenant, id)?.capacity = Some(capacity);
        Ok(())
    }

    /// Deletes a message.
    pub(crate) fn delete_message(
        &mut self,
        tenant: u64,
        id: u64,
        session: &str,
        message: u64,
        now: Seconds,
    ) -> Result<(), Refusal> {
        let set = self.scale_set_mut(tenant, id)?;
        set.touch(session, now)?;
        set.queue.delete(message);
        Ok(())
    }

    /// Gives the scale set those of these jobs that are on offer, and lists them.
    pub(crate) fn acquire_jobs(
        &mut self,
        tenant: u64,
        id: u64,
        jobs: &[u64],
        now: Seconds,
    ) -> Result<Value, Refusal> {
        let runners = self.runners_of(id);
        let acquired = self.scale_set_mut(tenant, id)?.acquire(jobs, runners, now);
        Ok(list(acquired.into_iter().map(Value::from)))
    }
}

// === what the scripts of a test ask for ===

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

/// As `RunnerReference` of `actions/scaleset`.
fn reference(id: u64, runner: &Runner) -> Value {
    json!({"id": id, "name": runner.name, "runnerScaleSetId": runner.scale_set})
}

/// As all lists of the service.
fn list(items: impl Iterator<Item = Value>) -> Value {
    let value: Vec<Value> = items.collect();
    json!({"count": value.len(), "value": value})
}

#[cfg(test)]
mod tests;
