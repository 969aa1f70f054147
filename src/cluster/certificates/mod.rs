//! Certificates of our own, kept in a Secret, and their trust by the API server.
//!
//! A pass reads the registration and then the Secret, both anew, and does the next thing that is
//! to be done: [`rotation::next`] says what. Watches and the clock start passes and decide
//! nothing, so that a late or lost event costs time and no more.
//!
//! The order of the two reads matters. What is published is applied to the version of the
//! registration that was read, so the Secret is at least as new as the `caBundle` that it
//! replaces: a slow replica cannot publish an older state over a newer one.

mod check;
mod clock;
mod live;
mod pace;
mod settling;
mod store;
#[cfg(test)]
mod testing;
mod verdict;
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

pub(super) use self::live::asked;
pub use self::{check::check, store::Place};
use self::{
    live::{Kind, Live},
    pace::Pace,
    settling::Settling,
    store::{Store, Written},
    verdict::Verdicts,
};
use crate::{
    certs::{
        self, Kept, Names,
        rotation::{self, Current, Offer, Policy, Seen, Source, Step, Write},
    },
    cluster::{
        self,
        trouble::{Trouble, random},
    },
    server::{Gate, Service, Shutdown},
    telemetry::{CertificateKind, Chain, PublishResult},
    tls::{self, Identity, Pair},
};

/// The longest pause between two passes, by which a machine that was suspended catches up.
const PERIOD: Duration = Duration::from_secs(30);
/// Events come in groups, and what somebody rewrites all the time is looked at this often.
const GATHER: Duration = Duration::from_millis(100);
/// One pass. Without an answer, it is tried again.
const PASS_TIMEOUT: Duration = cluster::REQUEST_TIMEOUT;
/// How often the Secret is written in a fight that does not end. Each write may be a new authority,
/// and what is served does not depend on it.
const LEAST_WRITES: Duration = Duration::from_mins(10);
/// How often the `caBundle` is: without it nobody is trusted, so we do not give in to more.
const LEAST_PUBLICATIONS: Duration = Duration::from_secs(10);
/// Steps of one pass. A rotation needs three; conflicts with other replicas a few more.
const STEPS: usize = 8;

/// Keeps the Secret and the registration right.
pub struct Keeper {
    store: Store,
    policy: Policy,
    names: Names,
    service: Arc<Service>,
    memory: Kept,
    settling: Settling,
    serving: Serving,
    verdicts: Verdicts,
    writes: Pace,
    publications: Pace,
    /// Its own, so that contention over one `caBundle` does not slow down the other.
    validating_publications: Pace,
    fight: Trouble,
}

/// What is served.
enum Serving {
    /// Nothing yet. Whoever waits gets the first.
    Waiting(oneshot::Sender<Arc<Identity>>),
    /// This.
    Since(Arc<Identity>),
    /// Nothing, and nobody waits any more.
    Nobody,
}

