//! The reactions: `ephemeralrunner_controller.go`, as far as the API server and the kubelet have a
//! part in them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures::StreamExt as _;
use kube::{
    Api,
    api::{ApiResource, DynamicObject},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
};

use super::{RUNNER_LABEL, access, pod, runners, scale_set::ScaleSet};
use crate::{
    cluster::{Cluster, Refused, pods, text},
    wait::{Look, until},
};

/// ARC's default for `--runner-max-concurrent-reconciles`.
const WORKERS: usize = 2;
/// controller-runtime's per-item back-off: the first delay, doubled each time, and the longest.
const BACK_OFF: Duration = Duration::from_millis(5);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(1000);
/// The answer 409: the pod is there, but the controller's cache has not seen it.
const ALREADY_EXISTS: Duration = Duration::from_secs(5);
/// A `ResourceQuota` that is used up.
const QUOTA: Duration = Duration::from_secs(30);
/// What is waited after each failed pod; after one more the EphemeralRunner is replaced.
const FAILURES: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(40),
    Duration::from_secs(80),
];

/// One attempt to create a runner's pod.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The runner's name.
    pub(crate) runner: String,
    /// When it was asked for.
    pub(crate) at: Instant,
    /// How long the API server took.
    pub(crate) took: Duration,
    /// The pod as stored, or what the API server said.
    pub(crate) result: Result<Value, Refused>,
    /// From the EphemeralRunner's creation to this answer.
    pub(crate) since_runner: Duration,
}

/// How an EphemeralRunner ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// The runner exited 0: the EphemeralRunner is deleted.
    Succeeded,
    /// The API server refused the pod for good: phase Failed, reason `InvalidPod`, for ever.
    InvalidPod(String),
    /// The runner exited 7: its version is deprecated, and the whole set stops.
    Outdated,
    /// A pod failed while it had a job, or more than five failed without: it is deleted, and the
    /// set makes another.
    Replaced,
    /// The set was scaled down.
    Deleted,
}

