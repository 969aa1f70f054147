//! What the schema cannot say: combinations that the API server would refuse or a node never
//! start, and those that make no sense. Everything is reported, all at once.
//!
//! The API server's rules are those of `k8s.io/kubernetes` `pkg/apis/core/validation`.

mod affinity;
mod container;
mod data_root;
mod env;
mod field;
mod handlers;
mod metadata;
mod mounts;
mod origin;
mod pod;
mod ports;
mod references;
mod registry;
mod resources;
mod security;
mod short_forms;
mod spread;
#[cfg(test)]
mod tests;
mod volumes;

use serde_json::Value;

use self::field::Field;
use super::{
    compiled,
    pattern::MAX_GPUS,
    report::{Part, Report},
    spec::RunnerProfileSpec,
};
use crate::podspec::names::{self, LABEL};

/// Checks a spec with all that it inherits: the short forms, and the whole templates that they
/// stand for.
pub(super) fn spec(spec: &RunnerProfileSpec, report: &mut Report<'_>) {
    short_forms::short_forms(spec, report);
    templates(spec, &gpu_counts(spec), report);
}

/// The numbers of GPUs for which a template is checked: the profile's own first, because a
/// problem is shown with the first number that has it. A scale set's name or a pod's annotation
/// may give any other. Amounts grow with the number in a straight line, so what holds at both
/// ends holds between them.
fn gpu_counts(spec: &RunnerProfileSpec) -> Vec<u32> {
    let count = spec.gpu.as_ref().and_then(|gpu| gpu.count);
    let count = spec.fixed_gpus().or(count).unwrap_or_default();
    let mut counts = vec![count];
    counts.extend([0, 1, MAX_GPUS].into_iter().filter(|other| *other != count));
    counts
}

/// Checks the whole templates of `spec` for these numbers of GPUs: the short forms written out,
/// the profile's own template over them. A field is shown with the first number that has a
/// problem there, and not at all where it has one as it was written.
fn templates(spec: &RunnerProfileSpec, counts: &[u32], report: &mut Report<'_>) {
    let written = report.paths();
    let mut seen: Vec<Vec<Part>> = Vec::new();
    for &gpus in counts {
        let mut checker = Checker { spec, gpus, report, found: Vec::new() };
        checker.template(&compiled::layered(spec, gpus));
        let fresh: Vec<_> =
            checker.found.into_iter().filter(|(path, _)| !seen.contains(path)).collect();
        for (path, message) in fresh {
            let others = origin::short_forms(&path, spec);
            if !written.contains(&report.place(&path, &others)) {
                report.add_at_first(&path, &others, message);
            }
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

    /// A field that has one of a few values.
    fn one_of(&mut self, field: &Field<'_>, key: &str, allowed: &[&str]) {
        if let Some(text) = field.text(key).filter(|text| !allowed.contains(text)) {
            let allowed: Vec<&str> =
                allowed.iter().copied().filter(|one| !one.is_empty()).collect();
            let message = format!("{text:?} is not one of {}", allowed.join(", "));
            self.add(field.path_to(key), message);
        }
    }

    /// A whole number within bounds.
    fn range(&mut self, field: &Field<'_>, key: &str, low: i64, high: i64) {
        let Some(number) = field.number(key) else { return };
        if number < low {
            self.add(field.path_to(key), format!("{number} is below {low}, the least"));
        } else if number > high {
            self.add(field.path_to(key), format!("{number} is above {high}, the most"));
        }
    }

    /// A text that `is` accepts; `form` says what it takes.
    fn form(&mut self, field: &Field<'_>, key: &str, is: fn(&str) -> bool, form: &str) {
        if let Some(text) = field.text(key).filter(|text| !is(text)) {
            self.add(field.path_to(key), not_a_name(text, form));
        }
    }

    /// The labels below `key` that a selector asks for.
    fn selected_labels(&mut self, field: &Field<'_>, key: &str) {
        for (key, label) in field.get(key).iter().flat_map(Field::members) {
            if !names::is_qualified(key) {
                self.add(label.path.clone(), not_a_name(key, names::QUALIFIED));
            }
            self.label_value(label);
        }
    }

    fn label_value(&mut self, label: Field<'_>) {
        let value = label.value.as_str().unwrap_or_default();
        if !names::is_label_value(value) {
            self.add(label.path, not_a_name(value, names::LABEL_VALUE));
        }
    }

    fn label(&mut self, field: &Field<'_>, key: &str) {
        self.form(field, key, names::is_label, LABEL);
    }

    fn subdomain(&mut self, field: &Field<'_>, key: &str) {
        self.form(field, key, names::is_subdomain, names::SUBDOMAIN);
    }

    /// The name of another object, which must be given.
    fn required_subdomain(&mut self, field: &Field<'_>, key: &str) {
        match field.text(key) {
            None | Some("") => self.add(field.path.clone(), format!("{key} is required")),
            Some(_) => self.subdomain(field, key),
        }
    }

    /// A text that must be given.
    fn required(&mut self, field: &Field<'_>, key: &str) {
        if field.text(key).is_none_or(str::is_empty) {
            self.add(field.path.clone(), format!("{key} is required"));
        }
    }

    /// Exactly one of several fields. Returns it.
    fn exactly_one<'v>(&mut self, field: &Field<'v>, keys: &[&str]) -> Option<Field<'v>> {
        let given: Vec<&str> =
            keys.iter().copied().filter(|key| field.get(key).is_some()).collect();
        match given.as_slice() {
            [one] => field.get(one),
            [] => {
                self.add(field.path.clone(), format!("write one of {}", keys.join(", ")));
                None
            }
            more => {
                let message = format!("write only one of {}", more.join(", "));
                self.add(field.path.clone(), message);
                None
            }
        }
    }

    /// A path below some directory.
    fn relative_path(&mut self, field: &Field<'_>, key: &str) {
        let Some(text) = field.text(key) else { return };
        if text.starts_with('/') {
            let message = format!("{text:?} must be relative, without '/' at its start");
            self.add(field.path_to(key), message);
        } else {
            self.no_backsteps(field, key);
        }
    }

    fn no_backsteps(&mut self, field: &Field<'_>, key: &str) {
        if field.text(key).is_some_and(|text| text.split('/').any(|part| part == "..")) {
            self.add(field.path_to(key), "must not contain '..'");
        }
    }
}

fn not_a_name(text: &str, form: &str) -> String {
    if text.is_empty() {
        format!("must not be empty: write {form}")
    } else {
        format!("{text:?} is not valid here: write {form}")
    }
}
