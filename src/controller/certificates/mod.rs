//! Keeps the webhook's own certificates in a Secret and its CAs in the registration's `caBundle`.
//!
//! A pass reads the registration and then the Secret, and does the next action of
//! [`rotation::next`]. Watches and timers only start passes, so a late or lost event costs time and
//! nothing else.
//!
//! The order of the two reads matters: a publication depends on the registration's version, so the
//! Secret is at least as new as the `caBundle` that it replaces. A slow replica cannot publish an
//! older state over a newer one.

mod check;
mod clock;
mod live;
mod rate_limiter;
mod store;
#[cfg(test)]
mod testing;
mod trust_status;
mod trusted_since;
mod watch;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use rustls_pki_types::CertificateDer;
use tokio::{
    sync::{Notify, oneshot},
    time,
};

pub use self::{check::check, store::ObjectRefs};
use self::{
    live::{Kind, Live},
    rate_limiter::RateLimiter,
    store::{Store, Written},
    trust_status::TrustStatus,
    trusted_since::TrustedSince,
};
use crate::{
    certs::{
        self, CertBundle, Names,
        rotation::{
            self, Candidate, Current, LeafSource, Policy, RotationAction, SecretChange, Snapshot,
        },
    },
    controller::{
        self,
        backoff::{Backoff, random},
    },
    server::{Gate, Service, Shutdown},
    telemetry::{CertificateKind, Chain, PublishResult},
    tls::{self, Identity, Pair},
};

/// The longest pause between two passes, so that a suspended machine catches up.
const PERIOD: Duration = Duration::from_secs(30);
/// Events come in groups. An object that another tool rewrites all the time is read this often.
const GATHER: Duration = Duration::from_millis(100);
/// The time for one pass.
const PASS_TIMEOUT: Duration = controller::REQUEST_TIMEOUT;
/// How often the Secret is written under lasting contention. Each write may be a new CA, and the
/// served certificate does not depend on it.
const LEAST_WRITES: Duration = Duration::from_mins(10);
/// How often the `caBundle` is written under lasting contention. Without it no review succeeds.
const LEAST_PUBLICATIONS: Duration = Duration::from_secs(10);
/// The most writes of one pass. A rotation needs three, conflicts with other replicas a few more.
const MAX_WRITES: usize = 8;

/// Keeps the Secret and the registration right, and the certificate in use up to date.
pub struct CertManager {
    store: Store,
    policy: Policy,
    names: Names,
    service: Arc<Service>,
    memory: CertBundle,
    trusted_since: TrustedSince,
    serving: Serving,
    trust_status: TrustStatus,
    writes: RateLimiter,
    publications: RateLimiter,
    /// Its own, so that contention over one `caBundle` does not slow down the other.
    validating_publications: RateLimiter,
    contention: Backoff,
}

