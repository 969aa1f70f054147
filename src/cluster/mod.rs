//! What talks to the API server: beside the admission path, never on it.
//!
//! Each part is a task that a failing API server may slow down and never ends. What a part has to
//! decide is pure and stands beside it; here is the I/O.

pub mod certificates;
pub mod doctor;
pub mod events;
pub mod profiles;
mod trouble;
mod watched;

use std::time::Duration;

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

/// The longest silence of the API server. It holds for watches as well, and a quiet one ends after
/// 290 s by kube's own wish: less than that would break it off each time.
const READ_TIMEOUT: Duration = Duration::from_secs(295);
/// One request that is no watch, by whoever sends it.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The field manager of all that we apply, which is also the reporter of our events.
pub const MANAGER: &str = "arc-rocm";

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Neither a kubeconfig nor a pod's own account.
    #[error("no kubeconfig, and not in a pod")]
    Infer(#[from] kube::config::InferConfigError),
    /// The kubeconfig does not have what was asked for.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// The configuration makes no client.
    #[error("cannot make a client")]
    Client(#[from] kube::Error),
}

/// A client for the cluster of `kubeconfig` (a path; without, `KUBECONFIG`, the usual place, or the
/// account of the pod that we are in) and `context` (without, the current one).
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
