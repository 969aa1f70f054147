//! `arc-rocm profiles`: what there is, what it compiles to, what is wrong with it.

use std::{io::Write, process::ExitCode};

use serde_json::{Value, json};

use super::{
    Misconfigured,
    config::{self, ProfileArgs},
    output,
};
use crate::{profile::Profile, profile::pattern::MAX_GPUS};

/// What to do with profiles.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// List the profiles, in the order in which they are tried
    List {
        /// The profiles.
        #[command(flatten)]
        profiles: ProfileArgs,
        /// What to print
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Show the pod template that a profile compiles to
    Show {
        /// The profile's name
        name: String,
        /// The number of GPUs; without, the profile's own
        #[arg(long, value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_GPUS)))]
        gpus: Option<u32>,
        /// The profiles.
        #[command(flatten)]
        profiles: ProfileArgs,
        /// What to print
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Check profiles and print every problem
    Check {
        /// Files or directories
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<std::path::PathBuf>,
    },
}

/// What to print.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Text,
    /// For programs; documented in docs/cli.md
    Json,
}

impl Command {
    /// Does it.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List { profiles, output } => {
                let set = profiles.compile().map_err(config::blame)?;
                output::write(|out| match output {
                    Output::Text => list(out, set.iter()),
                    Output::Json => {
                        let profiles: Vec<Value> = set.iter().map(summary).collect();
                        Ok(writeln!(out, "{:#}", json!({"profiles": profiles}))?)
                    }
                })?;
            }
            Self::Show { name, gpus, profiles, output } => {
                let set = profiles.compile().map_err(config::blame)?;
                let Some(profile) = set.get(&name) else {
                    let known: Vec<&str> = set.iter().map(|p| p.name.as_str()).collect();
                    let message = format!("no profile {name:?}; there are: {}", known.join(", "));
                    return Err(Misconfigured::error(message));
                };
                let gpus = gpus.unwrap_or_else(|| profile.default_gpus());
                let template = profile.pod_template(gpus);
                output::write(|out| match output {
                    Output::Text => {
                        let Profile { name, origin, digest, .. } = profile;
                        writeln!(out, "# profile {name} ({origin}), digest {digest}, {gpus} GPUs")?;
                        Ok(write!(out, "{}", output::yaml(&template)?)?)
                    }
                    Output::Json => Ok(writeln!(out, "{template:#}")?),
                })?;
            }
            Self::Check { paths } => {
                let set = ProfileArgs { profiles: paths }.compile().map_err(config::blame)?;
                // The built-in one is not the user's.
                let count = set.len().saturating_sub(1);
                output::write(|out| {
                    let plural = if count == 1 { "" } else { "s" };
                    Ok(writeln!(out, "{count} profile{plural}, no problems")?)
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn summary(profile: &Profile) -> Value {
    let patterns = |profile: &Profile| {
        profile.matcher.as_ref().map(|matcher| {
            matcher
                .scale_sets()
                .iter()
                .map(|pattern| pattern.as_str().to_owned())
                .collect::<Vec<_>>()
        })
    };
    json!({
        "name": profile.name,
        "priority": profile.priority,
        "gpus": profile.default_gpus(),
        "extends": profile.extends,
        "scaleSets": patterns(profile),
        "matches": profile.matcher.is_some(),
        "digest": profile.digest,
        "origin": profile.origin.to_string(),
    })
}

fn list<'p>(
    out: &mut dyn Write,
    profiles: impl Iterator<Item = &'p Profile>,
) -> anyhow::Result<()> {
    let mut rows =
        vec![["NAME", "PRIORITY", "GPUS", "EXTENDS", "SCALE SETS", "ORIGIN"].map(str::to_owned)];
    for profile in profiles {
        let scale_sets = match &profile.matcher {
            None => "(only by annotation)".to_owned(),
            Some(matcher) if matcher.scale_sets().is_empty() => "(any)".to_owned(),
            Some(matcher) => {
                let patterns = matcher.scale_sets().iter().map(|p| p.as_str().to_owned());
                patterns.collect::<Vec<_>>().join(" ")
            }
        };
        rows.push([
            profile.name.clone(),
            profile.priority.to_string(),
            profile.default_gpus().to_string(),
            profile.extends.join(" "),
            scale_sets,
            profile.origin.to_string(),
        ]);
    }
    output::table(out, &rows)
}
