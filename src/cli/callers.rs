//! Flags for who may call the webhook.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context;

use super::UsageError;
use crate::tls::{CaFile, ClientAuth};

/// Who may call.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Callers")]
pub struct CallerArgs {
    /// Answer only clients with a certificate of this authority, PEM; replaced under way when the
    /// file changes [default: everybody]
    #[arg(long, env = "ARC_ROCM_CLIENT_CA", value_name = "PATH")]
    pub client_ca: Option<PathBuf>,

    /// Of these, only such with this common name or DNS name [default: all]
    #[arg(
        long = "client-name",
        env = "ARC_ROCM_CLIENT_NAME",
        value_delimiter = ',',
        value_parser = parse_name,
        requires = "client_ca",
        value_name = "NAME"
    )]
    pub client_names: Vec<String>,
}

/// A name that a certificate can have.
fn parse_name(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.trim() != text {
        return Err("a name is not empty and has no space at its ends");
    }
    Ok(text.to_owned())
}

impl CallerArgs {
    /// Reads the authority, if there is to be one.
    pub(super) async fn read(self) -> anyhow::Result<Option<(CaFile, Arc<ClientAuth>)>> {
        let Self { client_ca, client_names } = self;
        let Some(path) = client_ca else { return Ok(None) };
        let mut file = CaFile::new(path);
        let none = || UsageError("no client CA".to_owned());
        let ca = file.changed().await.with_context(none)?;
        let ca = ca.context("the first read is always a change")?;
        Ok(Some((file, Arc::new(ClientAuth::new(ca, client_names)))))
    }
}
