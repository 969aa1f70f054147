//! `arc-rocm profiles`: lists, shows and checks profiles.

mod check;

use std::{io::Write, process::ExitCode};

use serde_json::{Value, json};

use super::{
    UsageError,
    config::{self, ProfileArgs},
    output::{self, Format},
};
use crate::profile::{Pattern, Profile, pattern::MAX_GPUS};

/// Patterns of a profile that the table shows; the JSON has all.
const MOST_PATTERNS: usize = 3;

/// The subcommands of `profiles`.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// List the profiles in the order in which they are tried
    List {
        /// The profiles.
        #[command(flatten)]
        profiles: ProfileArgs,
        /// Form of the result
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
    },
    /// Show the pod template of a profile
    Show {
        /// Name of the profile
        name: String,
        /// Number of GPUs; default: the profile's own
        #[arg(long, value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_GPUS)))]
        gpus: Option<u32>,
        /// The profiles.
        #[command(flatten)]
        profiles: ProfileArgs,
        /// Form of the result
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
    },
    /// Check profiles and print every problem
    Check(check::Args),
}

impl Command {
    /// Runs the subcommand.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List { profiles, output } => {
                let set = profiles.compile().map_err(config::usage_error)?;
                output::write(|out| match output {
                    Format::Text => list(out, set.iter()),
                    Format::Json => {
                        let profiles: Vec<Value> = set.iter().map(summary).collect();
                        Ok(writeln!(out, "{:#}", json!({"profiles": profiles}))?)
                    }
                })?;
            }
            Self::Show { name, gpus, profiles, output } => {
                let set = profiles.compile().map_err(config::usage_error)?;
                let Some(profile) = set.get(&name) else {
                    let known: Vec<&str> = set.iter().map(|p| p.name.as_str()).collect();
                    let message = format!("no profile {name:?}; there are: {}", known.join(", "));
                    return Err(UsageError::error(message));
                };
                let gpus = match (gpus, profile.fixed_gpus) {
                    (Some(gpus), Some(fixed)) if gpus != fixed => {
                        let fixed = output::count(fixed, "GPU");
                        let message = format!("--gpus {gpus}: the template of {name} has {fixed}");
                        return Err(UsageError::error(message));
                    }
                    (gpus, _) => gpus.unwrap_or_else(|| profile.default_gpus()),
                };
                let template = profile.pod_template(gpus);
                output::write(|out| match output {
                    Format::Text => {
                        let Profile { name, origin, digest, .. } = profile;
                        let gpus = output::count(gpus, "GPU");
                        writeln!(out, "# profile {name} ({origin}), digest {digest}, {gpus}")?;
                        Ok(write!(out, "{}", output::yaml(&template)?)?)
                    }
                    Format::Json => Ok(writeln!(out, "{template:#}")?),
                })?;
            }
            Self::Check(args) => args.run()?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The patterns of `match.scaleSets`; `None` without a `match`.
fn scale_sets(profile: &Profile) -> Option<Vec<&str>> {
    let matcher = profile.matcher.as_ref()?;
    Some(matcher.scale_sets().iter().map(Pattern::as_str).collect())
}

fn summary(profile: &Profile) -> Value {
    json!({
        "name": profile.name,
        "priority": profile.priority,
        "gpus": profile.default_gpus(),
        "extends": profile.extends,
        "scaleSets": scale_sets(profile),
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
        rows.push([
            profile.name.clone(),
            profile.priority.to_string(),
            profile.default_gpus().to_string(),
            profile.extends.join(" "),
            match scale_sets(profile).as_deref() {
                None => "(only by annotation)".to_owned(),
                Some([]) => "(any)".to_owned(),
                Some(patterns) => match patterns.split_at_checked(MOST_PATTERNS) {
                    Some((shown, more @ [_, ..])) => {
                        format!("{} and {} more", shown.join(" "), more.len())
                    }
                    _ => patterns.join(" "),
                },
            },
            profile.origin.to_string(),
        ]);
    }
    output::table(out, &rows)
}
