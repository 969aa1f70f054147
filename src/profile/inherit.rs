//! `extends`: a profile's spec over that of the profile that it builds on.

use serde_json::{Map, Value};

use super::layer::{Nulls, layer, resources, template};
use crate::podspec::merge::Merge;

/// Fields that are a profile's own and never inherited.
const OWN: [&str; 3] = ["extends", "match", "priority"];

/// The spec that results when `child` extends a profile whose own result is `parent`. Both are
/// specs that have passed the schema.
pub(super) fn inherit(parent: &Value, child: &Value) -> Value {
    let mut spec = parent.clone();
    if let (Value::Object(parent), Value::Object(child)) = (&mut spec, child) {
        parent.retain(|field, _| !OWN.contains(&field.as_str()));
        for (field, value) in child {
            field_over(parent, field, value);
        }
    }
    spec
}

fn field_over(parent: &mut Map<String, Value>, field: &str, value: &Value) {
    // A template's nulls must still reach what the short forms will stand for.
    if value.is_null() && field != "template" {
        parent.remove(field);
        return;
    }
    if let Some(parent) = parent.get_mut(field) {
        match field {
            "gpu" => amounts_over(parent, value),
            "runner" | "dind" => image_over(parent, value),
            _ => {}
        }
    }
    match parent.get_mut(field) {
        None => {
            parent.insert(field.to_owned(), value.clone());
        }
        Some(parent) => match field {
            "template" => template(parent, value, Nulls::Keep),
            _ => layer(parent, value, merge(field), Nulls::Delete),
        },
    }
}

/// The rule of a field of the spec, but for `template`.
pub(super) fn merge(field: &str) -> Merge {
    match field {
        "gpu" => Merge::Map(|field| match field {
            "perGpu" | "total" => Merge::Map(|_| Merge::Atomic),
            _ => Merge::Atomic,
        }),
        "runner" => Merge::Map(|field| match field {
            "resources" => resources(),
            "env" => Merge::Keyed(&["name"]),
            "volumeMounts" => Merge::Keyed(&["mountPath"]),
            _ => Merge::Atomic,
        }),
        "dind" => Merge::Map(|field| match field {
            "resources" => resources(),
            _ => Merge::Atomic,
        }),
        "start" => Merge::Map(|_| Merge::Atomic),
        "sharedVolumes" => Merge::Keyed(&["name"]),
        _ => Merge::Atomic,
    }
}

/// An amount per GPU takes the place of an inherited total of the same resource, and the other
/// way round.
fn amounts_over(parent: &mut Value, child: &Value) {
    for (own, other) in [("perGpu", "total"), ("total", "perGpu")] {
        let Some(Value::Object(own)) = child.get(own) else { continue };
        if let Some(Value::Object(other)) = parent.get_mut(other) {
            other.retain(|resource, _| !own.contains_key(resource));
        }
    }
}

/// A pull policy belongs to its image.
fn image_over(parent: &mut Value, child: &Value) {
    if child.get("image").is_some()
        && let Value::Object(parent) = parent
    {
        parent.remove("imagePullPolicy");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_amount_per_gpu_takes_the_place_of_the_inherited_total() {
        let parent = json!({"gpu": {"count": 2, "total": {"cpu": "40", "memory": "1Gi"}}});
        let child = json!({"gpu": {"perGpu": {"cpu": "10"}}});
        assert_eq!(
            inherit(&parent, &child),
            json!({"gpu": {"count": 2, "total": {"memory": "1Gi"}, "perGpu": {"cpu": "10"}}}),
        );
    }

    #[test]
    fn match_and_priority_are_not_inherited_and_a_pull_policy_stays_with_its_image() {
        let parent = json!({"match": {}, "priority": 5, "extends": "x",
            "runner": {"image": "a", "imagePullPolicy": "Always"}});
        assert_eq!(
            inherit(&parent, &json!({"runner": {"image": "b"}})),
            json!({"runner": {"image": "b"}}),
        );
        assert_eq!(
            inherit(&parent, &json!({"groups": [1]})),
            json!({"groups": [1], "runner": {"image": "a", "imagePullPolicy": "Always"}}),
        );
    }

    #[test]
    fn null_takes_an_inherited_short_form_away_and_stays_in_the_template() {
        let parent =
            json!({"dind": {"mtu": 1400}, "template": {"spec": {"nodeSelector": {"a": "b"}}}});
        let child = json!({"dind": null, "template": {"spec": {"nodeSelector": {"a": null}}}});
        assert_eq!(
            inherit(&parent, &child),
            json!({"template": {"spec": {"nodeSelector": {"a": null}}}}),
        );
    }
}
