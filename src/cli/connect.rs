//! The flags that name a cluster.

use std::path::PathBuf;

use anyhow::Context as _;
use kube::Client;

use super::UsageError;
use crate::{
    controller,
    doctor::{self, Live, Settings},
};

/// Runs what asks a cluster, on this thread.
pub(super) fn block_on<T>(asks: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(asks)
}

/// The flags that name a cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct ConnectArgs {
    /// Kubeconfig; default: KUBECONFIG, ~/.kube/config, or the pod's account
    #[arg(long, value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig; default: the current one
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// The flags that name the webhook of a cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct WebhookArgs {
    /// Namespace of the cluster's webhook
    #[arg(long, default_value = "arc-rocm", value_name = "NAMESPACE")]
    pub webhook_namespace: String,

    /// Name of the webhook's objects
    #[arg(long, default_value = "arc-rocm", value_name = "NAME")]
    pub webhook_name: String,
}

impl WebhookArgs {
    /// The profiles of the webhook, and the scale sets.
    pub(super) async fn live(&self, client: &Client) -> anyhow::Result<Live> {
        let (name, namespace) = (self.webhook_name.clone(), self.webhook_namespace.clone());
        let live = doctor::live(client, Settings { name, namespace }).await;
        live.context(UsageError("cannot read the cluster".to_owned()))
    }
}

impl ConnectArgs {
    /// A client of the cluster.
    pub(super) async fn client(&self) -> anyhow::Result<Client> {
        controller::connect(self.kubeconfig.as_deref(), self.context.as_deref())
            .await
            .context(UsageError("cannot reach a cluster".to_owned()))
    }
}
