//! The HTTPS server. Everything that a client can hold has a bound.
//!
//! HTTP/1.1 only, which the API server uses for webhooks, so that HTTP/2's denial-of-service attacks
//! do not apply. [`listen()`] opens a port, [`spawn`] serves on it, [`Running::join`] waits for the end.

pub mod admin;
mod connections;
mod gates;
pub mod limits;
mod listen;
mod reload;
mod router;
mod service;
mod shutdown;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use axum::Router;
use rustls::ServerConfig;
use tokio::task::JoinHandle;

pub use self::{
    connections::Drained,
    gates::{Gate, Gates},
    limits::Limits,
    listen::listen,
    reload::watch_certificate,
    router::{PATH, ReviewBody, busy, review_response, router},
    service::{Answerer, Service},
    shutdown::Shutdown,
};

/// A serving server.
#[derive(Debug)]
pub struct Running {
    local_addr: SocketAddr,
    task: JoinHandle<Drained>,
}

/// Serves `router` until shutdown begins, and then for the grace period.
pub fn spawn(
    listener: TcpListener,
    tls: ServerConfig,
    router: Router,
    service: Arc<Service>,
    shutdown: Shutdown,
) -> io::Result<Running> {
    let local_addr = listener.local_addr()?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    service.gates().open(Gate::Serving);
    let task = tokio::spawn(connections::run(listener, tls, router, service, shutdown));
    Ok(Running { local_addr, task })
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
