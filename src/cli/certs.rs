//! `arc-rocm certs`: a certificate authority and a server certificate, as files.

use std::{fs, io::Write, path::PathBuf};

use anyhow::Context;

use super::Misconfigured;
use crate::certs::{self, IssueError, Issued};

/// What to issue, and where to.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Directory for ca.crt, tls.crt and tls.key; made if need be
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Host name or IP address beside localhost and the Service arc-rocm in namespace arc-rocm
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,

    /// Days of validity
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,

    /// Overwrite files that exist
    #[arg(long)]
    force: bool,
}

impl Args {
    /// Issues and writes.
    pub fn run(self) -> anyhow::Result<()> {
        let Self { out, hosts, days, force } = self;
        let Issued { ca, certificate, key } = certs::issue(&hosts, days).map_err(blame)?;
        // The key first: a certificate without its key would look complete to a careless eye.
        let files =
            [("tls.key", key, 0o600), ("tls.crt", certificate, 0o644), ("ca.crt", ca, 0o644)];
        if !force {
            for (name, ..) in &files {
                let path = out.join(name);
                if path.symlink_metadata().is_ok() {
                    let path = path.display();
                    let message = format!("{path} exists, use --force to overwrite it");
                    return Err(Misconfigured(message).into());
                }
            }
        }
        fs::create_dir_all(&out)
            .with_context(|| Misconfigured(format!("cannot make {}", out.display())))?;
        let mut told = std::io::stderr();
        for (name, text, mode) in files {
            let path = out.join(name);
            certs::write(&path, text.as_bytes(), mode)
                .with_context(|| Misconfigured(format!("cannot write {}", path.display())))?;
            let _ = writeln!(told, "wrote {}", path.display());
        }
        Ok(())
    }
}

/// A name or a number of days is the user's.
pub(super) fn blame(error: IssueError) -> anyhow::Error {
    let usage = matches!(error, IssueError::Host { .. } | IssueError::Dates);
    let error = anyhow::Error::new(error);
    if usage { error.context(Misconfigured("no certificate".to_owned())) } else { error }
}
