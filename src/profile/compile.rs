//! From one document to its profile: laid over what it extends, checked, compiled.

use serde_json::Value;

use super::{
    Pattern, Problem, Profile, check,
    document::Document,
    inherit::inherit,
    matcher::Matcher,
    numbers,
    report::{Finding, Part, Report},
    spec::RunnerProfileSpec,
};

/// What a document extends.
pub(super) enum Base<'c, 'd> {
    /// Nothing.
    None,
    /// A profile, good or bad.
    Known(&'c Compiled<'d>),
    /// None that there is: what to say about it.
    Unknown(String),
}

/// What came of a document.
#[derive(Debug)]
pub(super) struct Compiled<'d> {
    /// The profile; `None` where there are problems.
    pub(super) profile: Option<Profile>,
    /// All problems but those that are inherited with a base that has them as well.
    pub(super) problems: Vec<Problem>,
    document: &'d Document,
    /// The spec with all that it inherits.
    spec: Value,
    /// The documents that it builds on, nearest first.
    bases: Vec<&'d Document>,
    /// What was found in the spec with all that it inherits.
    findings: Vec<Finding>,
}

/// Compiles a document whose base is compiled already.
pub(super) fn compile<'d>(document: &'d Document, base: &Base<'_, 'd>) -> Compiled<'d> {
    let below = match base {
        Base::Known(base) => Some(*base),
        Base::None | Base::Unknown(_) => None,
    };
    let bases: Vec<&Document> = below
        .iter()
        .flat_map(|base| std::iter::once(&base.document).chain(&base.bases).copied())
        .collect();
    let is_complete = !matches!(base, Base::Unknown(_));
    let mut report = Report::new(document, &bases, is_complete);
    let extends = ["spec", "extends"].map(Part::from);
    match base {
        Base::Unknown(message) => report.add(&extends, message),
        // A file is refused with all other files, and its base says why.
        Base::Known(base) if document.is_object() && base.profile.is_none() => {
            let name = base.document.name.as_deref().unwrap_or_default();
            report.add(&extends, format!("profile {name:?} is refused"));
        }
        _ => {}
    }
    let nothing = Value::Object(serde_json::Map::default());
    let (spec, problems) = inherit(below.map_or(&nothing, |base| &base.spec), &document.spec);
    for (index, message) in problems.into_iter().filter(|_| is_complete) {
        report.add(&["spec".into(), "remove".into(), Part::Index(index)], message);
    }
    let parts = parts(document, &bases, &spec, &mut report);
    let findings = report.into_findings();
    let inherited = below.map_or(&[][..], |base| &base.findings);
    let is_own = |one: &&Finding| inherited.iter().all(|other| !one.is_same(other));
    let own = findings.iter().filter(is_own).map(|finding| &finding.problem);
    let problems: Vec<Problem> = document.problems.iter().chain(own).cloned().collect();
    let is_good = document.problems.is_empty() && findings.is_empty();
    let profile = parts.filter(|_| is_good).and_then(|(spec, matcher, patterns)| {
        let extends = bases.iter().filter_map(|base| base.name.clone()).collect();
        let (name, origin) = (document.name.clone()?, document.origin.clone());
        Some(Profile::new(name, origin, extends, matcher, patterns, spec))
    });
    Compiled { profile, problems, document, spec, bases, findings }
}

/// Checks the spec with all that it inherits, and takes it apart.
fn parts(
    document: &Document,
    bases: &[&Document],
    spec: &Value,
    report: &mut Report<'_>,
) -> Option<(RunnerProfileSpec, Option<Matcher>, Vec<Pattern>)> {
    let spec: RunnerProfileSpec = match serde_json::from_value(spec.clone()) {
        Ok(spec) => spec,
        Err(error) => {
            report.add(&["spec".into()], error.to_string());
            return None;
        }
    };
    check::spec(&spec, report);
    let patterns = numbers::patterns(document, bases);
    numbers::check(document, &spec, &patterns, report);
    let matcher =
        match spec.matches.as_ref().map(|matches| Matcher::compile(matches, spec.gpu_resource())) {
            None => None,
            Some(Ok(matcher)) => Some(matcher),
            Some(Err(problems)) => {
                for (list, index, message) in problems {
                    let list = ["spec", "match", list].map(Part::from).into_iter();
                    let path: Vec<Part> = list.chain(index.map(Part::Index)).collect();
                    report.add(&path, message);
                }
                None
            }
        };
    Some((spec, matcher, patterns))
}
