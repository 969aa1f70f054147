//! One connection, from accept to close.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time};
use tokio_rustls::server::TlsStream;

use super::accept::{Acceptor, Place};

/// A connection that holds its place.
pub(super) struct Connection {
    acceptor: Arc<Acceptor>,
    peer: SocketAddr,
    place: Place,
}

// === impl Connection ===

impl Connection {
    pub(super) const fn new(acceptor: Arc<Acceptor>, peer: SocketAddr, place: Place) -> Self {
        Self { acceptor, peer, place }
    }

    /// Serves it to its end.
    pub(super) async fn run(self, stream: TcpStream) {
        // An answer is one small write; waiting for more to send with it is pure delay.
        let _ = stream.set_nodelay(true);
        let handshake = self.acceptor.tls.accept(stream);
        let deadline = self.acceptor.service.limits().handshake_deadline;
        let handshake = tokio::select! {
            handshake = time::timeout(deadline, handshake) => handshake,
            () = self.acceptor.closing.cancelled() => return,
        };
        match handshake {
            Ok(Ok(stream)) => self.serve(stream).await,
            // Neither is news: health probes of load balancers and port scanners end up here.
            Ok(Err(error)) => tracing::debug!(peer = %self.peer, %error, "no TLS handshake"),
            Err(_elapsed) => tracing::debug!(peer = %self.peer, "the TLS handshake took too long"),
        }
    }

    async fn serve(self, stream: TlsStream<TcpStream>) {
        let Self { acceptor, peer, place } = self;
        let seen = Arc::new(AtomicBool::new(false));
        let service = service_fn(|request| {
            seen.store(true, Ordering::Relaxed);
            let service = Arc::clone(&acceptor.service);
            let last = place.spare;
            async move { Ok::<_, Infallible>(service.respond(request, last).await) }
        });
        let mut http = pin!(acceptor.http.serve_connection(TokioIo::new(stream), service));
        // A token of its own, because every wake-up of the connection looks at it, and looking
        // takes the token's lock.
        let closing = acceptor.closing.child_token();
        let mut closing = pin!(closing.cancelled());

        let deadline = acceptor.service.limits().first_request_deadline;
        let mut ended = tokio::select! {
            biased;
            ended = http.as_mut() => Some(ended),
            () = closing.as_mut() => None,
            () = time::sleep(deadline), if !seen.load(Ordering::Relaxed) => {
                if !seen.load(Ordering::Relaxed) {
                    tracing::debug!(%peer, "no request came");
                    return;
                }
                tokio::select! {
                    biased;
                    ended = http.as_mut() => Some(ended),
                    () = closing.as_mut() => None,
                }
            }
        };
        if ended.is_none() {
            // Closes the connection if it is idle, and otherwise after the answer.
            http.as_mut().graceful_shutdown();
            ended = tokio::select! {
                ended = http.as_mut() => Some(ended),
                () = acceptor.abort.cancelled() => None,
            };
        }
        if let Some(Err(error)) = ended {
            tracing::debug!(%peer, %error, "connection ended");
        }
    }
}
