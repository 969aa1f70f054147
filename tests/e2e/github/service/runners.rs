//! Runners that ARC registers.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use super::{Runner, Service, list};
use crate::{jobs::Stage, refusal::Refusal};

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

    /// Removes a runner, if there is one. Fails with 400 while it has a job: ARC then waits.
    ///
    /// ARC removes an idle runner twice, for the set and for the finalizer, and takes only success: with
    /// a 404 the finalizer stays, and the EphemeralRunner with it.
    pub(crate) fn remove_runner(&mut self, tenant: u64, id: u64) -> Result<(), Refusal> {
        let Ok(runner) = self.runner(tenant, id) else { return Ok(()) };
        let set = self.scale_set(tenant, runner.scale_set)?;
        let is_busy = |stage: &Stage| matches!(stage, Stage::Running(runner, _) if *runner == id);
        if set.jobs.values().any(|job| is_busy(&job.stage)) {
            let message = format!("agent {id} runs a job");
            return Err(Refusal::new(400, "JobStillRunningException", message));
        }
        self.runners.remove(&id);
        Ok(())
    }
}

/// As `RunnerReference` of `actions/scaleset`.
fn reference(id: u64, runner: &Runner) -> Value {
    json!({"id": id, "name": runner.name, "runnerScaleSetId": runner.scale_set})
}
