//! What all requests share.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

use super::{
    gates::{Gate, Gates},
    limits::{HEAVY_REVIEWS, Limits, SMALL_BODY},
};
use crate::{
    admission::{self, Answer, Record, Unreadable},
    inject::Config,
    telemetry::Metrics,
};

/// What answers a review of a pod: [`admission::answer`], unless a test says otherwise.
pub type Answerer = fn(&[u8], &Config) -> Result<Answer, Unreadable>;

/// Sees the record of each answer before the answer is sent; must not block.
type Observer = Box<dyn Fn(&Record) + Send + Sync>;

/// What all requests share.
pub struct Service {
    pub(super) answerer: Answerer,
    config: ArcSwap<Config>,
    /// Set once the server is asked to stop.
    is_draining: AtomicBool,
    gates: Gates,
    /// Permits for larger bodies, one for each [`SMALL_BODY`] of theirs.
    large_bodies: Arc<Semaphore>,
    /// Permits for [`Self::run_heavy`].
    heavy: Arc<Semaphore>,
    limits: Limits,
    metrics: Metrics,
    /// Called with the record of each answer, for Events; `None` if none are wanted.
    observer: Option<Observer>,
}

// === impl Service ===

impl Service {
    /// A service that answers by `config`.
    pub fn new(config: Config, metrics: Metrics, limits: Limits) -> Self {
        Self {
            answerer: admission::answer,
            config: ArcSwap::from_pointee(config),
            is_draining: AtomicBool::new(false),
            gates: Gates::default(),
            large_bodies: Arc::new(Semaphore::new(limits.large_bodies / SMALL_BODY)),
            heavy: Arc::new(Semaphore::new(HEAVY_REVIEWS)),
            limits,
            metrics,
            observer: None,
        }
    }

    /// The same with another answerer, such as one that panics.
    #[must_use]
    pub fn with_answerer(self, answerer: Answerer) -> Self {
        Self { answerer, ..self }
    }

    /// The same with a function that is called with the record of each answer.
    #[must_use]
    pub fn with_observer(self, observer: impl Fn(&Record) + Send + Sync + 'static) -> Self {
        Self { observer: Some(Box::new(observer)), ..self }
    }

    /// Replaces the config for all requests whose body is complete from now on.
    pub fn replace_config(&self, config: Config) {
        self.config.store(Arc::new(config));
    }

    /// The config now.
    pub(super) fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// The metrics.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What readiness waits for.
    pub const fn gates(&self) -> &Gates {
        &self.gates
    }

    /// The limits.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Asks the clients to go elsewhere: `/readyz` fails, and each response closes its connection.
    pub(super) fn drain(&self) {
        self.gates.close(Gate::Serving, "draining");
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server was asked to stop.
    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Passes the record of an answer on.
    pub(super) fn observe(&self, record: &Record) {
        if let Some(observe) = &self.observer {
            observe(record);
        }
    }

    /// A permit for a large body of `length` bytes; `None` if too much else is in memory.
    pub(super) async fn large_body(&self, length: u64) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(length.div_ceil(SMALL_BODY as u64)).ok()?;
        let permit = Arc::clone(&self.large_bodies).acquire_many_owned(permits);
        timeout(self.limits.large_body_wait, permit).await.ok()?.ok()
    }

    /// Runs `work` on a thread of its own, a few at a time. A panic in it is a panic of the caller.
    pub async fn run_heavy<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let permit = Arc::clone(&self.heavy).acquire_owned().await;
        // The permit ends with the work, not with the request: a client that goes away makes no room
        // for the next while its own work still runs.
        let done = spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        match done.await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("limits", &self.limits).finish_non_exhaustive()
    }
}
