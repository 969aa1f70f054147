//! The accept loop: a place first, then a connection.

use std::sync::Arc;

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use rustls::ServerConfig;
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connection::Connection,
    limits::{ACCEPT_PAUSE, MAX_HEADERS, READ_BUFFER},
    service::Service,
};

/// What every connection is served with.
pub(super) struct Acceptor {
    pub(super) tls: TlsAcceptor,
    pub(super) http: http1::Builder,
    pub(super) service: Arc<Service>,
    /// Cancelled when idle connections are to go.
    pub(super) closing: CancellationToken,
    /// Cancelled when all of them are to go.
    pub(super) abort: CancellationToken,
}

/// The right to have a connection open.
pub(super) struct Place {
    service: Arc<Service>,
    /// Whether it is one of the spare places, good for one answer.
    pub(super) spare: bool,
    _permit: OwnedSemaphorePermit,
}

/// All the places.
struct Places {
    regular: Arc<Semaphore>,
    spare: Arc<Semaphore>,
}

// === impl Acceptor ===

impl Acceptor {
    pub(super) fn new(
        tls: ServerConfig,
        service: Arc<Service>,
        closing: CancellationToken,
        abort: CancellationToken,
    ) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            // hyper counts the wait for the next request as reading its head, so that this is
            // the idle timeout too.
            .header_read_timeout(service.limits().idle_timeout)
            .max_buf_size(READ_BUFFER)
            .max_headers(MAX_HEADERS);
        Self { tls: TlsAcceptor::from(Arc::new(tls)), http, service, closing, abort }
    }

    /// Accepts until the server closes.
    pub(super) async fn run(self, listener: TcpListener, connections: TaskTracker) {
        let this = Arc::new(self);
        let places = Places::new(&this.service);
        let accept = async {
            loop {
                let (permit, spare) = places.take().await;
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        let place = places.settle(permit, spare, &this.service);
                        let connection = Connection::new(Arc::clone(&this), peer, place);
                        connections.spawn(connection.run(stream));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = accept => {}
            () = this.closing.cancelled() => {}
        }
    }
}

// === impl Places ===

impl Places {
    fn new(service: &Service) -> Self {
        let limits = service.limits();
        Self {
            regular: Arc::new(Semaphore::new(limits.max_connections)),
            spare: Arc::new(Semaphore::new(limits.spare_connections)),
        }
    }

    /// Waits for a place, a regular one if there is one.
    async fn take(&self) -> (OwnedSemaphorePermit, bool) {
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
    fn settle(&self, permit: OwnedSemaphorePermit, spare: bool, service: &Arc<Service>) -> Place {
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
