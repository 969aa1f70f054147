//! Whether `arc-rocm serve` writes Events.

use anyhow::Context as _;

use super::Misconfigured;
use crate::{
    cluster::{
        self,
        events::{Outbox, Running},
    },
    server::Service,
};

/// Events on the EphemeralRunner.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Events")]
pub struct EventArgs {
    /// Say what was done with a pod by an Event on its EphemeralRunner
    #[arg(long, env = "ARC_ROCM_EVENTS")]
    pub events: bool,

    /// The reporting instance in Events; a pod's own name is its HOSTNAME
    #[arg(long, env = "HOSTNAME", default_value = "arc-rocm", value_name = "NAME")]
    pub events_instance: String,
}

impl EventArgs {
    /// Starts to send Events, if that is wanted: `service` leaves them, the task sends them.
    pub(super) async fn start(
        self,
        service: Service,
    ) -> anyhow::Result<(Service, Option<Running>)> {
        let Self { events, events_instance } = self;
        if !events {
            return Ok((service, None));
        }
        let client = cluster::connect(None, None)
            .await
            .context(Misconfigured("--events needs the API server".to_owned()))?;
        let (outbox, inbox) = Outbox::new(service.metrics().events_dropped.clone());
        let running = inbox.spawn(client, events_instance, service.metrics());
        Ok((service.with_events(outbox), Some(running)))
    }
}
