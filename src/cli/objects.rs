//! The flag of `arc-rocm serve` by which profiles come from the cluster, and what it starts.

use std::sync::Arc;

use anyhow::Context as _;

use super::Misconfigured;
use crate::{
    cluster::{
        self,
        profiles::{self, Feed},
    },
    server::{Gate, Service},
};

/// Whether there are profiles in the cluster.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Rules")]
pub struct ObjectArgs {
    /// Watch the cluster's RunnerProfile objects as well, and write their status
    #[arg(long, env = "ARC_ROCM_WATCH_PROFILES")]
    pub watch_profiles: bool,
}

impl ObjectArgs {
    /// Starts to watch, if we are to; we are not ready before the first look.
    pub(super) async fn start(self, service: &Arc<Service>) -> anyhow::Result<Option<Feed>> {
        if !self.watch_profiles {
            return Ok(None);
        }
        service.gates().close(Gate::Profiles, "the RunnerProfiles were not read yet");
        let client = cluster::connect(None, None).await;
        let client =
            client.context(Misconfigured("--watch-profiles needs a cluster".to_owned()))?;
        Ok(Some(profiles::spawn(&client, Arc::clone(service))))
    }
}
