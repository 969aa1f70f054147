//! Watches certificate files and puts what they hold to use.
//!
//! By polling, because the kubelet replaces a Secret's files by swapping a symlink above them,
//! which a file watch does not survive (kubernetes#111947).

use std::{sync::Arc, time::Duration};

use tokio::time;

use super::service::Service;
use crate::{
    telemetry::{CertificateKind, Chain, Metrics, ReloadResult},
    tls::{CaFile, ClientAuth, Files, Identity, ReadError},
};

/// The state of polling one kind of file.
struct Polling {
    /// What is in the files, for the log.
    what: &'static str,
    /// Whether the last poll found no file.
    unreadable: bool,
}

/// Polls the certificate's files every `period`, forever, and gives each new pair to `identity`.
pub async fn watch_certificate(
    mut files: Files,
    period: Duration,
    identity: Arc<Identity>,
    service: Arc<Service>,
) {
    let mut polling = Polling::new("certificate");
    let metrics = service.metrics();
    loop {
        time::sleep(period).await;
        polling.apply(files.changed().await, metrics, |pair| {
            // The CA's figures come first: replacing the pair wakes the task that knows the
            // caBundle, and its figures of the CA are the better ones.
            metrics.validity(CertificateKind::Ca, pair.ca);
            identity.replace(&pair);
            metrics.validity(CertificateKind::Leaf, Some(pair.leaf));
            tracing::info!(not_after = pair.leaf.not_after, "certificate replaced");
        });
    }
}

/// Polls the client CA's file every `period`, forever, and gives each new CA to `client_auth`.
pub async fn watch_client_ca(
    mut file: CaFile,
    period: Duration,
    client_auth: Arc<ClientAuth>,
    service: Arc<Service>,
) {
    let mut polling = Polling::new("client CA");
    loop {
        time::sleep(period).await;
        polling.apply(file.changed().await, service.metrics(), |ca| {
            client_auth.replace(ca);
            tracing::info!("client CA replaced");
        });
    }
}

impl Polling {
    const fn new(what: &'static str) -> Self {
        Self { what, unreadable: false }
    }

    /// Uses what a poll has found, or logs why it cannot be used.
    fn apply<T>(
        &mut self,
        found: Result<Option<T>, ReadError>,
        metrics: &Metrics,
        replace: impl FnOnce(T),
    ) {
        match found {
            Ok(new) => {
                self.unreadable = false;
                if let Some(new) = new {
                    replace(new);
                    metrics.reloaded(ReloadResult::Replaced);
                }
            }
            // A file that is gone stays gone for many polls, and one line is enough.
            Err(ReadError::Io { .. }) if self.unreadable => {}
            Err(error) => {
                self.unreadable = matches!(error, ReadError::Io { .. });
                metrics.reloaded(ReloadResult::Rejected);
                let error = Chain(&error);
                tracing::warn!(%error, "{} not replaced, the old one stays in use", self.what);
            }
        }
    }
}
