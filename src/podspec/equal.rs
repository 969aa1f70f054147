//! When two values are equal to the API server.

use super::{Json, Quantity, paths::canonical};

/// Fields that hold a quantity, which the API server rewrites (`1024Mi` becomes `1Gi`), so they
/// are compared by value.
pub const QUANTITIES: [&str; 3] = ["divisor", "sizeLimit", "storage"];

/// Whether `there` has everything that `wanted` has. It may have more: the API server fills in
/// defaults (`defaultMode`, `protocol`, `apiVersion` of a fieldRef) after each webhook.
pub fn is_subset(wanted: &Json<'_>, there: &Json<'_>) -> bool {
    match (wanted, there) {
        (Json::Array(wanted), Json::Array(there)) => {
            wanted.len() == there.len() && wanted.iter().zip(there).all(|(a, b)| is_subset(a, b))
        }
        (Json::Object(wanted), Json::Object(_)) => {
            wanted.iter().all(|(key, wanted)| match there.get(key) {
                None => is_empty(wanted),
                Some(there) if QUANTITIES.contains(&key.as_ref()) => same_quantity(wanted, there),
                Some(there) => is_subset(wanted, there),
            })
        }
        (wanted, there) => wanted == there,
    }
}

/// Whether two quantities have the same value, whichever way they are written.
fn same_quantity(one: &Json<'_>, other: &Json<'_>) -> bool {
    match (quantity(one), quantity(other)) {
        (Some(one), Some(other)) => one == other,
        _ => is_subset(one, other),
    }
}

/// The quantity that a value is; numbers count as their text, as in the API server.
pub fn quantity(json: &Json<'_>) -> Option<Quantity> {
    match json {
        Json::String(text) => text.parse().ok(),
        Json::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// Whether two items of a keyed list are the same item: the fields `keys` are equal.
pub fn same_item(one: &Json<'_>, other: &Json<'_>, keys: &[&str]) -> bool {
    // The one key with a default (k8s.io/api core/v1, ContainerPort).
    let is_default =
        |key: &str, value: &Json<'_>| key == "protocol" && value.as_str() == Some("TCP");
    keys.iter().all(|&key| match (one.get(key), other.get(key)) {
        (Some(Json::String(a)), Some(Json::String(b))) if key == "mountPath" => {
            canonical(a) == canonical(b)
        }
        (Some(a), Some(b)) => is_subset(a, b),
        (None, None) => true,
        (Some(value), None) | (None, Some(value)) => is_default(key, value),
    })
}

/// Whether a list without keys already has `wanted`.
pub fn set_has(items: &[Json<'_>], wanted: &Json<'_>) -> bool {
    // Both ways: a toleration of one effect is not one of all effects.
    items.iter().any(|item| {
        is_subset(wanted, item)
            && item.members().iter().all(|(key, _)| wanted.get(key.as_ref()).is_some())
    })
}

/// Values that the API server drops when it encodes a pod.
fn is_empty(value: &Json<'_>) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(flag) => !flag,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Number(number) => number.as_i64() == Some(0),
        Json::Object(_) | Json::Script(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn subset(wanted: &Value, there: &Value) -> bool {
        is_subset(&Json::of(wanted), &Json::of(there))
    }

    #[test]
    fn subset_ignores_api_server_defaults() {
        let there = json!({"name": "c", "configMap": {"name": "x", "defaultMode": 420}});
        assert!(subset(&json!({"name": "c", "configMap": {"name": "x"}}), &there));
        assert!(!subset(&json!({"name": "c", "configMap": {"name": "y"}}), &there));
        assert!(!subset(&json!({"name": "c", "emptyDir": {}}), &there));
    }

    #[test]
    fn subset_compares_quantities_by_value() {
        let limit = |text: &str| json!({"emptyDir": {"sizeLimit": text}});
        assert!(subset(&limit("1024Mi"), &limit("1Gi")));
        assert!(!subset(&limit("1Gi"), &limit("2Gi")));
    }

    #[test]
    fn subset_counts_empty_as_absent() {
        let wanted = json!({"name": "A", "value": ""});
        assert!(subset(&wanted, &json!({"name": "A"})));
        assert!(!subset(&wanted, &json!({"name": "A", "value": "x"})));
    }

    #[test]
    fn items_are_matched_by_their_keys() {
        let same = |one: Value, other: Value, keys: &[&str]| {
            same_item(&Json::of(&one), &Json::of(&other), keys)
        };
        let port = |protocol: Value| json!({"containerPort": 80, "protocol": protocol});
        let keys = ["containerPort", "protocol"];
        assert!(same(port(Value::Null), port(json!("TCP")), &keys));
        assert!(!same(port(Value::Null), port(json!("UDP")), &keys));
        let mount = |path: &str| json!({"mountPath": path});
        assert!(same(mount("/var/run"), mount("/run/"), &["mountPath"]));
        assert!(!same(mount("/var/run"), mount("/run/x"), &["mountPath"]));
    }

    #[test]
    fn toleration_without_effect_is_another() {
        let (one, all) = (json!({"key": "a", "effect": "NoSchedule"}), json!({"key": "a"}));
        assert!(!set_has(&[Json::of(&one)], &Json::of(&all)));
        assert!(!set_has(&[Json::of(&all)], &Json::of(&one)));
        assert!(set_has(&[Json::of(&all)], &Json::of(&all)));
    }
}
