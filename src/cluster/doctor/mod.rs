//! `arc-rocm doctor`: what is wrong with an installation, and what to do about it.
//!
//! [`Facts`] are asked of the API server and judged afterwards, by pure functions, one for each
//! check. Nothing is written: the one pod that is created is a dry run.

mod call;
mod checks;
mod deployment;
mod facts;
mod finding;
mod gather;
mod names;
mod sample;
#[cfg(test)]
pub(crate) mod testing;
mod trial;

use kube::Client;

pub use facts::{
    Controller, Facts, FailedRunner, Known, Listed, Node, Settings, Trial, Unknown, WebhookPod,
};
pub use finding::{Check, Code, Finding, Level};

/// Asks and judges. `now` is in seconds since the epoch.
pub async fn examine(client: &Client, settings: Settings, now: i64) -> Vec<Check> {
    match gather::facts(client, settings, now).await {
        Ok(facts) => judge(&facts),
        Err(error) => vec![checks::unreachable(&error)],
    }
}

/// All checks, in the order in which a request passes what they are about.
pub fn judge(facts: &Facts) -> Vec<Check> {
    checks::all(facts)
}