/// The certificate in use.
enum Serving {
    /// None yet. The channel gets the first one.
    Waiting(oneshot::Sender<Arc<Identity>>),
    /// This one.
    Active(Arc<Identity>),
    /// None, and the receiver is gone.
    Abandoned,
}

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot read {0} {1}")]
    Configuration(Kind, String, #[source] kube::Error),
    #[error("cannot read Secret {0}")]
    Secret(String, #[source] kube::Error),
    #[error("cannot write Secret {0}")]
    Write(String, #[source] kube::Error),
    #[error("cannot set the caBundle of {0} {1}")]
    Publish(Kind, String, #[source] kube::Error),
    #[error("the API server did not answer in time")]
    Late,
    #[error("cannot issue a certificate")]
    Issue(#[from] certs::IssueError),
}

impl CertManager {
    /// Creates the manager. The receiver gets the first certificate that the API server trusts. Sets
    /// `policy.turn`.
    pub fn new(
        client: &Client,
        refs: ObjectRefs,
        policy: Policy,
        names: Names,
        service: Arc<Service>,
    ) -> (Self, oneshot::Receiver<Arc<Identity>>) {
        let (sender, receiver) = oneshot::channel();
        let now = Instant::now();
        service.gates().close(Gate::Trust, "there is no certificate yet");
        let manager = Self {
            store: Store::new(client, refs),
            policy: Policy { turn: random(), ..policy },
            names,
            service,
            memory: CertBundle::default(),
            trusted_since: TrustedSince::default(),
            serving: Serving::Waiting(sender),
            trust_status: TrustStatus::default(),
            writes: RateLimiter::new(now, LEAST_WRITES),
            publications: RateLimiter::new(now, LEAST_PUBLICATIONS),
            validating_publications: RateLimiter::new(now, LEAST_PUBLICATIONS),
            contention: Backoff::default(),
        };
        (manager, receiver)
    }

    /// Runs until shutdown begins, and not until the server is drained: a draining replica must not
    /// restore a CA that is being removed.
    pub async fn run(self, shutdown: Shutdown) {
        tokio::select! {
            biased;
            () = shutdown.drain() => tracing::info!("shutting down: other replicas keep the certificates"),
            () = self.run_passes() => {}
        }
    }

    async fn run_passes(mut self) {
        let waker = Arc::new(Notify::new());
        watch::secret(&self.store, &waker);
        watch::configuration(&self.store, &waker);
        if self.store.refs.validates {
            watch::validating(&self.store, &waker);
        }
        let mut backoff = Backoff::default();
        loop {
            let passed = time::timeout(PASS_TIMEOUT, self.pass()).await;
            let pause = match passed.unwrap_or(Err(Failure::Late)) {
                Ok(pause) => {
                    if backoff.reset() {
                        tracing::info!("the certificates are up to date again");
                    }
                    pause
                }
                Err(failure) => {
                    self.service.metrics().certificate_failures.inc();
                    let message = Chain(&failure).to_string();
                    if backoff.record(&message) {
                        tracing::warn!(error = message, "cannot update the certificates; retrying");
                    }
                    self.trust_status.unknown(&self.service, &message);
                    backoff.delay(random())
                }
            };
            if time::timeout(pause, waker.notified()).await.is_ok() {
                time::sleep(GATHER).await;
            }
        }
    }

    /// Does what is due, and returns when to look again.
    async fn pass(&mut self) -> Result<Duration, Failure> {
        for _ in 0..MAX_WRITES {
            let live = self.live().await?;
            // Readiness depends on the registration for pods only. Without the other one a bad profile is
            // stored, and left out.
            let validating = self.validating().await;
            let secret = self.secret().await?;
            let bundle = CertBundle::read(&store::data(secret.as_ref()));
            let trusted = live.as_ref().map(Live::trusted).unwrap_or_default();
            self.trusted_since.observe(&trusted, self.there_for(live.as_ref()), Instant::now());
            let action = self.next_action(&bundle, &trusted);
            let (mut pause, mut failure) = (PERIOD, None);
            match action {
                RotationAction::Wait(until) => pause = pause.min(self.until(until)),
                RotationAction::Write(write) => match self.writes.try_acquire(Instant::now()) {
                    Ok(()) => match self.write(secret, &bundle, &write).await {
                        Ok(_) => continue,
                        // The Secret as it is can still be published and served.
                        Err(error) => failure = Some(error),
                    },
                    Err(wait) => pause = self.contended(wait, "Secret"),
                },
            }
            let is_good = bundle.is_good(self.store.clock.now());
            if is_good {
                self.memory = bundle.clone();
            }
            let validating = validating.unwrap_or_else(|error| {
                failure.get_or_insert(error);
                None
            });
            let mut is_published = false;
            for live in [live.as_ref(), validating.as_ref()].into_iter().flatten() {
                if !is_good || !live.lacks(bundle.cas()) {
                    continue;
                }
                match self.publications(live.kind).try_acquire(Instant::now()) {
                    Ok(()) => match self.publish(live, &bundle).await {
                        Ok(_) => is_published = true,
                        Err(error) => failure = failure.or(Some(error)),
                    },
                    Err(wait) => pause = pause.min(self.contended(wait, &live.kind.to_string())),
                }
            }
            if is_published {
                continue;
            }
            self.serve(&bundle, live.as_ref());
            self.evaluate(live.as_ref());
            if let Some(failure) = failure {
                return Err(failure);
            }
            let limiters = [&self.writes, &self.publications, &self.validating_publications];
            if limiters.iter().all(|limiter| limiter.is_full(Instant::now())) {
                self.contention.reset();
            }
            let settle = self.trusted_since.next(self.policy.settle, Instant::now());
            return Ok(pause.min(settle.unwrap_or(PERIOD)));
        }
        // Other replicas were faster each time.
        Ok(GATHER)
    }

    /// How long the live CAs were certainly there; zero before the API server's clock is known.
    fn there_for(&self, live: Option<&Live>) -> Duration {
        let known = live.zip(self.store.clock.known());
        let unchanged = known.map_or(0, |(live, now)| live.unchanged(now));
        duration(rotation::there_for(unchanged, &self.policy))
    }

    /// The time until `time`, in seconds since the epoch; at least [`GATHER`].
    fn until(&self, time: i64) -> Duration {
        duration(time.saturating_sub(self.store.clock.now())).max(GATHER)
    }

    async fn live(&self) -> Result<Option<Live>, Failure> {
        let name = || self.store.refs.configuration.clone();
        let failure = |error| Failure::Configuration(Kind::Mutating, name(), error);
        self.store.live().await.map_err(failure)
    }

    async fn validating(&self) -> Result<Option<Live>, Failure> {
        let name = || self.store.refs.configuration.clone();
        let failure = |error| Failure::Configuration(Kind::Validating, name(), error);
        self.store.validating().await.map_err(failure)
    }

    const fn publications(&mut self, kind: Kind) -> &mut RateLimiter {
        match kind {
            Kind::Mutating => &mut self.publications,
            Kind::Validating => &mut self.validating_publications,
        }
    }

    async fn secret(&self) -> Result<Option<Secret>, Failure> {
        let name = || self.store.refs.secret.clone();
        self.store.secret().await.map_err(|error| Failure::Secret(name(), error))
    }

    fn next_action(
        &self,
        bundle: &CertBundle,
        trusted: &[CertificateDer<'static>],
    ) -> RotationAction<CertificateDer<'static>> {
        let more = [self.memory.cas(), trusted].concat();
        let seen = Snapshot {
            secret: bundle.secret_certs(&self.names, &more),
            memory: self.memory.secret_certs(&self.names, &[]),
            live: certs::dated(trusted),
            settled: self.trusted_since.settled(self.policy.settle, Instant::now()),
        };
        rotation::next(&seen, &self.policy, self.store.clock.now())
    }

    async fn write(
        &self,
        read: Option<Secret>,
        bundle: &CertBundle,
        write: &SecretChange<CertificateDer<'static>>,
    ) -> Result<Written, Failure> {
        let refs = &self.store.refs;
        let now = self.store.clock.now();
        let next = bundle.apply(&self.memory, write, &self.names, &self.policy, now)?;
        let written = self.store.write(read, &next).await;
        let written = written.map_err(|error| Failure::Write(refs.secret.clone(), error))?;
        if written == Written::Done {
            let metrics = self.service.metrics();
            if write.ca {
                metrics.certificate_issued(CertificateKind::Ca);
            }
            if write.leaf == LeafSource::New {
                metrics.certificate_issued(CertificateKind::Leaf);
            }
            tracing::info!(
                secret = refs.secret,
                new_ca = write.ca,
                new_certificate = write.leaf == LeafSource::New,
                ca_certificates = next.cas().len(),
                "certificates changed"
            );
        }
        Ok(written)
    }

    async fn publish(&self, live: &Live, bundle: &CertBundle) -> Result<Written, Failure> {
        let configuration = &self.store.refs.configuration;
        let published = self.store.publish(live, &bundle.ca_bundle()).await;
        let result = match published {
            Ok(Written::Done) => PublishResult::Published,
            Ok(Written::Conflict) => PublishResult::Conflict,
            Err(_) => PublishResult::Failed,
        };
        self.service.metrics().ca_bundle_published(result);
        let published =
            published.map_err(|error| Failure::Publish(live.kind, configuration.clone(), error))?;
        if published == Written::Done {
            let ca_certificates = bundle.cas().len();
            tracing::info!(kind = %live.kind, configuration, ca_certificates, "caBundle set");
        }
        Ok(published)
    }

    /// Another tool overwrites the object as fast as the webhook repairs it.
    fn contended(&mut self, wait: Duration, what: &str) -> Duration {
        if self.contention.record(what) {
            tracing::warn!(
                what,
                "another tool keeps overwriting this object; let one tool manage these certificates, \
                 either the webhook (--tls-secret) or the other, such as cert-manager"
            );
        }
        wait
    }

    /// Serves the Secret's certificate once it is better than the one in use.
    fn serve(&mut self, bundle: &CertBundle, live: Option<&Live>) {
        let (Some(leaf), Some(live)) = (bundle.leaf(), live) else { return };
        let (pair, now) = (&leaf.pair, self.store.clock.now());
        let current = self.served();
        if current == pair.chain() {
            return;
        }
        let settled = self.trusted_since.settled(self.policy.settle, Instant::now());
        let issuer = bundle.issuer();
        let same = |issuer| tls::signed(&current, std::slice::from_ref(issuer), now).is_ok();
        let candidate = Candidate {
            trusted: live.trusts(pair.chain(), now),
            settled: issuer.is_some_and(|issuer| settled.contains(issuer)),
            alone: live.trusted().len() == 1,
            current: match &self.serving {
                Serving::Waiting(_) | Serving::Abandoned => Current::None,
                Serving::Active(_) if !live.trusts(&current, now) => Current::Distrusted,
                Serving::Active(_) if issuer.is_some_and(same) => Current::SameIssuer,
                Serving::Active(_) => Current::Trusted,
            },
        };
        if candidate.accept() {
            self.replace(pair);
        }
    }

    fn replace(&mut self, pair: &Pair) {
        let serving = std::mem::replace(&mut self.serving, Serving::Abandoned);
        self.serving = match serving {
            Serving::Active(identity) => {
                identity.replace(pair);
                Serving::Active(identity)
            }
            Serving::Waiting(waiting) => {
                let identity = Arc::new(Identity::new(pair));
                match waiting.send(Arc::clone(&identity)) {
                    Ok(()) => Serving::Active(identity),
                    Err(_) => Serving::Abandoned,
                }
            }
            Serving::Abandoned => Serving::Abandoned,
        };
        self.service.metrics().validity(CertificateKind::Leaf, Some(pair.leaf));
        tracing::info!(not_after = pair.leaf.not_after, "certificate in use");
    }

    /// The chain in use; empty if there is none.
    fn served(&self) -> Vec<CertificateDer<'static>> {
        match &self.serving {
            Serving::Active(identity) => identity.chain(),
            Serving::Waiting(_) | Serving::Abandoned => Vec::new(),
        }
    }

    fn evaluate(&mut self, live: Option<&Live>) {
        let chain = self.served();
        let now = self.store.clock.now();
        self.trust_status.evaluate(&self.service, &self.store.refs, live, &chain, now);
    }
}

/// A duration in seconds; zero if negative.
fn duration(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

/// Without the keys.
impl std::fmt::Debug for CertManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertManager").field("refs", &self.store.refs).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
