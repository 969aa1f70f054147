//! One connection, from accept to close.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{CertificateError, ServerConfig};
use tokio::{net::TcpStream, time};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use super::{
    limits::{Limits, MAX_HEADERS, READ_BUFFER},
    refusal_log::RefusalLog,
    service::Service,
    slots::ConnectionSlot,
};
use crate::tls;

/// Shared by all connections.
pub(super) struct Shared {
    tls: TlsAcceptor,
    http: http1::Builder,
    pub(super) service: Arc<Service>,
    /// Cancelled to close idle connections.
    pub(super) closing: CancellationToken,
    /// Cancelled to close all connections.
    abort: CancellationToken,
    refusals: RefusalLog,
}

/// A connection with its slot.
pub(super) struct Connection {
    shared: Arc<Shared>,
    peer: SocketAddr,
    slot: ConnectionSlot,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(
        tls: ServerConfig,
        service: Arc<Service>,
        closing: CancellationToken,
        abort: CancellationToken,
    ) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            // hyper counts the wait for the next request too, so this is the idle timeout.
            .header_read_timeout(service.limits().idle_timeout)
            .max_buf_size(READ_BUFFER)
            .max_headers(MAX_HEADERS);
        Self {
            tls: TlsAcceptor::from(Arc::new(tls)),
            http,
            service,
            closing,
            abort,
            refusals: RefusalLog::default(),
        }
    }
}

// === impl Connection ===

impl Connection {
    pub(super) const fn new(shared: Arc<Shared>, peer: SocketAddr, slot: ConnectionSlot) -> Self {
        Self { shared, peer, slot }
    }

    /// Serves the connection until it ends.
    pub(super) async fn run(self, stream: TcpStream) {
        // A response is one small write: waiting for more data only delays it.
        let _ = stream.set_nodelay(true);
        let handshake = self.shared.tls.accept(stream);
        let deadline = self.shared.service.limits().handshake_deadline;
        let handshake = tokio::select! {
            handshake = time::timeout(deadline, handshake) => handshake,
            () = self.shared.closing.cancelled() => return,
        };
        match handshake {
            Ok(Ok(stream)) => self.serve(stream).await,
            Ok(Err(error)) => self.failed(&error),
            Err(_elapsed) => tracing::debug!(peer = %self.peer, "the TLS handshake timed out"),
        }
    }

    /// Logs and counts a failed handshake.
    fn failed(&self, error: &io::Error) {
        let peer = self.peer;
        if let Some(error) = refusal(error) {
            // Not an API server, or a misconfigured one, whose runners then wait.
            self.shared.service.metrics().callers_refused.inc();
            if let Some(suppressed) = self.shared.refusals.record(&error, Instant::now()) {
                tracing::warn!(%peer, error, suppressed, "client refused");
            } else {
                tracing::debug!(%peer, error, "client refused");
            }
        } else {
            // Health probes of load balancers and port scanners end up here.
            tracing::debug!(%peer, %error, "the TLS handshake failed");
        }
    }

    async fn serve(self, stream: TlsStream<TcpStream>) {
        let Self { shared, peer, slot } = self;
        let requests = AtomicU64::new(0);
        let service = service_fn(|request| {
            requests.fetch_add(1, Ordering::Relaxed);
            let service = Arc::clone(&shared.service);
            let last = slot.spare;
            async move { Ok::<_, Infallible>(service.respond(request, last).await) }
        });
        let mut http = pin!(shared.http.serve_connection(TokioIo::new(stream), service));
        // A child token: every wake-up of the connection checks it, and a check takes its lock.
        let closing = shared.closing.child_token();

        let mut ended = tokio::select! {
            biased;
            ended = http.as_mut() => Some(ended),
            () = closing.cancelled() => None,
            () = stuck(&requests, shared.service.limits()) => {
                tracing::debug!(%peer, "no request in time, connection closed");
                return;
            }
        };
        if ended.is_none() {
            // Closes an idle connection at once, and a busy one after its response.
            http.as_mut().graceful_shutdown();
            ended = tokio::select! {
                ended = http.as_mut() => Some(ended),
                () = shared.abort.cancelled() => None,
            };
        }
        if let Some(Err(error)) = ended {
            tracing::debug!(%peer, %error, "connection ended");
        }
    }
}

/// Why a client failed authentication; `None` for any other failed handshake.
fn refusal(error: &io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        error if tls::is_unknown_issuer(error) => {
            Some("no CA of --client-ca signed its certificate".to_owned())
        }
        rustls::Error::NoCertificatesPresented => Some("it sent no certificate".to_owned()),
        rustls::Error::InvalidCertificate(error) => Some(match error {
            // The error of `tls::ClientAuth`, which rustls shows as its Rust type.
            CertificateError::Other(error) => error.to_string(),
            error => error.to_string(),
        }),
        _ => None,
    }
}

/// Returns once a connection is stuck: no first request, or a client that does not read responses.
/// hyper has no deadline for either.
async fn stuck(requests: &AtomicU64, limits: &Limits) {
    time::sleep(limits.first_request_deadline).await;
    let mut seen = requests.load(Ordering::Relaxed);
    let mut active = seen > 0;
    while active {
        // An active connection is idle for less than this, or hyper closed it.
        time::sleep(limits.idle_timeout * 2).await;
        let now = requests.load(Ordering::Relaxed);
        active = now > seen;
        seen = now;
    }
}
