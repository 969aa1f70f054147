//! `RunnerProfile.status`: what became of an object, and how many pods got it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The condition that says whether the newest spec is good.
pub const ACCEPTED: &str = "Accepted";
/// The condition that says whether the profile, in its newest or its last good form, is in force.
pub const READY: &str = "Ready";

/// What became of the object. Written by arc-rocm alone.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunnerProfileStatus {
    /// `Accepted`: the newest spec is good. `Ready`: the profile is in force, in its newest form
    /// or in its last good one.
    pub conditions: Vec<Condition>,
    /// The first thing that is wrong with the newest spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How many pods the profile was put into, by all replicas together. Each replica adds its own
    /// about twice a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods_patched: Option<i64>,
    /// The last good spec: what stays in force while the newest one is not good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<LastGood>,
}

/// A spec that was good.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LastGood {
    /// The `metadata.generation` that had it.
    pub generation: i64,
    /// The spec, as it was.
    pub spec: Value,
}
