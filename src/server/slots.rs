//! A bound on open connections.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::service::Service;

/// The slot of one open connection.
pub(super) struct ConnectionSlot {
    service: Arc<Service>,
    /// Whether it is a spare slot, for one response.
    pub(super) spare: bool,
    _permit: OwnedSemaphorePermit,
}

/// All slots.
pub(super) struct ConnectionSlots {
    regular: Arc<Semaphore>,
    spare: Arc<Semaphore>,
}

// === impl ConnectionSlots ===

impl ConnectionSlots {
    pub(super) fn new(service: &Service) -> Self {
        let limits = service.limits();
        Self {
            regular: Arc::new(Semaphore::new(limits.max_connections)),
            spare: Arc::new(Semaphore::new(limits.spare_connections)),
        }
    }

    /// Waits for a permit, a regular one if there is one.
    pub(super) async fn acquire(&self) -> (OwnedSemaphorePermit, bool) {
        let regular = Arc::clone(&self.regular).acquire_owned();
        let spare = Arc::clone(&self.spare).acquire_owned();
        tokio::select! {
            biased;
            Ok(permit) = regular => (permit, false),
            Ok(permit) = spare => (permit, true),
            // Only for closed semaphores, and these are never closed.
            else => std::future::pending().await,
        }
    }

    /// Turns the permit into the slot of a new connection. A spare permit is swapped for a regular one
    /// that has become free since.
    pub(super) fn assign(
        &self,
        permit: OwnedSemaphorePermit,
        spare: bool,
        service: &Arc<Service>,
    ) -> ConnectionSlot {
        let better = spare.then(|| Arc::clone(&self.regular).try_acquire_owned().ok()).flatten();
        let (permit, spare) = better.map_or((permit, spare), |better| (better, false));
        let metrics = service.metrics();
        metrics.connections.inc();
        if spare {
            metrics.connections_over_cap.inc();
        }
        ConnectionSlot { service: Arc::clone(service), spare, _permit: permit }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.service.metrics().connections.dec();
    }
}
