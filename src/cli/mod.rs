//! The command line.

pub mod certs;
pub mod config;
pub mod connect;
pub mod diff;
pub mod doctor;
mod duration;
mod events;
pub mod explain;
pub mod import;
pub mod inject;
mod input;
pub mod objects;
mod output;
pub mod plan;
pub mod profiles;
mod reload;
pub mod serve;
pub mod test;
pub mod trust;
mod values;

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::{profile::CRD, scripts, server::Shutdown};

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
    /// Print what the webhook makes of pods, without a cluster
    Inject(inject::Args),
    /// Print which profile a pod gets and why, and what it changes
    Explain(Box<explain::Args>),
    /// Compare pods by meaning: what differs, and whether it is intended
    Diff(Box<diff::Args>),
    /// Turn hand-written scale sets into profiles and plain values
    Import(import::Args),
    /// Print what a change of profiles changes for each scale set
    Plan(Box<plan::Args>),
    /// Run the tests of profiles
    Test(test::Args),
    /// List, show and check profiles
    #[command(subcommand)]
    Profiles(profiles::Command),
    /// Write a CA and a server certificate
    Certs(certs::Args),
    /// Print what is wrong with an installation, and how to fix it
    Doctor(doctor::Args),
    /// Print the CustomResourceDefinition of RunnerProfile, for kubectl apply
    Crd,
    /// Write the scripts as files, for the image
    #[command(hide = true)]
    Scripts {
        /// The folder, created if missing
        folder: PathBuf,
    },
    /// Write the manual pages, for the release
    #[command(hide = true)]
    Man {
        /// The folder, created if missing
        folder: PathBuf,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// An error of a flag, a file or an address: the user can fix it. The exit code is 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

impl UsageError {
    /// An error without a cause.
    pub(crate) fn error(message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self(message.into()))
    }
}

/// Exit code: done, with something to look at.
pub(crate) const EXIT_FINDINGS: u8 = 1;
/// Exit code: a flag, a file or a profile has to be fixed.
const EXIT_USAGE: u8 = 2;
/// Exit code: anything else.
const EXIT_INTERNAL: u8 = 3;

/// How the program is called as a plugin of kubectl.
const PLUGIN: &str = "kubectl arc-rocm";

/// Whether the program's file has a plugin's name: kubectl runs `kubectl-arc_rocm` for
/// `kubectl arc-rocm`.
fn is_plugin() -> bool {
    let name = std::env::args_os().next().map(PathBuf::from);
    name.is_some_and(|path| path.file_stem().is_some_and(|stem| stem == "kubectl-arc_rocm"))
}

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    // clap itself ends the process with 2 for a bad command line, and 0 for --help.
    let mut command = Cli::command();
    if is_plugin() {
        command = command.bin_name(PLUGIN);
    }
    let cli = Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    match cli.command.run() {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            let usage = error.is::<UsageError>();
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
                runtime.block_on(async { args.run(Shutdown::on_signals()?).await })?;
            }
            Self::Inject(args) => return args.run(),
            Self::Explain(args) => return args.run(),
            Self::Diff(args) => return args.run(),
            Self::Import(args) => return args.run(),
            Self::Plan(args) => return args.run(),
            Self::Test(args) => return args.run(),
            Self::Profiles(command) => return command.run(),
            Self::Certs(args) => args.run()?,
            Self::Doctor(args) => return connect::block_on(args.run()),
            Self::Crd => output::write(|out| Ok(out.write_all(CRD.as_bytes())?))?,
            Self::Scripts { folder } => {
                std::fs::create_dir_all(&folder)?;
                for (name, text) in scripts::image::files() {
                    certs::write(&folder.join(name), text.as_bytes(), 0o644)?;
                }
            }
            Self::Man { folder } => {
                std::fs::create_dir_all(&folder)?;
                clap_mangen::generate_to(Cli::command(), &folder)?;
            }
            Self::Completions { shell } => output::write(|out| {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "arc-rocm", &mut script);
                Ok(out.write_all(&script)?)
            })?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
