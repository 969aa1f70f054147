//! One connection, from accept to close.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time};
use tokio_rustls::server::TlsStream;

use super::{
    accept::{Acceptor, Place},
    limits::Limits,
};

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
        let requests = AtomicU64::new(0);
        let service = service_fn(|request| {
            requests.fetch_add(1, Ordering::Relaxed);
            let service = Arc::clone(&acceptor.service);
            let last = place.spare;
            async move { Ok::<_, Infallible>(service.respond(request, last).await) }
        });
        let mut http = pin!(acceptor.http.serve_connection(TokioIo::new(stream), service));
        // A token of its own, because every wake-up of the connection looks at it, and looking
        // takes the token's lock.
        let closing = acceptor.closing.child_token();

        let mut ended = tokio::select! {
            biased;
            ended = http.as_mut() => Some(ended),
            () = closing.cancelled() => None,
            () = stuck(&requests, acceptor.service.limits()) => {
                tracing::debug!(%peer, "no request comes");
                return;
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
