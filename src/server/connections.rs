//! Connections, from accept to close, and the end of the server.

use std::{future::poll_fn, io, pin::Pin, sync::Arc};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::{
    io::AsyncBufRead as _,
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    limits::{ACCEPT_PAUSE, MAX_HEADERS, READ_BUFFER},
    service::Service,
    shutdown::Shutdown,
};

/// How a server ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Drained {
    /// Connections closed at the hard stop.
    pub abandoned: usize,
}

/// Shared by all connections.
struct Shared {
    tls: TlsAcceptor,
    http: http1::Builder,
    router: TowerToHyperService<Router>,
    service: Arc<Service>,
    /// Permits of connections that have sent a byte of a request.
    established: Semaphore,
}

/// Serves, drains, stops.
pub(super) async fn run(
    listener: TcpListener,
    tls: ServerConfig,
    router: Router,
    service: Arc<Service>,
    shutdown: Shutdown,
) -> Drained {
    let limits = service.limits().clone();
    let shared = Arc::new(Shared::new(tls, router, Arc::clone(&service)));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    {
        let drained = async {
            shutdown.drain().await;
            service.drain();
            tracing::info!(grace_s = limits.shutdown_grace.as_secs_f64(), "draining");
            // Until every API server has seen the removal of the endpoint, they still connect here. The
            // port and idle connections stay open.
            tokio::select! {
                () = sleep(limits.shutdown_grace) => {}
                () = shutdown.hurry() => {}
            }
        };
        tokio::select! {
            () = accept(listener, &shared, &graceful, &mut connections) => {}
            () = drained => {}
        }
    }
    // Closes idle connections at once, and busy ones after their response.
    tokio::select! {
        () = graceful.shutdown() => {}
        () = sleep(limits.hard_stop) => {}
        () = shutdown.now() => {}
    }
    while connections.try_join_next().is_some() {}
    let abandoned = connections.len();
    connections.shutdown().await;
    tracing::info!(abandoned, "stopped");
    Drained { abandoned }
}

/// Accepts connections, forever.
async fn accept(
    listener: TcpListener,
    shared: &Arc<Shared>,
    graceful: &GracefulShutdown,
    connections: &mut JoinSet<()>,
) {
    let new = Arc::new(Semaphore::new(shared.service.limits().max_new_connections));
    // Fails only on a closed semaphore, and this one is never closed.
    while let Ok(permit) = Arc::clone(&new).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (shared, watcher) = (Arc::clone(shared), graceful.watcher());
                connections.spawn(async move {
                    if let Err(error) = serve(stream, &shared, watcher, permit).await {
                        // Health probes of load balancers and port scanners end up here.
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; retrying");
                sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Serves one connection until it ends.
async fn serve(
    stream: TcpStream,
    shared: &Shared,
    watcher: Watcher,
    new: OwnedSemaphorePermit,
) -> io::Result<()> {
    let limits = shared.service.limits();
    // A response is one small write: waiting for more data only delays it.
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_user_timeout(Some(limits.write_timeout))?;
    let stream = timeout(limits.first_byte_deadline, shared.handshake(stream)).await??;
    let permit = shared.established.acquire().await;
    drop(new);
    let metrics = shared.service.metrics();
    metrics.connections.inc();
    let connection = shared.http.serve_connection(TokioIo::new(stream), shared.router.clone());
    let ended = watcher.watch(connection).await;
    metrics.connections.dec();
    drop(permit);
    ended.map_err(io::Error::other)
}

impl Shared {
    fn new(tls: ServerConfig, router: Router, service: Arc<Service>) -> Self {
        let limits = service.limits();
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            // hyper counts the wait for the next request too, so this is the idle timeout.
            .header_read_timeout(limits.idle_timeout)
            .max_buf_size(READ_BUFFER)
            .max_headers(MAX_HEADERS);
        Self {
            tls: TlsAcceptor::from(Arc::new(tls)),
            http,
            router: TowerToHyperService::new(router),
            established: Semaphore::new(limits.max_connections),
            service,
        }
    }

    /// The TLS handshake, and the wait for the first byte after it.
    async fn handshake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let mut stream = self.tls.accept(stream).await?;
        poll_fn(|cx| Pin::new(&mut stream).poll_fill_buf(cx).map_ok(drop)).await?;
        Ok(stream)
    }
}
