//! Flags for Events.

use kube::Client;

use crate::{
    controller::events::{self, EventTask},
    server::Service,
};

/// Events on the EphemeralRunner.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Events")]
pub struct EventArgs {
    /// Write an Event on the EphemeralRunner: what the webhook did with its pod
    #[arg(long, env = "ARC_ROCM_EVENTS")]
    pub events: bool,

    /// The reporting instance in Events; a pod's own name is its HOSTNAME
    #[arg(long, env = "HOSTNAME", default_value = "arc-rocm", value_name = "NAME")]
    pub events_instance: String,
}

impl EventArgs {
    /// Starts to send Events, if the flag is set: `service` queues them, the task sends them.
    pub(super) fn start(
        self,
        client: Option<&Client>,
        service: Service,
    ) -> (Service, Option<EventTask>) {
        let Self { events: is_on, events_instance } = self;
        let Some(client) = client.filter(|_| is_on) else { return (service, None) };
        let (sender, running) = events::spawn(client.clone(), events_instance, service.metrics());
        (service.with_observer(move |record| sender.send(record)), Some(running))
    }
}
