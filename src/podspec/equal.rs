//! Whether the pod already says what the profile wants.

use serde_json::Value;

use super::{Json, Quantity};

/// Fields that hold a quantity, which the API server rewrites (`1024Mi` becomes `1Gi`), so they
/// are compared by value.
const QUANTITIES: [&str; 3] = ["divisor", "sizeLimit", "storage"];

/// Whether `there` has everything that `wanted` has. It may have more: the API server fills in
/// defaults (`defaultMode`, `protocol`, `apiVersion` of a fieldRef) after each webhook.
pub fn covers(there: &Json<'_>, wanted: &Value) -> bool {
    match (there, wanted) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(a), Value::Bool(b)) => a == b,
        (Json::Number(a), Value::Number(b)) => a == b,
        (Json::String(a), Value::String(b)) => a == b,
        (Json::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| covers(a, b))
        }
        (Json::Object(_), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| match there.get(key) {
                None => wanted.is_null() || is_empty(wanted),
                Some(there) if QUANTITIES.contains(&key.as_str()) => same_quantity(there, wanted),
                Some(there) => covers(there, wanted),
            })
        }
        _ => false,
    }
}

/// Whether two quantities have the same value, whichever way they are written.
pub fn same_quantity(there: &Json<'_>, wanted: &Value) -> bool {
    match (quantity(there), quantity_of(wanted)) {
        (Some(a), Some(b)) => a == b,
        _ => covers(there, wanted),
    }
}

/// The quantity that the pod has; numbers count as their text, as in the API server.
pub fn quantity(json: &Json<'_>) -> Option<Quantity> {
    match json {
        Json::String(text) => text.parse().ok(),
        Json::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// The quantity of a template.
pub fn quantity_of(value: &Value) -> Option<Quantity> {
    value.as_str().and_then(|text| text.parse().ok())
}

/// Values that the API server drops when it encodes a pod.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn covered(there: &str, wanted: &Value) -> bool {
        covers(&Json::parse(there).unwrap(), wanted)
    }

    #[test]
    fn defaults_that_the_api_server_adds_do_not_make_a_difference() {
        let there = r#"{"name":"c","configMap":{"name":"x","defaultMode":420}}"#;
        assert!(covered(there, &json!({"name": "c", "configMap": {"name": "x"}})));
        assert!(!covered(there, &json!({"name": "c", "configMap": {"name": "y"}})));
        assert!(!covered(there, &json!({"name": "c", "emptyDir": {}})));
    }

    #[test]
    fn quantities_are_compared_by_value() {
        assert!(covered(
            r#"{"emptyDir":{"sizeLimit":"1Gi"}}"#,
            &json!({"emptyDir": {"sizeLimit": "1024Mi"}})
        ));
        assert!(!covered(
            r#"{"emptyDir":{"sizeLimit":"2Gi"}}"#,
            &json!({"emptyDir": {"sizeLimit": "1Gi"}})
        ));
    }

    #[test]
    fn empty_values_count_as_absent() {
        assert!(covered(r#"{"name":"A"}"#, &json!({"name": "A", "value": ""})));
        assert!(!covered(r#"{"name":"A","value":"x"}"#, &json!({"name": "A", "value": ""})));
    }
}
