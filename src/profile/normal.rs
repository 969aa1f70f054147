//! One way to write things: numbers that stand for quantities become text, nulls go.

use serde_json::{Map, Value};

/// The text of a scalar that may stand unquoted, such as `cpu: 4`.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Brings a PodTemplateSpec into the form that the plan compares with pods: quantities as text, as
/// the API server writes them.
pub(crate) fn template(template: &mut Value) {
    let Some(spec) = template.get_mut("spec") else { return };
    for list in ["containers", "initContainers"] {
        for container in items(spec.get_mut(list)) {
            amounts(container.get_mut("resources"));
        }
    }
    for volume in items(spec.get_mut("volumes")) {
        for path in [
            "/emptyDir/sizeLimit",
            "/ephemeral/volumeClaimTemplate/spec/resources/requests/storage",
        ] {
            if let Some(amount) = volume.pointer_mut(path) {
                quote(amount);
            }
        }
    }
}

fn items(list: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    list.and_then(Value::as_array_mut).into_iter().flatten()
}

fn amounts(resources: Option<&mut Value>) {
    let Some(resources) = resources else { return };
    for map in ["requests", "limits"] {
        quote_all(resources.get_mut(map).and_then(Value::as_object_mut));
    }
}

fn quote_all(map: Option<&mut Map<String, Value>>) {
    for amount in map.into_iter().flat_map(|map| map.values_mut()) {
        quote(amount);
    }
}

fn quote(amount: &mut Value) {
    if let Value::Number(number) = amount {
        *amount = Value::String(number.to_string());
    }
}

/// Takes everything out that is null: to Kubernetes it is absent.
pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(drop_nulls);
        }
        _ => {}
    }
}
