//! Everything that talks to the API server. Nothing here is on the admission path.
//!
//! Each part is a task. A failing API server slows a task down and never ends it. This folder does
//! the I/O; the decisions are pure code elsewhere.

pub mod certificates;
pub mod dry_run;
pub mod events;
pub mod profiles;
mod watch;

use std::time::Duration;

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

/// The longest silence of the API server. It applies to watches too, and kube lets a quiet watch last
/// 290 s, so it must be longer.
const READ_TIMEOUT: Duration = Duration::from_secs(295);
/// The time for one request that is no watch.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The field manager of server-side apply, and the reporter of events.
pub const MANAGER: &str = "arc-rocm";

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No kubeconfig and no service account.
    #[error("no kubeconfig, and no service account of a pod")]
    Infer(#[from] kube::config::InferConfigError),
    /// The kubeconfig is broken or lacks the context.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// The client cannot be built from the configuration.
    #[error("cannot make a client")]
    Client(#[from] kube::Error),
}

/// A client for the cluster of `kubeconfig` and `context`. Defaults: `KUBECONFIG`, then
/// `~/.kube/config`, then the pod's service account; the current context.
pub async fn connect(
    kubeconfig: Option<&std::path::Path>,
    context: Option<&str>,
) -> Result<Client, ConnectError> {
    let options =
        KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let mut config = match kubeconfig {
        Some(path) => {
            Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?
        }
        None if context.is_some() => Config::from_kubeconfig(&options).await?,
        None => Config::infer().await?,
    };
    config.read_timeout = Some(READ_TIMEOUT);
    Ok(Client::try_from(config)?)
}
