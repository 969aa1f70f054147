//! The flags that name a cluster.

use std::path::PathBuf;

use anyhow::Context as _;
use kube::Client;

use super::UsageError;
use crate::{controller, doctor::Settings};

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
    /// Which installation this is.
    pub(super) fn settings(&self) -> Settings {
        Settings { name: self.webhook_name.clone(), namespace: self.webhook_namespace.clone() }
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
