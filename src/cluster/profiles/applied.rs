//! What `kubectl apply` without `--server-side` drops: it sends no `null`, which takes an inherited
//! value away, and leaves it in its annotation alone.

use serde_json::Value;

/// The annotation in which client-side apply keeps what it was given.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The spec as its author wrote it: `applied`, the annotation's text, has it with every `null`, as
/// long as nothing else sets them apart. What was edited since by other means stays as it is.
pub(super) fn restored(spec: Value, applied: Option<&str>) -> Value {
    let written = applied
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
        .and_then(|mut object| object.get_mut("spec").map(Value::take));
    match written {
        Some(written) if without_null(&written) == stored(&spec, &written) => written,
        _ => spec,
    }
}

/// The stored spec without `null` and without what the API server has added by default.
fn stored(spec: &Value, written: &Value) -> Value {
    let mut spec = without_null(spec);
    if let Value::Object(members) = &mut spec
        && written.get("priority").is_none_or(Value::is_null)
        && members.get("priority") == Some(&Value::from(0))
    {
        members.remove("priority");
    }
    spec
}

fn without_null(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), without_null(value)))
                .collect(),
        ),
        Value::Array(items) => items.iter().map(without_null).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn applied(spec: &Value) -> String {
        json!({"kind": "RunnerProfile", "spec": spec}).to_string()
    }

    #[test]
    fn null_that_client_side_apply_has_dropped_is_still_meant() {
        let written = json!({"extends": "rocm", "groups": null,
            "template": {"spec": {"nodeSelector": {"pytorch": null, "pool": "mi300"}}}});
        let stored = json!({"extends": "rocm", "priority": 0,
            "template": {"spec": {"nodeSelector": {"pool": "mi300"}}}});
        assert_eq!(restored(stored, Some(&applied(&written))), written);
    }

    #[test]
    fn what_was_edited_after_the_apply_stays_as_it_is() {
        let written = json!({"groups": null, "extends": "rocm"});
        for edited in [json!({"extends": "other"}), json!({"extends": "rocm", "priority": 5})] {
            assert_eq!(restored(edited.clone(), Some(&applied(&written))), edited);
        }
    }

    #[test]
    fn without_a_readable_annotation_the_spec_is_what_is_stored() {
        let spec = json!({"groups": null});
        for applied in [None, Some("{"), Some("{}"), Some("null")] {
            assert_eq!(restored(spec.clone(), applied), spec);
        }
    }
}