/// What a pass could not do.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot read {0} {1}")]
    Configuration(Kind, String, #[source] kube::Error),
    #[error("cannot read Secret {0}")]
    Secret(String, #[source] kube::Error),
    #[error("cannot write Secret {0}")]
    Write(String, #[source] kube::Error),
    #[error("cannot publish to {0} {1}")]
    Publish(Kind, String, #[source] kube::Error),
    #[error("the API server does not answer")]
    Late,
    #[error("cannot issue")]
    Issue(#[from] certs::IssueError),
}

impl Keeper {
    /// One that has not looked yet, and what will be served once there is something to serve that
    /// the API server trusts. `policy.turn` is chosen here.
    pub fn new(
        client: &Client,
        place: Place,
        policy: Policy,
        names: Names,
        service: Arc<Service>,
    ) -> (Self, oneshot::Receiver<Arc<Identity>>) {
        let (sender, receiver) = oneshot::channel();
        let now = Instant::now();
        service.gates().close(Gate::Trust, "there is no certificate yet");
        let keeper = Self {
            store: Store::new(client, place),
            policy: Policy { turn: random(), ..policy },
            names,
            service,
            memory: Kept::default(),
            settling: Settling::default(),
            serving: Serving::Waiting(sender),
            verdicts: Verdicts::default(),
            writes: Pace::new(now, LEAST_WRITES),
            publications: Pace::new(now, LEAST_PUBLICATIONS),
            validating_publications: Pace::new(now, LEAST_PUBLICATIONS),
            fight: Trouble::default(),
        };
        (keeper, receiver)
    }

    /// Goes on until `shutdown` is asked for, and not until the server is drained: whoever stops all
    /// replicas in order to get rid of an authority must not have one write it again meanwhile. Other
    /// replicas go on.
    pub async fn run(self, shutdown: Shutdown) {
        tokio::select! {
            biased;
            () = shutdown.drain() => tracing::info!("the certificates are left to other replicas"),
            () = self.keep() => {}
        }
    }

    async fn keep(mut self) {
        let waker = Arc::new(Notify::new());
        watch::secret(&self.store, &waker);
        watch::configuration(&self.store, &waker);
        if self.store.place.validates {
            watch::validating(&self.store, &waker);
        }
        let mut trouble = Trouble::default();
        loop {
            let passed = time::timeout(PASS_TIMEOUT, self.pass()).await;
            let pause = match passed.unwrap_or(Err(Failure::Late)) {
                Ok(pause) => {
                    if trouble.ends() {
                        tracing::info!("the certificates are looked after again");
                    }
                    pause
                }
                Err(failure) => {
                    self.service.metrics().certificate_failures.inc();
                    let message = Chain(&failure).to_string();
                    if trouble.notes(&message) {
                        tracing::warn!(error = message, "certificates: will try again");
                    }
                    self.verdicts.cannot(&self.service, &message);
                    trouble.wait(random())
                }
            };
            if time::timeout(pause, waker.notified()).await.is_ok() {
                time::sleep(GATHER).await;
            }
        }
    }

    /// Does what is to be done, and says when to look again.
    async fn pass(&mut self) -> Result<Duration, Failure> {
        for _ in 0..STEPS {
            let live = self.live().await?;
            // Trust and readiness go by the registration for pods alone: without the other one a
            // bad profile is stored, and left out.
            let validating = self.validating().await;
            let secret = self.secret().await?;
            let kept = Kept::read(&store::data(secret.as_ref()));
            let trusted = live.as_ref().map(Live::trusted).unwrap_or_default();
            self.settling.look(&trusted, self.there_for(live.as_ref()), Instant::now());
            let step = self.step(&kept, &trusted);
            let (mut pause, mut failure) = (PERIOD, None);
            match step {
                Step::Wait(until) => pause = pause.min(self.until(until)),
                Step::Write(write) => match self.writes.take(Instant::now()) {
                    Ok(()) => match self.write(secret, &kept, &write).await {
                        Ok(_) => continue,
                        // What is there is published and served all the same.
                        Err(error) => failure = Some(error),
                    },
                    Err(wait) => pause = self.fights(wait, "Secret"),
                },
            }
            let is_good = kept.is_good(self.store.clock.now());
            if is_good {
                self.memory = kept.clone();
            }
            let validating = validating.unwrap_or_else(|error| {
                failure.get_or_insert(error);
                None
            });
            let mut is_published = false;
            for live in [live.as_ref(), validating.as_ref()].into_iter().flatten() {
                if !is_good || !live.lacks(kept.authorities()) {
                    continue;
                }
                match self.publications(live.kind).take(Instant::now()) {
                    Ok(()) => match self.publish(live, &kept).await {
                        Ok(_) => is_published = true,
                        Err(error) => failure = failure.or(Some(error)),
                    },
                    Err(wait) => pause = pause.min(self.fights(wait, &live.kind.to_string())),
                }
            }
            if is_published {
                continue;
            }
            self.serve(&kept, live.as_ref());
            self.judge(live.as_ref());
            if let Some(failure) = failure {
                return Err(failure);
            }
            let paces = [&self.writes, &self.publications, &self.validating_publications];
            if paces.iter().all(|pace| pace.is_full(Instant::now())) {
                self.fight.ends();
            }
            let settle = self.settling.next(self.policy.settle, Instant::now());
            return Ok(pause.min(settle.unwrap_or(PERIOD)));
        }
        // Others are quicker each time; they do what is to be done.
        Ok(GATHER)
    }

    /// How long all that is live was certainly there; nothing while the API server's clock is not
    /// known, by which that is told.
    fn there_for(&self, live: Option<&Live>) -> Duration {
        let known = live.zip(self.store.clock.known());
        let unchanged = known.map_or(0, |(live, now)| live.unchanged(now));
        duration(rotation::there_for(unchanged, &self.policy))
    }

    /// How long until a time, in seconds since the epoch; at least a moment.
    fn until(&self, time: i64) -> Duration {
        duration(time.saturating_sub(self.store.clock.now())).max(GATHER)
    }

    async fn live(&self) -> Result<Option<Live>, Failure> {
        let name = || self.store.place.configuration.clone();
        let failure = |error| Failure::Configuration(Kind::Mutating, name(), error);
        self.store.live().await.map_err(failure)
    }

    async fn validating(&self) -> Result<Option<Live>, Failure> {
        let name = || self.store.place.configuration.clone();
        let failure = |error| Failure::Configuration(Kind::Validating, name(), error);
        self.store.validating().await.map_err(failure)
    }

    const fn publications(&mut self, kind: Kind) -> &mut Pace {
        match kind {
            Kind::Mutating => &mut self.publications,
            Kind::Validating => &mut self.validating_publications,
        }
    }

    async fn secret(&self) -> Result<Option<Secret>, Failure> {
        let name = || self.store.place.secret.clone();
        self.store.secret().await.map_err(|error| Failure::Secret(name(), error))
    }

    fn step(
        &self,
        kept: &Kept,
        trusted: &[CertificateDer<'static>],
    ) -> Step<CertificateDer<'static>> {
        let more = [self.memory.authorities(), trusted].concat();
        let seen = Seen {
            secret: kept.held(&self.names, &more),
            memory: self.memory.held(&self.names, &[]),
            live: certs::dated(trusted),
            settled: self.settling.settled(self.policy.settle, Instant::now()),
        };
        rotation::next(&seen, &self.policy, self.store.clock.now())
    }

    async fn write(
        &self,
        read: Option<Secret>,
        kept: &Kept,
        write: &Write<CertificateDer<'static>>,
    ) -> Result<Written, Failure> {
        let place = &self.store.place;
        let now = self.store.clock.now();
        let next = kept.step(&self.memory, write, &self.names, &self.policy, now)?;
        let written = self.store.write(read, &next).await;
        let written = written.map_err(|error| Failure::Write(place.secret.clone(), error))?;
        if written == Written::Done {
            let metrics = self.service.metrics();
            if write.authority {
                metrics.certificate_issued(CertificateKind::Ca);
            }
            if write.leaf == Source::New {
                metrics.certificate_issued(CertificateKind::Leaf);
            }
            tracing::info!(
                secret = place.secret,
                new_ca = write.authority,
                new_certificate = write.leaf == Source::New,
                authorities = next.authorities().len(),
                "certificates changed"
            );
        }
        Ok(written)
    }

    async fn publish(&self, live: &Live, kept: &Kept) -> Result<Written, Failure> {
        let configuration = &self.store.place.configuration;
        let published = self.store.publish(live, &kept.bundle()).await;
        let result = match published {
            Ok(Written::Done) => PublishResult::Published,
            Ok(Written::Conflict) => PublishResult::Conflict,
            Err(_) => PublishResult::Failed,
        };
        self.service.metrics().ca_bundle_published(result);
        let published =
            published.map_err(|error| Failure::Publish(live.kind, configuration.clone(), error))?;
        if published == Written::Done {
            let authorities = kept.authorities().len();
            tracing::info!(kind = %live.kind, configuration, authorities, "caBundle published");
        }
        Ok(published)
    }

    /// Somebody undoes what we do, as fast as we do it.
    fn fights(&mut self, wait: Duration, what: &str) -> Duration {
        if self.fight.notes(what) {
            tracing::warn!(
                what,
                "somebody else keeps changing it: no other tool, such as cert-manager, may manage \
                 these certificates"
            );
        }
        wait
    }

    /// Serves what is in the Secret as soon as that is better than what is served.
    fn serve(&mut self, kept: &Kept, live: Option<&Live>) {
        let (Some(leaf), Some(live)) = (kept.leaf(), live) else { return };
        let (pair, now) = (&leaf.pair, self.store.clock.now());
        let current = self.served();
        if current == pair.chain() {
            return;
        }
        let settled = self.settling.settled(self.policy.settle, Instant::now());
        let issuer = kept.issuer();
        let same = |issuer| tls::signed(&current, std::slice::from_ref(issuer), now).is_ok();
        let offer = Offer {
            trusted: live.trusts(pair.chain(), now),
            settled: issuer.is_some_and(|issuer| settled.contains(issuer)),
            alone: live.trusted().len() == 1,
            current: match &self.serving {
                Serving::Waiting(_) | Serving::Nobody => Current::None,
                Serving::Since(_) if !live.trusts(&current, now) => Current::Distrusted,
                Serving::Since(_) if issuer.is_some_and(same) => Current::SameIssuer,
                Serving::Since(_) => Current::Trusted,
            },
        };
        if offer.accept() {
            self.replace(pair);
        }
    }

    fn replace(&mut self, pair: &Pair) {
        let serving = std::mem::replace(&mut self.serving, Serving::Nobody);
        self.serving = match serving {
            Serving::Since(identity) => {
                identity.replace(pair);
                Serving::Since(identity)
            }
            Serving::Waiting(waiting) => {
                let identity = Arc::new(Identity::new(pair));
                match waiting.send(Arc::clone(&identity)) {
                    Ok(()) => Serving::Since(identity),
                    Err(_) => Serving::Nobody,
                }
            }
            Serving::Nobody => Serving::Nobody,
        };
        self.service.metrics().validity(CertificateKind::Leaf, Some(pair.leaf));
        tracing::info!(not_after = pair.leaf.not_after, "certificate in use");
    }

    /// The chain that is served; empty as long as there is none.
    fn served(&self) -> Vec<CertificateDer<'static>> {
        match &self.serving {
            Serving::Since(identity) => identity.chain(),
            Serving::Waiting(_) | Serving::Nobody => Vec::new(),
        }
    }

    fn judge(&mut self, live: Option<&Live>) {
        let chain = self.served();
        let now = self.store.clock.now();
        self.verdicts.judge(&self.service, &self.store.place, live, &chain, now);
    }
}

/// So many seconds; none for fewer.
fn duration(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

/// Without the keys.
impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("place", &self.store.place).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
