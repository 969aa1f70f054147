//! The flag for RunnerProfile objects.

use std::sync::Arc;

use axum::Router;
use kube::Client;

use crate::{
    controller::profiles::{self, Channels},
    server::{Gate, Service},
};

/// Whether to watch RunnerProfile objects.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Config")]
pub struct ObjectArgs {
    /// Watch RunnerProfile objects, write their status, serve /validate
    #[arg(long, env = "ARC_ROCM_WATCH_PROFILES")]
    pub watch_profiles: bool,
}

impl ObjectArgs {
    /// Starts to watch, if the flag is set. The server is not ready before the objects have been read.
    pub(super) fn start(
        self,
        client: Option<&Client>,
        service: &Arc<Service>,
    ) -> Option<(Channels, Router<Arc<Service>>)> {
        let client = client.filter(|_| self.watch_profiles)?;
        service.gates().close(Gate::Profiles, "the RunnerProfiles were not read yet");
        Some(profiles::spawn(client, service))
    }
}
