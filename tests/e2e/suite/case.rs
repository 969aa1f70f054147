//! A case: a name, what it needs of the cluster, and an async function.
//!
//! # How a case is written
//!
//! A module below `cases` has a function `cases` that lists its cases, and [`cases::all`] lists
//! the modules. A case is a function of a [`Scene`]:
//!
//! ```ignore
//! pub(crate) fn cases() -> Vec<Case> {
//!     vec![
//!         case("plain-gets-gpus", plain_gets_gpus),
//!         case("runs-on-kwok", runs_on_kwok).needs(&[Need::KwokNodes]).alone(),
//!     ]
//! }
//!
//! async fn plain_gets_gpus(scene: &Scene) -> anyhow::Result<()> {
//!     let arc = scene.controller().await?;                     // ARC's controller, for this namespace
//!     let set = ScaleSet::new(Kind::Plain, "linux.rocm.gpu.gfx942.2")?
//!         .annotation("arc-rocm.dev/gpus", "4");               // what an author writes
//!     let runner = arc.scale(&set, 1).await?.remove(0);        // an EphemeralRunner
//!     let pod = arc.stored(&runner, SOON).await?;              // the pod as the API server stored it
//!     ensure!(gpus(&pod) == 4, "{pod}");
//!     Ok(())                                                   // clean-up is not the case's business
//! }
//! ```
//!
//! - `scene.namespace` is the case's own, and gone afterwards. Whatever else it makes, it makes by
//!   [`Scene::apply`], which deletes it at the end.
//! - It waits by [`until`](crate::wait::until) or by the methods of `Controller`, which all have a
//!   deadline; a bare sleep is no wait.
//! - `arc.attempts(RUNNER)` is the log of creations, with what the API server answered;
//!   `arc.end(RUNNER)` says how the EphemeralRunner ended, `arc.last_seen(RUNNER)` the pod's last
//!   state.
//! - Cases run side by side, the longest first, and pods wait for GPUs as they do in any cluster.
//!   One that changes the webhook, looks at all GPUs of a kind of node or measures says so by
//!   [`Case::alone`], and runs after all others. It gets the webhook by
//!   `scene.world.installation.lock().await`, and leaves it as it found it.
//! - One that installs a webhook of its own says so by [`Case::own_webhook`]: then it need not be alone.
//! - A webhook beside ours, or one that records, is a [`Hook`](crate::hook::Hook): `Hook::serve`,
//!   then `scene.apply(&hook.registration("z-after", &scene.namespace))`, then
//!   `hook::registered` to wait until the API server calls it.
//! - Figures for the report go to [`Scene::figure`].
//! - What the cluster must have, the case says by [`Case::needs`]; without it, the case is skipped
//!   with the reason, or has failed where `ARC_ROCM_E2E_REQUIRE_ALL=1`.
//! - A case fails by an error or a panic. The namespace's runners, pods, logs and events and the
//!   webhook's log are then written to standard error.
//!
//! [`cases::all`]: crate::cases::all

