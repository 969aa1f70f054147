//! Keeps the webhook's own certificates in a Secret and their CAs in the registrations' `caBundle`, and
//! checks whether the API server trusts the certificate in use.
//!
//! A pass reads everything, and does what [`rotation`] says. Watches and timers only start passes, so a
//! late or lost event costs time and nothing else.

mod registration;
mod store;
#[cfg(test)]
mod testing;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use kube::{Client, api::DynamicObject, runtime::watcher::DefaultBackoff};
use rustls_pki_types::CertificateDer;
use tokio::{sync::oneshot, time};

use self::{
    registration::Registration,
    store::{Object, Store},
};
use crate::{
    certs::{
        self, CertBundle, Names,
        rotation::{self, Policy, Renewal, TrustedSince},
    },
    controller::{REQUEST_TIMEOUT, watch::FailureLog},
    server::{Gate, Service, Shutdown},
    telemetry::{CertificateKind, Chain, PublishResult},
    tls::Identity,
};

/// The longest pause between two passes: a certificate ends without an event.
const PERIOD: Duration = Duration::from_secs(10);
/// Events come in groups, and another write came first where there is more than one replica.
const GATHER: Duration = Duration::from_millis(100);
/// A pause this long after a write means that something else keeps changing the object.
const CONTENTION: Duration = Duration::from_secs(5);

/// Keeps a Secret and the registrations right, and the certificate in use up to date.
pub struct CertManager {
    store: Store,
    service: Arc<Service>,
    /// What to write into the Secret and the registrations; `None` where certificates come from files.
    issuing: Option<Issuing>,
    /// The certificate in use.
    identity: Option<Arc<Identity>>,
    /// Whether the API server trusts it, as logged last.
    trust: Option<Result<(), String>>,
    log: FailureLog,
}

