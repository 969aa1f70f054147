//! The admin port, plain HTTP, for the kubelet and Prometheus.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle, time};

use super::{
    limits::{ACCEPT_PAUSE, MAX_HEADERS},
    service::{Phase, Service},
};

/// Connections at a time. A kubelet's probes and a few Prometheus replicas need a handful; the
/// port has no TLS and no authentication, so it must not be a way to run out of descriptors.
const MAX_CONNECTIONS: usize = 32;

/// The time between two requests. Longer than a scrape interval of one minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// The longest connection, so that silent clients cannot hold all connections.
const CONNECTION_LIFE: Duration = Duration::from_mins(10);

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// An admin port that listens and does not accept yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    local_addr: SocketAddr,
}

/// A serving admin port. It ends on drop, after the server, so that the drain can be watched.
#[derive(Debug)]
pub struct Running {
    local_addr: SocketAddr,
    task: JoinHandle<()>,
}

/// Opens the port.
pub async fn bind(address: SocketAddr) -> io::Result<Bound> {
    let listener = TcpListener::bind(address).await?;
    Ok(Bound { local_addr: listener.local_addr()?, listener })
}

/// The routes.
pub fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(service)
}

async fn readyz(State(service): State<Arc<Service>>) -> impl IntoResponse {
    match service.phase() {
        Phase::Starting => {
            let reasons = service.gates().closed().map(|reasons| reasons + "\n");
            let text = format!("starting\n{}", reasons.unwrap_or_default());
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
        Phase::Serving => service.gates().closed().map_or_else(
            || (StatusCode::OK, "ok\n".to_owned()),
            |reasons| (StatusCode::SERVICE_UNAVAILABLE, format!("{reasons}\n")),
        ),
        Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned()),
    }
}

async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    match service.metrics().encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

// === impl Bound ===

impl Bound {
    /// The address, with the port that the system chose for port 0.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until dropped.
    pub fn spawn(self, service: Arc<Service>) -> Running {
        let Self { listener, local_addr } = self;
        Running { local_addr, task: tokio::spawn(run(listener, router(service))) }
    }
}

async fn run(listener: TcpListener, router: Router) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT).max_headers(MAX_HEADERS);
    // Fails only on a closed semaphore, and this one is never closed.
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _peer)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection on the admin port; retrying");
                time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            let _slot = slot;
            let _ = time::timeout(CONNECTION_LIFE, connection).await;
        });
    }
}

// === impl Running ===

impl Running {
    /// The address it listens on.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