use std::{
    cmp::Reverse,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use anyhow::{anyhow, bail};
use libtest_mimic::{Completion, Failed, Trial};
use tokio::runtime::Handle;

use crate::{
    capabilities::Need,
    report::{Outcome, say},
    scene::{self, Scene, World},
};

/// The longest that a case may take, unless it says otherwise.
const WITHIN: Duration = Duration::from_mins(5);

type Run = dyn Fn(&Handle, &Scene, Duration) -> anyhow::Result<()> + Send + Sync;

/// One case.
pub(crate) struct Case {
    name: String,
    needs: Vec<Need>,
    alone: bool,
    own_webhook: bool,
    within: Duration,
    run: Box<Run>,
}

/// A case that can run beside others and needs nothing but an API server.
///
/// `name` is lower case with hyphens, at most 46 characters: it is part of the namespace's name.
pub(crate) fn case<F>(name: &str, run: F) -> Case
where
    F: AsyncFn(&Scene) -> anyhow::Result<()> + Send + Sync + 'static,
{
    Case {
        name: name.to_owned(),
        needs: Vec::new(),
        alone: false,
        own_webhook: false,
        within: WITHIN,
        run: Box::new(move |handle, scene, within| {
            let ended = handle.block_on(async { tokio::time::timeout(within, run(scene)).await });
            ended.unwrap_or_else(|_| bail!("not done within {} s", within.as_secs()))
        }),
    }
}

impl Case {
    /// What the cluster must have.
    pub(crate) fn needs(mut self, needs: &[Need]) -> Self {
        self.needs.extend_from_slice(needs);
        self
    }

    /// No other case may run meanwhile.
    pub(crate) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// The suite's webhook is not called in its namespace: it has one of its own.
    pub(crate) fn own_webhook(mut self) -> Self {
        self.own_webhook = true;
        self
    }

    /// Its namespace, if the suite's webhook is not to be called there.
    pub(crate) fn excluded(&self) -> Option<String> {
        self.own_webhook.then(|| scene::namespace(&self.name))
    }

    /// The longest that it may take.
    pub(crate) fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Cases in this order take the least time: none waits for one that has to run alone, and none of
    /// the long ones begins when all others have ended.
    pub(crate) fn order(&self) -> (bool, Reverse<Duration>) {
        (self.alone, Reverse(self.within))
    }

    /// The case for libtest-mimic. Without a world, for a list of names alone.
    pub(crate) fn trial(
        self,
        world: Option<&Arc<World>>,
        handle: &Handle,
        gate: &Arc<RwLock<()>>,
    ) -> Trial {
        let (handle, gate) = (handle.clone(), Arc::clone(gate));
        let Some(world) = world.map(Arc::clone) else {
            return Trial::test(self.name, || Ok(()));
        };
        Trial::ignorable_test(self.name.clone(), move || {
            let (outcome, took) = self.outcome(&world, &handle, &gate);
            world.report.case(&self.name, outcome.clone(), took);
            match outcome {
                Outcome::Passed => Ok(Completion::Completed),
                Outcome::Skipped(reason) => Ok(Completion::ignored_with(reason)),
                Outcome::Failed(message) => Err(Failed::from(message)),
            }
        })
    }

    /// How it ended, and how long it took, without what it waited for other cases.
    fn outcome(
        &self,
        world: &Arc<World>,
        handle: &Handle,
        gate: &RwLock<()>,
    ) -> (Outcome, Duration) {
        if let Some(missing) = self.needs.iter().find(|&&need| !world.capabilities.has(need)) {
            let reason = missing.to_string();
            let outcome = if world.settings.require_all {
                Outcome::Failed(reason)
            } else {
                Outcome::Skipped(reason)
            };
            return (outcome, Duration::ZERO);
        }
        // A case that panicked has not changed what the lock guards: nothing.
        let (_shared, _alone);
        if self.alone {
            _alone = gate.write().unwrap_or_else(PoisonError::into_inner);
        } else {
            _shared = gate.read().unwrap_or_else(PoisonError::into_inner);
        }
        let start = Instant::now();
        let outcome = match self.in_scene(world, handle) {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        (outcome, start.elapsed())
    }

    fn in_scene(&self, world: &Arc<World>, handle: &Handle) -> anyhow::Result<()> {
        let scene = handle.block_on(Scene::open(world, &self.name))?;
        let run = catch_unwind(AssertUnwindSafe(|| (self.run)(handle, &scene, self.within)));
        let result = run.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            Err(anyhow!("panicked: {}", text.unwrap_or_default()))
        });
        if result.is_err() {
            say(&format!("=== {}\n{}", self.name, handle.block_on(scene.dump())));
        }
        // What the case itself has found comes first.
        let closed = handle.block_on(scene.close());
        result.and(closed)
    }
}
