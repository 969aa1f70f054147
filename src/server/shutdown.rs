//! Graceful shutdown, by one or more requests to stop.

use tokio::sync::watch;

/// A request to stop, shared by all tasks.
///
/// The first request drains the server: it serves for the grace period, then finishes requests in
/// flight. The second skips the rest of the grace period, the third abandons requests in flight.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Sender<u8>);

/// First request: drain.
const DRAIN: u8 = 1;
/// Second request: skip the rest of the grace period.
const HURRY: u8 = 2;
/// Third request: abandon requests in flight.
const NOW: u8 = 3;

impl Shutdown {
    /// A shutdown that only [`Self::ask`] requests.
    pub fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// A shutdown that SIGTERM and SIGINT (Ctrl-C) request.
    pub fn on_signals() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let shutdown = Self::new();
        let (mut term, mut int) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let asked = shutdown.clone();
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = term.recv() => "SIGTERM",
                    _ = int.recv() => "SIGINT",
                };
                tracing::info!(signal = name, "shutdown requested");
                asked.ask();
            }
        });
        Ok(shutdown)
    }

    /// Requests shutdown, or a faster one.
    pub fn ask(&self) {
        self.0.send_modify(|level| *level = level.saturating_add(1));
    }

    /// Waits for the first request.
    pub async fn drain(&self) {
        self.reached(DRAIN).await;
    }

    /// Waits for the second request.
    pub(super) async fn hurry(&self) {
        self.reached(HURRY).await;
    }

    /// Waits for the third request.
    pub(super) async fn now(&self) {
        self.reached(NOW).await;
    }

    async fn reached(&self, wanted: u8) {
        // Fails only without a sender, and `self` is one.
        let _ = self.0.subscribe().wait_for(|level| *level >= wanted).await;
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}