/// What it takes to issue certificates.
struct Issuing {
    policy: Policy,
    names: Names,
    trusted_since: TrustedSince,
    /// For the first certificate that the API server trusts.
    first: Option<oneshot::Sender<Arc<Identity>>>,
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Pass {
    /// There was nothing to write.
    Idle,
    /// Another write came first.
    Conflict,
    /// Something failed, and nothing was written.
    Failed,
    /// Something was written.
    Wrote,
}

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot read {0}")]
    Read(String, #[source] kube::Error),
    #[error("cannot write {0}")]
    Write(String, #[source] kube::Error),
    #[error("cannot set the caBundle of {0}")]
    Publish(String, #[source] kube::Error),
    #[error("the API server did not answer in time")]
    Late,
    #[error("cannot issue a certificate")]
    Issue(#[from] certs::IssueError),
}

impl CertManager {
    /// A manager that keeps this Secret, and the `caBundle` of the registration of this name; with
    /// `validates` also that of the one for RunnerProfiles. The receiver gets the first certificate that
    /// the API server trusts.
    pub fn new(
        client: &Client,
        (namespace, secret): (&str, &str),
        registration: &str,
        validates: bool,
        policy: Policy,
        names: Names,
        service: Arc<Service>,
    ) -> (Self, oneshot::Receiver<Arc<Identity>>) {
        let store = Store {
            secret: Some(Object::secret(client, namespace, secret)),
            pods: Object::pods(client, registration),
            profiles: validates.then(|| Object::profiles(client, registration)),
        };
        let (sender, receiver) = oneshot::channel();
        let trusted_since = TrustedSince::default();
        let issuing = Issuing { policy, names, trusted_since, first: Some(sender) };
        service.gates().close(Gate::Trust, "there is no certificate yet");
        let manager = Self {
            store,
            service,
            issuing: Some(issuing),
            identity: None,
            trust: None,
            log: FailureLog::default(),
        };
        (manager, receiver)
    }

    /// A manager that writes nothing, and only checks whether the API server trusts the certificate in
    /// use: cert-manager or a person renews it.
    pub fn checking(
        client: &Client,
        registration: &str,
        identity: Arc<Identity>,
        service: Arc<Service>,
    ) -> Self {
        let pods = Object::pods(client, registration);
        service.gates().close(Gate::Trust, "the webhook configuration was not read yet");
        Self {
            store: Store { secret: None, pods, profiles: None },
            service,
            issuing: None,
            identity: Some(identity),
            trust: None,
            log: FailureLog::default(),
        }
    }

    /// Runs until shutdown begins, and not until the server is drained: a draining replica leaves the
    /// certificates to the others, or it would bring a leaked key back.
    pub async fn run(mut self, shutdown: Shutdown) {
        tokio::select! {
            biased;
            () = shutdown.drain() => {}
            () = self.run_passes() => {}
        }
    }

    async fn run_passes(&mut self) {
        let mut changes = self.store.changes();
        // A certificate of its own changes by the passes alone.
        let files = self.identity.clone().filter(|_| self.issuing.is_none());
        let settle = self.issuing.as_ref().map_or(PERIOD, |issuing| issuing.policy.settle);
        let (mut failures, mut writes) = (DefaultBackoff::default(), DefaultBackoff::default());
        loop {
            let passed = time::timeout(REQUEST_TIMEOUT, self.pass()).await;
            let passed = passed.unwrap_or(Err(Failure::Late)).unwrap_or_else(|failure| {
                self.failed(&failure);
                Pass::Failed
            });
            let pause = match passed {
                Pass::Conflict => GATHER,
                // No event cuts it short: two tools that overwrite each other slow down.
                Pass::Wrote => writes.next().unwrap_or(PERIOD),
                Pass::Idle | Pass::Failed => {
                    let failed = passed == Pass::Failed;
                    let longest = if failed { failures.next() } else { Some(PERIOD.min(settle)) };
                    tokio::select! {
                        () = time::sleep(longest.unwrap_or(PERIOD)) => continue,
                        () = changed(files.as_deref()) => continue,
                        _ = changes.next() => GATHER,
                    }
                }
            };
            if pause > CONTENTION && self.log.is_new("contention") {
                tracing::warn!(
                    "another tool keeps overwriting the Secret or the caBundle; let one tool manage these \
                     certificates, either the webhook (--tls-secret) or the other, such as cert-manager"
                );
            }
            time::sleep(pause).await;
            // What came meanwhile is read by the next pass.
            while let Some(Some(())) = changes.next().now_or_never() {}
        }
    }

    fn failed(&mut self, failure: &Failure) {
        self.service.metrics().certificate_failures.inc();
        let error = Chain(failure).to_string();
        // An earlier result stays.
        if self.trust.is_none() {
            self.service.gates().close(Gate::Trust, error.as_str());
        }
        if self.log.is_new(&error) {
            tracing::warn!(error, "cannot check or update the certificates; retrying");
        }
    }

    /// Reads everything and does what is due.
    async fn pass(&mut self) -> Result<Pass, Failure> {
        let now = certs::now();
        let mut pods = read(&self.store.pods).await?;
        let kept = self.keep(&mut pods, now).await;
        self.evaluate(pods.as_ref(), now);
        kept
    }

    /// Keeps the Secret and the `caBundle` of both registrations, and serves the Secret's certificate.
    async fn keep(&mut self, pods: &mut Option<Registration>, now: i64) -> Result<Pass, Failure> {
        let (Some(secret), Some(issuing)) = (&self.store.secret, &self.issuing) else {
            return Ok(Pass::Idle);
        };
        let mut outcomes = Vec::new();
        // Readiness depends on the registration for pods only. Without the other one a bad profile is
        // stored, and left out.
        let mut profiles = match &self.store.profiles {
            Some(object) => read(object).await.unwrap_or_else(|failure| {
                outcomes.push(Err(failure));
                None
            }),
            None => None,
        };
        let stored = secret.read().await;
        let stored = stored.map_err(|error| Failure::Read(secret.to_string(), error))?;
        let mut bundle = CertBundle::read(&store::data(stored.as_ref()));
        if let Some(what) = rotation::renewal(&bundle, &issuing.names, &issuing.policy, now) {
            let renewed = bundle.renew(what, &issuing.names, &issuing.policy, now)?;
            match self.write(secret, stored, &renewed, what).await {
                Ok(Pass::Conflict) => return Ok(Pass::Conflict),
                Ok(written) => {
                    bundle = renewed;
                    outcomes.push(Ok(written));
                }
                // The Secret as it is can still be published and served.
                failed => outcomes.push(failed),
            }
        }
        if bundle.is_usable(now) {
            outcomes.push(self.publish(&self.store.pods, pods, &bundle, now).await);
            if let Some(object) = &self.store.profiles {
                outcomes.push(self.publish(object, &mut profiles, &bundle, now).await);
            }
            self.serve(&bundle, pods.as_ref(), now);
        }
        let passed = outcomes.into_iter().map(|outcome| {
            outcome.unwrap_or_else(|failure| {
                self.failed(&failure);
                Pass::Failed
            })
        });
        Ok(passed.max().unwrap_or(Pass::Idle))
    }

    async fn write(
        &self,
        secret: &Object<Secret>,
        stored: Option<Secret>,
        bundle: &CertBundle,
        what: Renewal,
    ) -> Result<Pass, Failure> {
        let written = secret.write(stored, bundle).await;
        if !written.map_err(|error| Failure::Write(secret.to_string(), error))? {
            return Ok(Pass::Conflict);
        }
        let metrics = self.service.metrics();
        if what == Renewal::Ca {
            metrics.certificate_issued(CertificateKind::Ca);
        }
        metrics.certificate_issued(CertificateKind::Leaf);
        tracing::info!(%secret, new_ca = what == Renewal::Ca, "certificate issued");
        Ok(Pass::Wrote)
    }

    /// Sets the `caBundle` where it differs from what it must be.
    async fn publish(
        &self,
        object: &Object<DynamicObject>,
        registration: &mut Option<Registration>,
        bundle: &CertBundle,
        now: i64,
    ) -> Result<Pass, Failure> {
        let served = self.served();
        let wanted = |live: &[_]| rotation::ca_bundle(bundle, live, &served, now);
        let change = registration.as_ref().and_then(|one| one.publication(wanted));
        let Some(change) = change else { return Ok(Pass::Idle) };
        let published = object.publish(&change).await;
        let result = match published {
            Ok(Some(_)) => PublishResult::Published,
            Ok(None) => PublishResult::Conflict,
            Err(_) => PublishResult::Failed,
        };
        self.service.metrics().ca_bundle_published(result);
        match published.map_err(|error| Failure::Publish(object.to_string(), error))? {
            Some(published) => {
                tracing::info!(configuration = %object, "caBundle set");
                *registration = Some(published);
                Ok(Pass::Wrote)
            }
            None => Ok(Pass::Conflict),
        }
    }

    /// Serves the Secret's certificate once it is better than the one in use.
    fn serve(&mut self, bundle: &CertBundle, pods: Option<&Registration>, now: i64) {
        let current = self.served();
        let (Some(leaf), Some(issuing)) = (bundle.leaf(), &mut self.issuing) else { return };
        let pair = &leaf.pair;
        let trusts = |chain: &[_]| pods.is_some_and(|pods| pods.trusts(chain, now));
        let (is_trusted, is_current_trusted) = (trusts(pair.chain()), trusts(&current));
        let (since, policy) = (&mut issuing.trusted_since, &issuing.policy);
        let accepts = since.accepts(bundle, is_trusted, is_current_trusted, policy, Instant::now());
        if !accepts || current == pair.chain() {
            return;
        }
        if let Some(identity) = &self.identity {
            identity.replace(pair);
        } else {
            let identity = Arc::new(Identity::new(pair));
            if let Some(first) = issuing.first.take() {
                // Without a receiver the process is about to end.
                let _ = first.send(Arc::clone(&identity));
            }
            self.identity = Some(identity);
        }
        self.service.metrics().validity(CertificateKind::Leaf, Some(pair.leaf));
        tracing::info!(not_after = pair.leaf.not_after, "certificate in use");
    }

    /// The chain in use; empty if there is none.
    fn served(&self) -> Vec<CertificateDer<'static>> {
        self.identity.as_ref().map(|identity| identity.chain()).unwrap_or_default()
    }

    /// Verifies the chain in use against the live `caBundle`, opens or closes the gate, and sets the metric
    /// of the CA's end. Without trust the metric keeps the last known CA, whose end may be the reason.
    fn evaluate(&mut self, pods: Option<&Registration>, now: i64) {
        let (chain, service) = (self.served(), &self.service);
        if let Some(ca) = pods.and_then(|pods| pods.ca_validity(&chain, now)) {
            service.metrics().validity(CertificateKind::Ca, Some(ca));
        }
        let missing = || Err(format!("{} does not exist", self.store.pods));
        let trust = pods.map_or_else(missing, |pods| pods.accepts(&chain, now));
        service.metrics().certificate_trusted(trust.is_ok());
        match &trust {
            Ok(()) => service.gates().open(Gate::Trust),
            Err(reason) => service.gates().close(Gate::Trust, reason.as_str()),
        }
        if self.trust.as_ref() != Some(&trust) {
            match &trust {
                Ok(()) => tracing::info!("the API server trusts the certificate in use"),
                Err(reason) => tracing::warn!(
                    reason,
                    "not ready: the API server does not trust the certificate in use"
                ),
            }
            self.trust = Some(trust);
        }
    }
}

async fn read(object: &Object<DynamicObject>) -> Result<Option<Registration>, Failure> {
    let read = object.registration_read().await;
    read.map_err(|error| Failure::Read(object.to_string(), error))
}

/// Waits until a certificate from files is replaced.
async fn changed(identity: Option<&Identity>) {
    match identity {
        Some(identity) => identity.changed().await,
        None => std::future::pending().await,
    }
}

/// Without the keys.
impl std::fmt::Debug for CertManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertManager").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
