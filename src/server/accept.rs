//! The accept loop: a place first, then a connection.

use std::sync::Arc;

use tokio::{net::TcpListener, time};
use tokio_util::task::TaskTracker;

use super::{
    connection::{Connection, Shared},
    limits::ACCEPT_PAUSE,
    places::Places,
};

/// Accepts until the server closes.
pub(super) async fn run(shared: Arc<Shared>, listener: TcpListener, connections: TaskTracker) {
    let places = Places::new(&shared.service);
    let accept = async {
        loop {
            let (permit, spare) = places.take().await;
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let place = places.settle(permit, spare, &shared.service);
                    let connection = Connection::new(Arc::clone(&shared), peer, place);
                    connections.spawn(connection.run(stream));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = shared.closing.cancelled() => {}
    }
}
