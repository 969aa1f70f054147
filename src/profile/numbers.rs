//! The number of GPUs that a scale set's name gives.
//!
//! It is read by the first pattern with `{gpus}` that matches the name: of the profile's own, then
//! of those of the profile that it extends, and so on up to the nearest that writes `gpu.count`.
//! So a profile for one scale set by its exact name keeps the number in it.

use super::{
    Pattern,
    document::Document,
    pattern::{self, Run},
    report::{Part, Report},
    spec::RunnerProfileSpec,
};
use serde_json::Value;

/// The patterns that read the number, in the order in which they are tried.
pub(super) fn patterns(document: &Document, bases: &[&Document]) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for document in std::iter::once(&document).chain(bases) {
        let own = texts(document).filter_map(|text| Pattern::parse(text).ok());
        patterns.extend(own.filter(Pattern::has_gpus));
        if writes_count(document) {
            break;
        }
    }
    patterns
}

/// A name that says how many GPUs must not get another number: neither one that is inherited, nor none
/// because nothing here uses the number.
pub(super) fn check(
    document: &Document,
    spec: &RunnerProfileSpec,
    patterns: &[Pattern],
    report: &mut Report<'_>,
) {
    if spec.gpu.is_none() {
        for (index, _) in texts(document).enumerate().filter(|(_, text)| text.contains("{gpus}")) {
            let message = "the profile gives no GPUs, so nothing uses the number; write gpu, or * in \
                           place of {gpus}";
            report.add(&path(index), message.to_owned());
        }
        return;
    }
    let gpu = spec.gpu.as_ref();
    let inherited = gpu.and_then(|gpu| gpu.count).unwrap_or_default();
    let is_without = inherited == 0 && gpu.is_none_or(|gpu| gpu.per_gpu.is_none());
    if writes_count(document) || spec.fixed_gpus().is_some() || is_without {
        return;
    }
    for (index, text) in texts(document).enumerate() {
        let is_pattern = Pattern::parse(text).is_ok_and(|pattern| !pattern.has_gpus());
        let name = text.replace('*', "x");
        if !is_pattern || patterns.iter().any(|pattern| pattern.matches(&name).is_some()) {
            continue;
        }
        let number = pattern::runs(&name).filter(|run| is_number(&name, run)).last();
        let Some(Run { count, .. }) = number.filter(|run| run.count != inherited) else { continue };
        let message = format!(
            "the name seems to say {}, and gpu.count is {inherited} here; write {{gpus}} in place \
             of the number, or gpu.count",
            gpus(count)
        );
        report.add(&path(index), message);
    }
}

/// The place of a pattern.
fn path(index: usize) -> Vec<Part> {
    let list = ["spec", "match", "scaleSets"].map(Part::from);
    list.into_iter().chain([Part::Index(index)]).collect()
}

/// `1 GPU`, `2 GPUs`.
pub(super) fn gpus(count: u32) -> String {
    if count == 1 { "1 GPU".to_owned() } else { format!("{count} GPUs") }
}

/// Whether a run of digits stands by itself, or before `gpu`.
fn is_number(name: &str, run: &Run) -> bool {
    let is_separator = |c: char| matches!(c, '-' | '.' | '_');
    let before = name.get(..run.start).unwrap_or_default();
    let after = name.get(run.end..).unwrap_or_default();
    (before.is_empty() || before.ends_with(is_separator))
        && (after.is_empty() || after.starts_with(is_separator) || after.starts_with("gpu"))
}

/// The patterns of `match.scaleSets`, as written.
fn texts(document: &Document) -> impl Iterator<Item = &str> {
    let list = document.spec.pointer("/match/scaleSets").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

fn writes_count(document: &Document) -> bool {
    document.spec.pointer("/gpu/count").is_some()
}

#[cfg(test)]
mod tests;
