//! The HTTPS server. Everything that a client can hold has a bound.
//!
//! HTTP/1.1 only, which the API server uses for webhooks, so that HTTP/2's denial-of-service attacks
//! do not apply. [`bind`] returns a [`Bound`], [`Bound::spawn`] a [`Running`], [`Running::join`] waits
//! for the end.

mod accept;
pub mod admin;
mod body;
mod connection;
mod gates;
pub mod limits;
mod refusal_log;
mod reload;
mod service;
mod shutdown;
mod slots;

use std::{io, net::SocketAddr, sync::Arc};

use rustls::ServerConfig;
use tokio::{net::TcpListener, task::JoinHandle, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use connection::Shared;
pub use gates::{Gate, Gates};
pub use limits::Limits;
pub use reload::{watch_certificate, watch_client_ca};
pub use service::{Answerer, PATH, Phase, Service, Unvalidated, VALIDATE_PATH, ValidateHook};
pub use shutdown::Shutdown;

/// A server that listens and does not accept yet: connections wait in the backlog.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    local_addr: SocketAddr,
}

/// A serving server.
#[derive(Debug)]
pub struct Running {
    local_addr: SocketAddr,
    task: JoinHandle<Drained>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Drained {
    /// Connections closed at the hard stop.
    pub abandoned: usize,
}

/// Opens a port.
pub async fn bind(address: SocketAddr) -> io::Result<Bound> {
    let listener = TcpListener::bind(address).await?;
    Ok(Bound { local_addr: listener.local_addr()?, listener })
}

// === impl Bound ===

impl Bound {
    /// The address, with the port that the system chose for port 0.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until shutdown begins, and then for the grace period.
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
    // Until every API server has seen the removal of the endpoint, they still connect here. The port
    // and idle connections stay open.
    tokio::select! {
        () = time::sleep(limits.shutdown_grace) => {}
        () = shutdown.hurry() => {}
    }

    closing.cancel();
    // This closes the port.
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
    /// The address it listens on.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Waits for the end. Fails only if the server's own task panicked.
    pub async fn join(self) -> io::Result<Drained> {
        self.task.await.map_err(io::Error::other)
    }
}
