//! Labels and annotations, and the annotation `arc-rocm.dev/status`, which says what was done.

use super::{
    changes::Changes,
    conflict::{ChangeReason, ConflictCode, Winner},
    facts::Facts,
};
use crate::{
    VERSION,
    annotations::STATUS,
    inject::patch::{Content, Step},
    podspec::{Json, equal::is_subset},
    profile::template::Fields,
};

/// The most bytes that all annotations of an object have together, keys and values
/// (apimachinery, `TotalAnnotationSizeLimitB`).
const MAX_ANNOTATION_BYTES: usize = 256 << 10;

pub(super) fn rule<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    let template = facts.template;
    for (key, wanted) in missing(facts, "labels", &template.labels, changes) {
        set(changes, "labels", key, wanted, ChangeReason::Profile);
    }
    let there = facts.pod.at(&["metadata", "annotations"]);
    let members = there.map(Json::members).unwrap_or_default();
    let bytes = members.iter().filter(|(key, _)| key != STATUS);
    let mut bytes: usize = bytes.map(|(key, value)| size(key, value)).sum();
    let (name, digest) = (facts.selected.name, facts.selected.digest);
    let status = format!(r#"{{"profile":"{name}","version":"{VERSION}","digest":"{digest}"}}"#);
    let before = there.and_then(|all| all.get(STATUS));
    let is_same = before.and_then(Json::as_str) == Some(&status);
    let status = Json::from(status);
    // First, and with the room that it takes: what is left for others is then the same in a second call.
    if !is_same && fits(&mut bytes, STATUS, &status, ConflictCode::StatusLeftOut, changes) {
        set(changes, "annotations", STATUS, status, ChangeReason::Status);
    } else if let Some(before) = before {
        bytes += size(STATUS, before);
    }
    for (key, wanted) in missing(facts, "annotations", &template.annotations, changes) {
        if fits(&mut bytes, key, wanted, ConflictCode::FieldKept, changes) {
            set(changes, "annotations", key, wanted, ChangeReason::Profile);
        }
    }
}

/// The fields that the pod has not; a conflict for each that it has with another value.
fn missing<'p>(
    facts: &Facts<'p>,
    map: &str,
    wanted: &'p Fields,
    changes: &mut Changes<'p>,
) -> Vec<(&'p str, &'p Json<'static>)> {
    let mut missing = Vec::new();
    for (key, wanted) in wanted {
        match facts.pod.at(&["metadata", map, key]) {
            None => missing.push((key.as_str(), wanted)),
            Some(there) if is_subset(wanted, there) => {}
            Some(_) => {
                let path = format!("metadata.{map}[{key}]");
                changes.kept(ConflictCode::FieldKept, path, facts.profile());
            }
        }
    }
    missing
}

/// Whether the annotation has room beside the `bytes` of the others; adds it to them if so.
fn fits(
    bytes: &mut usize,
    key: &str,
    value: &Json<'_>,
    code: ConflictCode,
    changes: &mut Changes<'_>,
) -> bool {
    let all = *bytes + size(key, value);
    if all <= MAX_ANNOTATION_BYTES {
        *bytes = all;
        return true;
    }
    let message = "left out, because the pod's annotations are at the API server's limit";
    changes.conflict(code, Winner::ScaleSet, format!("metadata.annotations[{key}]"), message);
    false
}

fn size(key: &str, value: &Json<'_>) -> usize {
    key.len() + value.as_str().map_or(0, str::len)
}

fn set<'p>(
    changes: &mut Changes<'p>,
    map: &'p str,
    key: &'p str,
    value: impl Content<'p>,
    reason: ChangeReason,
) {
    let steps = [Step::key("metadata"), Step::key(map), Step::key(key)];
    changes.edits.set(&steps, value, reason);
}
