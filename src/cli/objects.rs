//! The flag of `arc-rocm serve` by which profiles come from the cluster, and what it starts.

use std::sync::Arc;

use kube::Client;

use crate::{
    cluster::profiles::{self, Feed},
    server::{Gate, Service},
};

/// Whether there are profiles in the cluster.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Config")]
pub struct ObjectArgs {
    /// Watch the cluster's RunnerProfile objects as well, and write their status
    #[arg(long, env = "ARC_ROCM_WATCH_PROFILES")]
    pub watch_profiles: bool,
}

impl ObjectArgs {
    /// Starts to watch, if we are to; we are not ready before the first look.
    pub(super) fn start(self, client: Option<&Client>, service: &Arc<Service>) -> Option<Feed> {
        let client = client.filter(|_| self.watch_profiles)?;
        service.gates().close(Gate::Profiles, "the RunnerProfiles were not read yet");
        Some(profiles::spawn(client, Arc::clone(service)))
    }
}