/// The controller for the scale sets of one namespace. It stops with this value.
pub(crate) struct Controller {
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

struct Shared {
    /// By ARC's account.
    arc: Cluster,
    /// By who runs the suite: what the chart and the `EphemeralRunnerSet`'s controller do.
    admin: Cluster,
    namespace: String,
    workers: Semaphore,
    starts: mpsc::UnboundedSender<Runner>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sets: HashMap<String, Replicas>,
    attempts: Vec<Attempt>,
    ends: HashMap<String, End>,
    /// The pod of each runner as the watch shows it; `None` while there is none.
    pods: HashMap<String, watch::Sender<Option<Value>>>,
    /// The last that was seen of each pod, also after its end.
    last: HashMap<String, Value>,
    /// Every pod that ended, oldest first, as it was when the controller took notice.
    failed: Vec<Value>,
    /// Runners that have a job, as the listener says.
    busy: Vec<String>,
}

/// The runners of a set.
#[derive(Default)]
struct Replicas {
    names: Vec<String>,
    next: usize,
}

/// A runner whose life begins.
struct Runner {
    name: String,
    set: ScaleSet,
    object: Value,
    created: Instant,
}

impl Controller {
    /// Starts the controller for a namespace, with the rights that ARC's chart gives it there.
    pub(crate) async fn start(admin: &Cluster, namespace: &str) -> anyhow::Result<Self> {
        access::grant(admin, namespace).await?;
        let (starts, mut begun) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            arc: admin.by(&access::user())?,
            admin: admin.clone(),
            namespace: namespace.to_owned(),
            workers: Semaphore::new(WORKERS),
            starts,
            state: Mutex::default(),
        });
        let watched = Arc::clone(&shared);
        let watch = tokio::spawn(async move { watched.watch().await });
        let living = Arc::clone(&shared);
        let lives = tokio::spawn(async move {
            // Dropped with this task, which ends those in it.
            let mut lives = tokio::task::JoinSet::new();
            while let Some(runner) = begun.recv().await {
                let shared = Arc::clone(&living);
                lives.spawn(async move { shared.live(runner).await });
            }
        });
        Ok(Self { shared, tasks: [watch, lives] })
    }

    /// Scales a set to `replicas`: makes EphemeralRunners, or deletes the newest. Returns the
    /// names of those that are.
    pub(crate) async fn scale(
        &self,
        set: &ScaleSet,
        replicas: usize,
    ) -> anyhow::Result<Vec<String>> {
        let shared = &self.shared;
        if let Some(account) = set.service_account().filter(|&account| account != "default") {
            shared
                .admin
                .apply(&json!({
                    "apiVersion": "v1",
                    "kind": "ServiceAccount",
                    "metadata": {"name": account, "namespace": shared.namespace},
                }))
                .await?;
        }
        while self.runners(set).len() < replicas {
            shared.make(set).await?;
        }
        while self.runners(set).len() > replicas {
            let name = shared.state().sets.get_mut(&set.name).and_then(|set| set.names.pop());
            shared.delete(&name.context("a set that shrinks has runners")?).await?;
        }
        Ok(self.runners(set))
    }

    /// Makes one EphemeralRunner of this very name, beyond the set's replicas.
    pub(crate) async fn run(&self, set: &ScaleSet, name: &str) -> anyhow::Result<()> {
        self.scale(set, 0).await?;
        self.shared.begin(set, name).await
    }

    /// The names of a set's runners.
    pub(crate) fn runners(&self, set: &ScaleSet) -> Vec<String> {
        self.shared.state().sets.get(&set.name).map(|set| set.names.clone()).unwrap_or_default()
    }

    /// A runner's attempts to create its pod, oldest first.
    pub(crate) fn attempts(&self, runner: &str) -> Vec<Attempt> {
        let state = self.shared.state();
        state.attempts.iter().filter(|attempt| attempt.runner == runner).cloned().collect()
    }

    /// All attempts, oldest first.
    pub(crate) fn all_attempts(&self) -> Vec<Attempt> {
        self.shared.state().attempts.clone()
    }

    /// How a runner ended, if it has.
    pub(crate) fn end(&self, runner: &str) -> Option<End> {
        self.shared.state().ends.get(runner).cloned()
    }

    /// Every end so far, by runner.
    pub(crate) fn ends(&self) -> HashMap<String, End> {
        self.shared.state().ends.clone()
    }

    /// The last that the watch showed of a runner's pod, also when it is gone.
    pub(crate) fn last_seen(&self, runner: &str) -> Option<Value> {
        self.shared.state().last.get(runner).cloned()
    }

    /// The pods that the controller counted as failures, as they were then.
    pub(crate) fn failed_pods(&self) -> Vec<Value> {
        self.shared.state().failed.clone()
    }

    /// What the listener does when a runner has taken a job: it sets `status.jobId`.
    pub(crate) async fn assign_job(&self, runner: &str) -> anyhow::Result<()> {
        self.shared.state().busy.push(runner.to_owned());
        self.shared.set_status(runner, &json!({"jobId": "1"})).await
    }

    /// Waits for a runner's pod to be stored, and returns it as the API server answered.
    pub(crate) async fn stored(&self, runner: &str, within: Duration) -> anyhow::Result<Value> {
        until(&format!("pod of {runner}"), within, || async {
            let attempts = self.attempts(runner);
            Ok(match attempts.last().map(|attempt| &attempt.result) {
                Some(Ok(pod)) => Look::Seen(pod.clone()),
                Some(Err(refused)) => Look::NotYet(refused.to_string()),
                None => Look::NotYet("no attempt".to_owned()),
            })
        })
        .await
    }

    /// Waits for a runner's end.
    pub(crate) async fn ended(&self, runner: &str, within: Duration) -> anyhow::Result<End> {
        until(&format!("end of {runner}"), within, || async {
            let last = || self.last_seen(runner).map(|pod| pod["status"].to_string());
            Ok(match self.end(runner) {
                Some(end) => Look::Seen(end),
                None => Look::NotYet(last().unwrap_or_else(|| "no pod".to_owned())),
            })
        })
        .await
    }

    /// Waits until a runner's pod, as the watch shows it, is as `wanted` says.
    pub(crate) async fn pod_is(
        &self,
        runner: &str,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        until(&format!("{runner}: {what}"), within, || async {
            Ok(match self.last_seen(runner) {
                Some(pod) if wanted(&pod) => Look::Seen(pod),
                Some(pod) => Look::NotYet(pod["status"].to_string()),
                None => Look::NotYet("no pod".to_owned()),
            })
        })
        .await
    }
}

/// A step of a runner's life.
enum Step {
    /// The pod is there; nothing to do until it changes.
    Wait,
    /// Look again after this time.
    Requeue(Duration),
    /// It is over.
    Stop(End),
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn make(&self, set: &ScaleSet) -> anyhow::Result<()> {
        let name = {
            let mut state = self.state();
            let replicas = state.sets.entry(set.name.clone()).or_default();
            replicas.next += 1;
            set.runner_name(replicas.next)
        };
        self.begin(set, &name).await?;
        self.state().sets.entry(set.name.clone()).or_default().names.push(name);
        Ok(())
    }

