//! Watches a certificate's files and puts what they hold to use.

use std::{sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};

use super::service::Service;
use crate::{
    certs,
    telemetry::{CertificateKind, Chain, ReloadResult},
    tls::{Files, Identity, ReadError, Validity},
};

const KEPT: &str = "certificate not replaced, the old one stays in use";

/// Reads the certificate's files every `period`, forever, and gives each new pair to `identity`.
pub async fn watch_certificate(
    mut files: Files,
    period: Duration,
    identity: Arc<Identity>,
    service: Arc<Service>,
) {
    let metrics = service.metrics();
    let mut is_missing = false;
    loop {
        sleep(period).await;
        let read = spawn_blocking(move || {
            let read = files.changed();
            (files, read)
        });
        let Ok((back, read)) = read.await else { return };
        files = back;
        // A file that is gone stays gone for many reads, and one line is enough.
        let was_missing =
            std::mem::replace(&mut is_missing, matches!(read, Err(ReadError::Io { .. })));
        match read {
            Ok(None) => {}
            // A stale file must not take a good certificate's place.
            Ok(Some(pair)) if has_ended(pair.leaf) && !has_ended(identity.leaf()) => {
                metrics.reloaded(ReloadResult::Rejected);
                tracing::warn!(error = "the new certificate has ended", KEPT);
            }
            Ok(Some(pair)) => {
                // The CA's figures come first: replacing the pair wakes the task that knows the
                // caBundle, and its figures of the CA are the better ones.
                metrics.validity(CertificateKind::Ca, pair.ca);
                identity.replace(&pair);
                metrics.validity(CertificateKind::Leaf, Some(pair.leaf));
                metrics.reloaded(ReloadResult::Replaced);
                tracing::info!(not_after = pair.leaf.not_after, "certificate replaced");
            }
            Err(ReadError::Io { .. }) if was_missing => {}
            Err(error) => {
                metrics.reloaded(ReloadResult::Rejected);
                tracing::warn!(error = %Chain(&error), KEPT);
            }
        }
    }
}

fn has_ended(leaf: Validity) -> bool {
    leaf.not_after < certs::now()
}
