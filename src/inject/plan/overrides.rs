//! Differences that the scale set says are on purpose.

use super::conflict::{Conflict, Winner};
use crate::{annotations::OVERRIDES, podspec::Json};

/// Splits off the conflicts that the annotation `arc-rocm.dev/overrides` names: paths as warnings
/// print them, comma-separated, each for itself and all below. A change that the profile won is
/// none of the scale set's.
pub(super) fn split(pod: &Json<'_>, conflicts: Vec<Conflict>) -> (Vec<Conflict>, Vec<Conflict>) {
    let named = pod.at(&["metadata", "annotations", OVERRIDES]).and_then(Json::as_str);
    let named: Vec<&str> = named
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|path| !path.is_empty())
        .collect();
    conflicts.into_iter().partition(|conflict| {
        conflict.winner == Winner::ScaleSet
            && named.iter().any(|named| is_below(&conflict.path, named))
    })
}

/// Whether `path` is `named` or a part of it.
fn is_below(path: &str, named: &str) -> bool {
    path.strip_prefix(named).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::is_below;

    #[test]
    fn override_path_covers_its_parts() {
        let memory = "spec.containers[runner].resources.requests[memory]";
        assert!(is_below(memory, memory));
        assert!(is_below(memory, "spec.containers[runner].resources"));
        assert!(is_below(memory, "spec.containers[runner]"));
        assert!(!is_below(memory, "spec.containers[run"));
        assert!(!is_below(memory, "spec.containers[runner].resources.requests[cpu]"));
        assert!(!is_below("spec.nodeSelector", memory));
    }
}
