//! Asking a server to stop, more than once if need be.

use tokio::sync::watch;

/// A request to stop, shared by everything that has to know about it.
///
/// Asked once, a server drains: it goes on serving for the grace period, then finishes what is in
/// flight. Each further time it waits for one thing less.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Sender<u8>);

/// Asked to drain.
const DRAIN: u8 = 1;
/// Asked again: the rest of the grace period is skipped.
const HURRY: u8 = 2;
/// And again: what is in flight is abandoned.
const NOW: u8 = 3;

impl Shutdown {
    /// A shutdown that nothing asks for but [`Self::ask`].
    pub fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// A shutdown that SIGTERM and SIGINT (Ctrl-C) ask for.
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
                tracing::info!(signal = name, "asked to stop");
                asked.ask();
            }
        });
        Ok(shutdown)
    }

    /// Asks the server to stop, or to be quicker about it.
    pub fn ask(&self) {
        self.0.send_modify(|level| *level = level.saturating_add(1));
    }

    /// Waits until the server was asked to drain.
    pub async fn drain(&self) {
        self.reached(DRAIN).await;
    }

    /// Waits until the rest of the grace period is to be skipped.
    pub(super) async fn hurry(&self) {
        self.reached(HURRY).await;
    }

    /// Waits until what is in flight is to be abandoned.
    pub(super) async fn now(&self) {
        self.reached(NOW).await;
    }

    async fn reached(&self, wanted: u8) {
        // It fails only without a sender, and `self` is one.
        let _ = self.0.subscribe().wait_for(|level| *level >= wanted).await;
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}
