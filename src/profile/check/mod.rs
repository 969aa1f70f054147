//! What the schema cannot say: combinations that the API server would refuse, and those that
//! make no sense.

pub(super) mod names;

use serde_json::Value;

use super::{report::Report, spec::RunnerProfileSpec};

/// Checks the short forms.
pub(super) fn short_forms(_spec: &RunnerProfileSpec, _report: &mut Report<'_>) {}

/// Checks the template as it was written, before anything is merged.
pub(super) fn written(_spec: &RunnerProfileSpec, _report: &mut Report<'_>) {}

/// Checks a whole template: the short forms written out, the profile's own template over them.
pub(super) fn template(_template: &Value, _spec: &RunnerProfileSpec, _report: &mut Report<'_>) {}
