//! `arc-rocm certs`: a CA and a server certificate, as files.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::UsageError;
use crate::certs::{self, IssueError, Issued};

/// The flags of `certs`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Directory for ca.crt, tls.crt and tls.key; created if missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Host name or IP address, beside localhost and arc-rocm.arc-rocm.svc
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,

    /// Validity in days
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,

    /// Overwrite existing files
    #[arg(long)]
    force: bool,
}

impl Args {
    /// Issues the certificates and writes the files.
    pub fn run(self) -> anyhow::Result<()> {
        let Self { out, hosts, days, force } = self;
        let Issued { ca, certificate, key } =
            certs::issue(&hosts, days).map_err(certificate_error)?;
        // The key comes first: a certificate without its key looks complete.
        let files =
            [("tls.key", key, 0o600), ("tls.crt", certificate, 0o644), ("ca.crt", ca, 0o644)];
        if !force {
            for (name, ..) in &files {
                let path = out.join(name);
                if path.symlink_metadata().is_ok() {
                    let path = path.display();
                    let message = format!("{path} exists, use --force to overwrite it");
                    return Err(UsageError::error(message));
                }
            }
        }
        fs::create_dir_all(&out)
            .with_context(|| UsageError(format!("cannot create {}", out.display())))?;
        let mut stderr = io::stderr();
        for (name, text, mode) in files {
            let path = out.join(name);
            write(&path, text.as_bytes(), mode)
                .with_context(|| UsageError(format!("cannot write {}", path.display())))?;
            let _ = writeln!(stderr, "wrote {}", path.display());
        }
        Ok(())
    }
}

/// Writes a file as a whole, with these permission bits: a reader sees the old one or the new one.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// A bad host name or validity is a usage error.
pub(super) fn certificate_error(error: IssueError) -> anyhow::Error {
    let usage = matches!(error, IssueError::Host { .. } | IssueError::Dates);
    let error = anyhow::Error::new(error);
    if usage { error.context(UsageError("cannot issue a certificate".to_owned())) } else { error }
}
