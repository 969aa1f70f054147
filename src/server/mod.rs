//! The HTTPS server: bytes in, bytes out, and a bound on everything that a client can hold.
//!
//! HTTP/1.1 only, as the API server pins it for webhooks, which leaves HTTP/2's own ways of being
//! overrun out. The life of a server is a chain of types: [`bind`] gives a [`Bound`],
//! [`Bound::spawn`] a [`Running`], [`Running::join`] the end.

mod accept;
pub mod admin;
mod body;
mod connection;
mod gates;
pub mod limits;
mod places;
mod refusals;
mod reload;
mod service;
mod shutdown;

use std::{io, net::SocketAddr, sync::Arc};

use rustls::ServerConfig;
use tokio::{net::TcpListener, task::JoinHandle, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use connection::Shared;
pub use gates::{Gate, Gates};
pub use limits::Limits;
pub use reload::{watch_certificate, watch_client_ca};
pub use service::{Answerer, PATH, Phase, Service};
pub use shutdown::Shutdown;

/// A server whose port is open and unattended: connections wait in the backlog.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    local_addr: SocketAddr,
}

/// A server at work.
#[derive(Debug)]
pub struct Running {
    local_addr: SocketAddr,
    task: JoinHandle<Drained>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Drained {
    /// Connections that were cut off at the hard stop.
    pub abandoned: usize,
}

/// Opens a port.
pub async fn bind(address: SocketAddr) -> io::Result<Bound> {
    let listener = TcpListener::bind(address).await?;
    Ok(Bound { local_addr: listener.local_addr()?, listener })
}

// === impl Bound ===

impl Bound {
    /// The address, with the port that the system chose if it was asked to.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` is asked for, and then for the grace period.
    pub fn spawn(self, tls: ServerConfig, service: Arc<Service>, shutdown: Shutdown) -> Running {
        let Self { listener, local_addr } = self;
        service.enter(Phase::Serving);
        let task = tokio::spawn(run(listener, tls, service, shutdown));
        Running { local_addr, task }
    }
}

/// Serves, drains, stops.
async fn run(
    listener: TcpListener,
    tls: ServerConfig,
    service: Arc<Service>,
    shutdown: Shutdown,
) -> Drained {
    let (closing, abort) = (CancellationToken::new(), CancellationToken::new());
    let connections = TaskTracker::new();
    let shared = Shared::new(tls, Arc::clone(&service), closing.clone(), abort.clone());
    let accepting = tokio::spawn(accept::run(Arc::new(shared), listener, connections.clone()));

    shutdown.drain().await;
    service.enter(Phase::Draining);
    let limits = service.limits();
    tracing::info!(grace_s = limits.shutdown_grace.as_secs_f64(), "draining");
    // The endpoint's removal takes its time to reach every API server, and until it has, they
    // come here: so the port stays open, and idle connections with it.
    tokio::select! {
        () = time::sleep(limits.shutdown_grace) => {}
        () = shutdown.hurry() => {}
    }

    closing.cancel();
    // With it the port closes.
    let _ = accepting.await;
    connections.close();
    tokio::select! {
        () = connections.wait() => {}
        () = time::sleep(limits.hard_stop) => {}
        () = shutdown.now() => {}
    }
    let abandoned = connections.len();
    abort.cancel();
    connections.wait().await;
    tracing::info!(abandoned, "stopped");
    Drained { abandoned }
}

// === impl Running ===

impl Running {
    /// The address that it listens on.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Waits for the end. Fails only if the server's own task panicked.
    pub async fn join(self) -> io::Result<Drained> {
        self.task.await.map_err(io::Error::other)
    }
}
