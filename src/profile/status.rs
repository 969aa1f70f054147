//! `RunnerProfile.status`: whether the object is in force.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Problem;

/// The condition that says whether the profile is in force.
pub const ACCEPTED: &str = "Accepted";

/// Whether the object is in force. Written by arc-rocm alone.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunnerProfileStatus {
    /// `Accepted`: the profile is in force. If it is `False`, the profile is left out, and the
    /// message has every problem.
    pub conditions: Vec<Condition>,
}

/// A problem of an object in one line: its field and what is wrong.
pub fn line(problem: &Problem) -> String {
    match problem.path.as_str() {
        "" => problem.message.clone(),
        path => format!("{path}: {}", problem.message),
    }
}