    async fn begin(&self, set: &ScaleSet, name: &str) -> anyhow::Result<()> {
        let object = set.ephemeral_runner(&self.namespace, name);
        let stored = self.admin.create(&runners(&self.namespace), &object).await;
        let object = stored.with_context(|| format!("EphemeralRunner {name}"))?.object;
        self.state().pods.entry(name.to_owned()).or_insert_with(|| watch::channel(None).0);
        let runner =
            Runner { name: name.to_owned(), set: set.clone(), object, created: Instant::now() };
        self.starts.send(runner).ok().context("the controller has stopped")
    }

    /// Keeps `pods` and `last` as the watch says, which is the controller's cache.
    async fn watch(&self) {
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&());
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.arc.client(), &self.namespace, &resource);
        let config = watcher::Config::default().labels(&format!("{RUNNER_LABEL}=True"));
        // After an error it goes on when it is polled again.
        let events = watcher(api, config).default_backoff();
        events
            .for_each(|event| async {
                match event {
                    Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) => {
                        self.saw(&pod, true);
                    }
                    Ok(watcher::Event::Delete(pod)) => self.saw(&pod, false),
                    Ok(watcher::Event::Init | watcher::Event::InitDone) => {}
                    Err(error) => {
                        let namespace = &self.namespace;
                        crate::report::say(&format!("watch of pods in {namespace}: {error}"));
                    }
                }
            })
            .await;
    }

    fn saw(&self, pod: &DynamicObject, there: bool) {
        let Ok(pod) = serde_json::to_value(pod) else { return };
        let name = text(&pod, "/metadata/name").to_owned();
        let mut state = self.state();
        state.last.insert(name.clone(), pod.clone());
        let sender = state.pods.entry(name).or_insert_with(|| watch::channel(None).0);
        sender.send_replace(there.then_some(pod));
    }

    /// A runner's life, from its EphemeralRunner to its end.
    async fn live(&self, runner: Runner) {
        let Some(mut pod) = self.state().pods.get(&runner.name).map(watch::Sender::subscribe)
        else {
            return;
        };
        let mut delay = BACK_OFF;
        let mut failures = 0;
        let end = loop {
            let current = pod.borrow_and_update().clone();
            let creating = current.is_none();
            let step = match current {
                None => self.create(&runner, delay).await,
                Some(pod) => self.react(&runner, &pod, &mut failures).await,
            };
            match step {
                Step::Stop(end) => break end,
                Step::Requeue(after) => {
                    if creating && after == delay {
                        delay = (delay * 2).min(LONGEST_BACK_OFF);
                    }
                    tokio::time::sleep(after).await;
                }
                Step::Wait => {
                    delay = BACK_OFF;
                    if pod.changed().await.is_err() {
                        return;
                    }
                }
            }
        };
        self.finish(&runner, end).await;
    }

    /// No pod: the Secret, then the pod, and what the API server's answer means.
    async fn create(&self, runner: &Runner, delay: Duration) -> Step {
        if self.end_of(&runner.name).is_some() {
            return Step::Stop(End::Deleted);
        }
        let Ok(_worker) = self.workers.acquire().await else { return Step::Stop(End::Deleted) };
        let secrets = format!("/api/v1/namespaces/{}/secrets", self.namespace);
        match self.arc.create(&secrets, &pod::jit_secret(&runner.object)).await {
            Ok(_) => {}
            Err(refused) if refused.code == 409 => {}
            Err(_) => return Step::Requeue(delay),
        }
        let at = Instant::now();
        let reply = self.arc.create(&pods(&self.namespace), &pod::pod(&runner.object)).await;
        let attempt = Attempt {
            runner: runner.name.clone(),
            at,
            took: at.elapsed(),
            result: reply.map(|reply| reply.object),
            since_runner: runner.created.elapsed(),
        };
        self.state().attempts.push(attempt.clone());
        let Err(refused) = attempt.result else { return Step::Wait };
        match refused.code {
            409 => Step::Requeue(ALREADY_EXISTS),
            403 if refused.message.contains("exceeded quota:") => Step::Requeue(QUOTA),
            403 | 422 => Step::Stop(End::InvalidPod(refused.message)),
            // apimachinery looks at the reason before the code.
            _ if ["Forbidden", "Invalid"].contains(&refused.reason.as_str()) => {
                Step::Stop(End::InvalidPod(refused.message))
            }
            _ => Step::Requeue(delay),
        }
    }

    /// A pod that is there: what its status means.
    async fn react(&self, runner: &Runner, pod: &Value, failures: &mut usize) -> Step {
        if pod["metadata"]["deletionTimestamp"].is_string() {
            return Step::Wait;
        }
        let status = &pod["status"];
        let exit = terminated(&status["containerStatuses"], "runner");
        let init = status["initContainerStatuses"].as_array();
        let init_failed = init.into_iter().flatten().any(|container| {
            container["state"]["terminated"]["exitCode"].as_i64().is_some_and(|code| code != 0)
        });
        let step = match (text(status, "/phase"), exit) {
            // Evicted, node lost: the pod failed, and the runner never ended.
            ("Failed", None) => None,
            ("Failed", Some(0)) => Some(Step::Stop(End::Succeeded)),
            ("Failed", Some(7)) => Some(Step::Stop(End::Outdated)),
            _ if init_failed => None,
            (_, Some(0)) => Some(Step::Stop(End::Succeeded)),
            (_, Some(7)) => Some(Step::Stop(End::Outdated)),
            (_, Some(_)) => None,
            (phase @ ("Pending" | "Running"), None) => {
                self.follow(&runner.name, phase, status).await;
                Some(Step::Wait)
            }
            _ => Some(Step::Wait),
        };
        let Some(step) = step else { return self.failed(runner, pod, failures).await };
        step
    }

    /// `deleteEphemeralRunnerOrPod`.
    async fn failed(&self, runner: &Runner, pod: &Value, failures: &mut usize) -> Step {
        self.state().failed.push(pod.clone());
        let busy = self.state().busy.contains(&runner.name);
        let back_off = FAILURES.get(*failures).copied();
        *failures += 1;
        let Some(back_off) = back_off.filter(|_| !busy) else { return Step::Stop(End::Replaced) };
        let path = format!("{}/{}", pods(&self.namespace), runner.name);
        if self.arc.delete(&path).await.is_err() {
            return Step::Requeue(BACK_OFF);
        }
        // The pod is made again, of the same name, once it is gone and the back-off is over.
        let gone = until("a failed pod to go", LONGEST_BACK_OFF, || self.arc.gone(&path)).await;
        if gone.is_ok() {
            tokio::time::sleep(back_off).await;
        }
        Step::Requeue(Duration::ZERO)
    }

    /// `updateRunStatusFromPod`.
    async fn follow(&self, runner: &str, phase: &str, status: &Value) {
        let conditions = status["conditions"].as_array();
        let ready = conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        // A status that cannot be written is written at the pod's next change.
        let _ = self.set_status(runner, &json!({"phase": phase, "ready": ready})).await;
    }

    async fn set_status(&self, runner: &str, status: &Value) -> anyhow::Result<()> {
        let path = format!("{}/{runner}/status", runners(&self.namespace));
        self.arc.merge(&path, &json!({"status": status})).await?;
        Ok(())
    }

    fn end_of(&self, runner: &str) -> Option<End> {
        self.state().ends.get(runner).cloned()
    }

    async fn finish(&self, runner: &Runner, end: End) {
        let name = &runner.name;
        if self.end_of(name).is_some() {
            // Scaled down meanwhile.
            return;
        }
        let done = match &end {
            End::InvalidPod(message) => {
                // It stays, counts as a replica, and nothing looks at it again.
                let status = json!({"phase": "Failed", "reason": "InvalidPod", "message": message});
                self.set_status(name, &status).await
            }
            End::Outdated => self.set_status(name, &json!({"phase": "Outdated"})).await,
            End::Succeeded | End::Replaced | End::Deleted => self.remove(name).await,
        };
        if let Err(error) = done {
            crate::report::say(&format!("{name}: {error:#}"));
        }
        let gone = matches!(end, End::Succeeded | End::Replaced | End::Deleted);
        {
            let mut state = self.state();
            if let Some(set) = state.sets.get_mut(&runner.set.name).filter(|_| gone) {
                set.names.retain(|other| other != name);
            }
            state.ends.insert(name.clone(), end.clone());
        }
        if end == End::Replaced
            && let Err(error) = self.make(&runner.set).await
        {
            crate::report::say(&format!("{name}: {error:#}"));
        }
    }

    async fn delete(&self, name: &str) -> anyhow::Result<()> {
        self.state().ends.insert(name.to_owned(), End::Deleted);
        self.remove(name).await
    }

    /// What ARC's finalizers do: the pod, its Secret, then the EphemeralRunner itself.
    async fn remove(&self, name: &str) -> anyhow::Result<()> {
        self.arc.delete(&format!("{}/{name}", pods(&self.namespace))).await?;
        let secret = format!("/api/v1/namespaces/{}/secrets/{name}", self.namespace);
        self.arc.delete(&secret).await?;
        self.arc.delete(&format!("{}/{name}", runners(&self.namespace))).await?;
        Ok(())
    }
}

/// The exit code of a container that has ended.
pub(crate) fn terminated(statuses: &Value, container: &str) -> Option<i64> {
    let statuses = statuses.as_array()?;
    let status = statuses.iter().find(|status| status["name"] == container)?;
    status["state"]["terminated"]["exitCode"].as_i64()
}
