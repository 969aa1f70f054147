//! What the schema cannot say: combinations that the API server would refuse or a node never
//! start, and those that make no sense. Everything is reported, all at once.
//!
//! The API server's rules are those of `k8s.io/kubernetes` `pkg/apis/core/validation`.

mod container;
mod data_root;
mod env;
mod field;
mod metadata;
mod mounts;
mod origin;
mod pod;
mod ports;
mod registry;
mod resources;
mod rules;
mod security;
mod short_forms;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub(crate) use self::rules::bad_image;
pub(super) use self::rules::written;

use self::field::Field;
use super::{
    compiled,
    pattern::MAX_GPUS,
    report::{Part, Report},
    spec::{Gpu, RunnerProfileSpec},
};

/// The largest user or group id (apimachinery, `IsValidUserID`).
const MAX_ID: i64 = i32::MAX as i64;

/// Checks a spec with all that it inherits: the short forms, and the whole templates that they
/// stand for.
pub(super) fn spec(spec: &RunnerProfileSpec, report: &mut Report<'_>) {
    short_forms::short_forms(spec, report);
    templates(spec, &gpu_counts(spec), report);
}

/// The numbers of GPUs for which a template is checked: the profile's own first, because a
/// problem is shown with the first number that has it. A scale set's name or a pod's annotation
/// may give any other. Amounts grow with the number in a straight line, so what holds at both
/// ends holds between them, but for numbers with amounts of their own.
fn gpu_counts(spec: &RunnerProfileSpec) -> Vec<u32> {
    let count = spec.gpu.as_ref().and_then(|gpu| gpu.count);
    let count = spec.fixed_gpus().or(count).unwrap_or_default();
    let mut counts = vec![count];
    let own = spec.gpu.iter().flat_map(Gpu::by_count).map(|(count, _)| count);
    counts.extend([0, 1, MAX_GPUS].into_iter().chain(own).filter(|other| *other != count));
    counts
}

/// Checks the whole templates of `spec` for these numbers of GPUs: the short forms written out,
/// the profile's own template over them. A field is shown with the first number that has a
/// problem there.
fn templates(spec: &RunnerProfileSpec, counts: &[u32], report: &mut Report<'_>) {
    let mut seen: Vec<Vec<Part>> = Vec::new();
    for &gpus in counts {
        let mut checker = Checker { spec, gpus, report, found: Vec::new() };
        checker.template(&compiled::layered(spec, gpus, None));
        let fresh: Vec<_> =
            checker.found.into_iter().filter(|(path, _)| !seen.contains(path)).collect();
        for (path, message) in fresh {
            report.add_at_first(&path, &origin::short_forms(&path, spec, gpus), message);
            seen.push(path);
        }
    }
}

/// Checks one whole template.
struct Checker<'s> {
    spec: &'s RunnerProfileSpec,
    gpus: u32,
    /// What is known of the profile so far.
    report: &'s Report<'s>,
    found: Vec<(Vec<Part>, String)>,
}

impl Checker<'_> {
    fn template(&mut self, template: &Value) {
        let path = vec![Part::from("spec"), Part::from("template")];
        let template = Field { value: template, path };
        if let Some(metadata) = template.get("metadata") {
            self.metadata(&metadata);
        }
        if let Some(spec) = template.get("spec") {
            self.pod(&spec);
        }
    }

    fn add(&mut self, path: Vec<Part>, message: impl Into<String>) {
        self.found.push((path, message.into()));
    }

    /// The extended resource that GPUs are.
    fn gpu_resource(&self) -> &str {
        self.spec.gpu_resource()
    }
}

fn not_a_name(text: &str, form: &str) -> String {
    if text.is_empty() {
        format!("must not be empty: write {form}")
    } else {
        format!("{text:?} is not valid here: write {form}")
    }
}
