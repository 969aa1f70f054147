//! The flags that name a cluster.

use std::path::PathBuf;

use anyhow::Context as _;
use kube::Client;

use super::UsageError;
use crate::controller;

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

impl ConnectArgs {
    /// A client of the cluster.
    pub(super) async fn client(&self) -> anyhow::Result<Client> {
        controller::connect(self.kubeconfig.as_deref(), self.context.as_deref())
            .await
            .context(UsageError("cannot reach a cluster".to_owned()))
    }
}
