//! The right to have a connection open, and how many there are.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::service::Service;

/// The right to have a connection open.
pub(super) struct Place {
    service: Arc<Service>,
    /// Whether it is one of the spare places, good for one answer.
    pub(super) spare: bool,
    _permit: OwnedSemaphorePermit,
}

/// All the places.
pub(super) struct Places {
    regular: Arc<Semaphore>,
    spare: Arc<Semaphore>,
}

// === impl Places ===

impl Places {
    pub(super) fn new(service: &Service) -> Self {
        let limits = service.limits();
        Self {
            regular: Arc::new(Semaphore::new(limits.max_connections)),
            spare: Arc::new(Semaphore::new(limits.spare_connections)),
        }
    }

    /// Waits for a place, a regular one if there is one.
    pub(super) async fn take(&self) -> (OwnedSemaphorePermit, bool) {
        let regular = Arc::clone(&self.regular).acquire_owned();
        let spare = Arc::clone(&self.spare).acquire_owned();
        tokio::select! {
            biased;
            Ok(permit) = regular => (permit, false),
            Ok(permit) = spare => (permit, true),
            // Closed semaphores only, and nobody closes these.
            else => std::future::pending().await,
        }
    }

    /// Makes the place of a connection that just came in out of a permit that was taken before,
    /// and may have been a spare one for a regular place that has become free since.
    pub(super) fn settle(
        &self,
        permit: OwnedSemaphorePermit,
        spare: bool,
        service: &Arc<Service>,
    ) -> Place {
        let better = spare.then(|| Arc::clone(&self.regular).try_acquire_owned().ok()).flatten();
        let (permit, spare) = better.map_or((permit, spare), |better| (better, false));
        let metrics = service.metrics();
        metrics.connections.inc();
        if spare {
            metrics.connections_over_cap.inc();
        }
        Place { service: Arc::clone(service), spare, _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.service.metrics().connections.dec();
    }
}
