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
    places::Place,
    refusals::Refusals,
    service::Service,
};
use crate::tls;

/// What every connection is served with.
pub(super) struct Shared {
    tls: TlsAcceptor,
    http: http1::Builder,
    pub(super) service: Arc<Service>,
    /// Cancelled when idle connections are to go.
    pub(super) closing: CancellationToken,
    /// Cancelled when all of them are to go.
    abort: CancellationToken,
    refusals: Refusals,
}

/// A connection that holds its place.
pub(super) struct Connection {
    shared: Arc<Shared>,
    peer: SocketAddr,
    place: Place,
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
            // hyper counts the wait for the next request as reading its head, so that this is
            // the idle timeout too.
            .header_read_timeout(service.limits().idle_timeout)
            .max_buf_size(READ_BUFFER)
            .max_headers(MAX_HEADERS);
        Self {
            tls: TlsAcceptor::from(Arc::new(tls)),
            http,
            service,
            closing,
            abort,
            refusals: Refusals::default(),
        }
    }
}

// === impl Connection ===

impl Connection {
    pub(super) const fn new(shared: Arc<Shared>, peer: SocketAddr, place: Place) -> Self {
        Self { shared, peer, place }
    }

    /// Serves it to its end.
    pub(super) async fn run(self, stream: TcpStream) {
        // An answer is one small write; waiting for more to send with it is pure delay.
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
            Err(_elapsed) => tracing::debug!(peer = %self.peer, "the TLS handshake took too long"),
        }
    }

    /// Tells of a failed handshake.
    fn failed(&self, error: &io::Error) {
        let peer = self.peer;
        if let Some(error) = refusal(error) {
            // It is no API server, or one that was set up wrongly, and then runners wait.
            self.shared.service.metrics().callers_refused.inc();
            if let Some(left_out) = self.shared.refusals.note(&error, Instant::now()) {
                tracing::warn!(%peer, error, left_out, "caller refused");
            } else {
                tracing::debug!(%peer, error, "caller refused");
            }
        } else {
            // No news: health probes of load balancers and port scanners end up here.
            tracing::debug!(%peer, %error, "no TLS handshake");
        }
    }

    async fn serve(self, stream: TlsStream<TcpStream>) {
        let Self { shared, peer, place } = self;
        let requests = AtomicU64::new(0);
        let service = service_fn(|request| {
            requests.fetch_add(1, Ordering::Relaxed);
            let service = Arc::clone(&shared.service);
            let last = place.spare;
            async move { Ok::<_, Infallible>(service.respond(request, last).await) }
        });
        let mut http = pin!(shared.http.serve_connection(TokioIo::new(stream), service));
        // A token of its own, because every wake-up of the connection looks at it, and looking
        // takes the token's lock.
        let closing = shared.closing.child_token();

        let mut ended = tokio::select! {
            biased;
            ended = http.as_mut() => Some(ended),
            () = closing.cancelled() => None,
            () = stuck(&requests, shared.service.limits()) => {
                tracing::debug!(%peer, "no request comes");
                return;
            }
        };
        if ended.is_none() {
            // Closes the connection if it is idle, and otherwise after the answer.
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

/// Why a handshake ended, if because of what the client has shown of itself.
fn refusal(error: &io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        error if tls::is_foreign(error) => {
            Some("no authority of --client-ca has signed its certificate".to_owned())
        }
        rustls::Error::NoCertificatesPresented => Some("it shows no certificate".to_owned()),
        rustls::Error::InvalidCertificate(error) => Some(match error {
            // What we said ourselves, which the whole shows as its Rust type.
            CertificateError::Other(error) => error.to_string(),
            error => error.to_string(),
        }),
        _ => None,
    }
}

/// Waits for a connection on which nothing happens: no first request, or a client that does not
/// read its answers, for which hyper has no deadline.
async fn stuck(requests: &AtomicU64, limits: &Limits) {
    time::sleep(limits.first_request_deadline).await;
    let mut seen = requests.load(Ordering::Relaxed);
    let mut moving = seen > 0;
    while moving {
        // Whatever goes on is idle for less than that, or hyper had closed it.
        time::sleep(limits.idle_timeout * 2).await;
        let now = requests.load(Ordering::Relaxed);
        moving = now > seen;
        seen = now;
    }
}
