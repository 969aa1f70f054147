//! The accept loop: it waits for a slot, then for a connection.

use std::sync::Arc;

use tokio::{net::TcpListener, time};
use tokio_util::task::TaskTracker;

use super::{
    connection::{Connection, Shared},
    limits::ACCEPT_PAUSE,
    slots::ConnectionSlots,
};

/// Accepts until the server closes.
pub(super) async fn run(shared: Arc<Shared>, listener: TcpListener, connections: TaskTracker) {
    let slots = ConnectionSlots::new(&shared.service);
    let accept = async {
        loop {
            let (permit, spare) = slots.acquire().await;
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let slot = slots.assign(permit, spare, &shared.service);
                    let connection = Connection::new(Arc::clone(&shared), peer, slot);
                    connections.spawn(connection.run(stream));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; retrying");
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
