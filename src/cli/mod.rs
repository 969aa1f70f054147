//! The command line.

pub mod certs;
pub mod serve;

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{admission::Rules, server::Shutdown};

/// Makes GitHub Actions Runner Controller runners ROCm-ready
#[derive(Debug, Parser)]
#[command(name = "arc-rocm", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the admission webhook
    Serve(Box<serve::Args>),
    /// Write a certificate authority and a server certificate
    Certs(certs::Args),
}

/// Marks an error as the user's to mend: a flag, a file, an address.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misconfigured(pub(crate) String);

/// Usage or configuration. 0 is success, 1 is findings.
const EXIT_USAGE: u8 = 2;
/// Anything that is not the user's doing.
const EXIT_INTERNAL: u8 = 3;

/// Parses the arguments and does what they say.
pub fn main() -> ExitCode {
    // clap itself ends the process with 2 for a bad command line, and 0 for --help.
    match Cli::parse().command.run() {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            let usage = error.is::<Misconfigured>();
            ExitCode::from(if usage { EXIT_USAGE } else { EXIT_INTERNAL })
        }
    }
}

impl Command {
    fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Serve(args) => {
                // As many workers as there are cores, or as the container's CPU limit allows.
                let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
                runtime.block_on(async {
                    args.run(Rules::default(), Shutdown::on_signals()?).await
                })?;
            }
            Self::Certs(args) => args.run()?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
