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

/// All checks, in the order of a request's way.
pub fn evaluate(facts: &Facts) -> Vec<Check> {
    checks::all(facts)
}
