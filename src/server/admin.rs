//! The admin port, plain HTTP, for the kubelet and Prometheus.

use std::{io, net::SocketAddr, sync::Arc, thread};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, sync::oneshot};

use super::{listen, service::Service};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A serving admin port. It ends on drop, after the server, so that the drain can be watched.
#[derive(Debug)]
pub struct Running {
    local_addr: SocketAddr,
    _end: oneshot::Sender<()>,
}

/// Listens and serves, on a thread of its own: the kubelet gets its answers whatever the reviews do.
pub fn spawn(address: SocketAddr, service: Arc<Service>) -> io::Result<Running> {
    let listener = listen(address)?;
    let local_addr = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (end, ended) = oneshot::channel::<()>();
    thread::Builder::new().name("admin".to_owned()).spawn(move || {
        runtime.block_on(async {
            let serve =
                async { axum::serve(TcpListener::from_std(listener)?, router(service)).await };
            tokio::select! {
                result = serve => tracing::error!(?result, "the admin port ended"),
                _ = ended => {}
            }
        });
    })?;
    Ok(Running { local_addr, _end: end })
}

/// The routes.
fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(service)
}

async fn readyz(State(service): State<Arc<Service>>) -> impl IntoResponse {
    match service.gates().closed() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(reasons) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reasons}\n")),
    }
}

async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    match service.metrics().encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

// === impl Running ===

impl Running {
    /// The address it listens on.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}
