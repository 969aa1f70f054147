//! From one document to its profile: laid over what it extends, checked, compiled.

use serde_json::Value;

use super::{
    Problem, Profile, check,
    document::Document,
    inherit::inherit,
    matcher::Matcher,
    pattern::MAX_GPUS,
    report::{Finding, Part, Report},
    spec::RunnerProfileSpec,
};

/// What a document extends.
pub(super) enum Base<'c> {
    /// Nothing.
    None,
    /// A profile, good or bad.
    Known(&'c Compiled),
    /// None that there is: what to say about it.
    Unknown(String),
}

/// What came of a document.
#[derive(Debug)]
pub(super) struct Compiled {
    /// The profile; `None` where there are problems.
    pub(super) profile: Option<Profile>,
    /// All problems but those that are inherited with a base that has them as well.
    pub(super) problems: Vec<Problem>,
    name: Option<String>,
    /// The spec with all that it inherits.
    spec: Value,
    /// The profiles that it builds on, nearest first.
    extends: Vec<String>,
    /// All findings, inherited ones too.
    findings: Vec<Finding>,
}

/// Compiles a document whose base is compiled already.
pub(super) fn compile(document: &Document, base: &Base<'_>) -> Compiled {
    let mut report = document.report();
    check::written(&document.spec, &mut report);
    let mut spec = document.spec.clone();
    let mut extends = Vec::new();
    let mut inherited: &[Finding] = &[];
    let path = [Part::from("spec"), Part::from("extends")];
    match base {
        Base::None => {}
        Base::Unknown(message) => report.add(&path, message),
        Base::Known(base) => {
            spec = inherit(&base.spec, &document.spec);
            extends.extend(base.name.clone());
            extends.extend(base.extends.iter().cloned());
            inherited = &base.findings;
            // A file is refused with all other files, and its base says why.
            if let (true, None, Some(name)) = (document.is_object(), &base.profile, &base.name) {
                report.add(&path, format!("profile {name:?} is refused"));
            }
        }
    }
    let mut profile = None;
    if document.problems.is_empty() && !matches!(base, Base::Unknown(_)) {
        profile = checked(document, &spec, &extends, &mut report);
    }
    let findings = report.into_findings();
    let own = findings.iter().filter(|one| inherited.iter().all(|other| !one.is_same(other)));
    let problems =
        document.problems.iter().chain(own.map(|finding| &finding.problem)).cloned().collect();
    if !findings.is_empty() {
        profile = None;
    }
    Compiled { profile, problems, name: document.name.clone(), spec, extends, findings }
}

/// Checks the whole spec and compiles it.
fn checked(
    document: &Document,
    spec: &Value,
    extends: &[String],
    report: &mut Report<'_>,
) -> Option<Profile> {
    let spec: RunnerProfileSpec = match serde_json::from_value(spec.clone()) {
        Ok(spec) => spec,
        Err(error) => {
            if report.is_empty() {
                report.add(&[Part::from("spec")], error.to_string());
            }
            return None;
        }
    };
    let matcher = spec.matches.as_ref().and_then(|matches| {
        Matcher::compile(matches)
            .map_err(|problems| {
                for (path, message) in problems {
                    let parts = path.iter().map(|part| {
                        part.parse().map_or_else(|_| Part::from(part.as_str()), Part::Index)
                    });
                    let path: Vec<Part> = [Part::from("spec"), Part::from("match")]
                        .into_iter()
                        .chain(parts)
                        .collect();
                    report.add(&path, message);
                }
            })
            .ok()
    });
    check::short_forms(&spec, report);
    check::templates(&spec, &gpu_counts(&spec), report);
    let name = document.name.clone()?;
    report
        .is_empty()
        .then(|| Profile::new(name, document.origin.clone(), extends.to_vec(), matcher, spec))
}

/// The numbers of GPUs for which a template is checked: the profile's own first, because a
/// problem is shown with the first number that has it. A scale set's name or a pod's annotation
/// may give any other. Amounts grow with the number in a straight line, so what holds at both
/// ends holds between them.
fn gpu_counts(spec: &RunnerProfileSpec) -> Vec<u32> {
    let count = spec.gpu.as_ref().and_then(|gpu| gpu.count).unwrap_or_default();
    let mut counts = vec![count];
    counts.extend([0, 1, MAX_GPUS].into_iter().filter(|other| *other != count));
    counts
}
