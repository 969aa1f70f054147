//! `arc-rocm doctor`: what is wrong with an installation, and what to do about it.
//!
//! [`Facts`] come from the API server. Pure functions, one for each check, turn them into findings.
//! Nothing is written: pods are created as dry runs.

mod api;
mod checks;
mod deployment;
mod dry_run;
mod facts;
mod finding;
mod gather;
mod sample;
#[cfg(test)]
pub(crate) mod testing;

use kube::Client;
use serde_json::Value;

use crate::inject::Config;

pub use facts::{
    DryRun, EphemeralRunner, Facts, Known, ProfileObject, RunnerStatus, ScaleSet, ScaleSetStatus,
    Settings, Unknown,
};
pub use finding::{Check, Finding, FindingCode, Level};

/// Gathers the facts and runs all checks. `now` is in seconds since the epoch.
pub async fn examine(client: &Client, settings: Settings, now: i64) -> Vec<Check> {
    match Box::pin(gather::facts(client, settings, now)).await {
        Ok(facts) => evaluate(&facts),
        Err(error) => vec![checks::unreachable(&error)],
    }
}

/// The profiles that the webhook of a cluster uses, and the runners that they are for.
#[derive(Debug)]
pub struct Live {
    /// The configuration, with the default users of ARC's controller.
    pub config: Config,
    /// The next runner pod of each scale set, with its namespace.
    pub pods: Vec<(String, Value)>,
}

/// Reads the profiles and the scale sets of a cluster.
pub async fn live(client: &Client, settings: Settings) -> Known<Live> {
    let facts = gather::runners(client, settings).await?;
    let samples = sample::Samples::of(&facts);
    if let Some(problem) = samples.problems.first() {
        let message = format!("the webhook's profile files have a problem: {problem}");
        return Err(Unknown::Failed(message));
    }
    let pods = sample::pods(&facts).into_values().collect();
    Ok(Live { config: samples.config, pods })
}

/// All checks, in the order of a request's way.
pub fn evaluate(facts: &Facts) -> Vec<Check> {
    checks::all(facts)
}
