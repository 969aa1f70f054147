//! What must be looked at before anything is merged, because layering would swallow it.

use serde_json::Value;

use crate::{
    podspec::merge::Merge,
    profile::{
        inherit,
        layer::{CONTAINER_KEYS, container, is_same, template_field},
        report::{Part, Report},
    },
};

/// Checks a spec as its file has it: no list names one thing twice, and no item is empty.
pub(in crate::profile) fn written(spec: &Value, report: &mut Report<'_>) {
    let mut path = vec![Part::from("spec")];
    empty_items(spec, &mut path, report);
    let rule = |field: &str| match field {
        "template" => Merge::Map(template_field),
        _ => inherit::merge(field),
    };
    for (field, value) in spec.as_object().into_iter().flatten() {
        path.push(Part::from(field.as_str()));
        duplicates(value, rule(field), &mut path, report);
        path.pop();
    }
}

/// A null takes an inherited field away; an item of a list has nothing to take away.
fn empty_items(value: &Value, path: &mut Vec<Part>, report: &mut Report<'_>) {
    let mut child = |part: Part, value: &Value| {
        path.push(part);
        if value.is_null() && matches!(path.last(), Some(Part::Index(_))) {
            report.add(path, "an empty item; write a value or take it out");
        }
        empty_items(value, path, report);
        path.pop();
    };
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                child(Part::from(key.as_str()), value);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                child(Part::Index(index), value);
            }
        }
        _ => {}
    }
}

fn duplicates(value: &Value, merge: Merge, path: &mut Vec<Part>, report: &mut Report<'_>) {
    match (merge, value) {
        (Merge::Map(rule), Value::Object(members)) => {
            for (key, value) in members {
                path.push(Part::from(key.as_str()));
                duplicates(value, rule(key), path, report);
                path.pop();
            }
        }
        (Merge::Keyed(keys), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Part::Index(index));
                let mut earlier = items.iter().take(index);
                if !item.is_null() && earlier.any(|other| is_same(other, item, keys)) {
                    let key = keys.first().copied().unwrap_or_default();
                    path.push(Part::from(key));
                    let message = match item.get(key) {
                        Some(value) => format!("{value} is in this list already; take one out"),
                        None => "such an item is in this list already; take one out".to_owned(),
                    };
                    report.add(path, message);
                    path.pop();
                }
                if keys == CONTAINER_KEYS {
                    duplicates(item, Merge::Map(container), path, report);
                }
                path.pop();
            }
        }
        _ => {}
    }
}
