//! Layering: one template over another, the upper one wins. Lists come together by Kubernetes'
//! own keys, the same as in the plan.

use serde_json::{Map, Value};

use crate::podspec::{
    merge::{Merge, container_field, pod_field},
    paths::canonical,
};

/// Lays the PodTemplateSpec `over` onto `base`.
pub(super) fn template(base: &mut Value, over: &Value) {
    layer(base, over, Merge::Map(template_field));
}

/// Lays `over` onto `base`, merged as `merge` says.
pub(super) fn layer(base: &mut Value, over: &Value, merge: Merge) {
    match (merge, base, over) {
        (Merge::Map(rule), Value::Object(base), Value::Object(over)) => {
            map(base, over, rule);
        }
        (Merge::Set | Merge::AtMost(_), Value::Array(base), Value::Array(over)) => {
            for item in over {
                if !base.contains(item) {
                    base.push(item.clone());
                }
            }
        }
        (Merge::Keyed(keys), Value::Array(base), Value::Array(over)) => {
            // From the end: a new item goes in before the next one that is there, so that an init
            // container can be put before `dind`.
            let mut next = base.len();
            for item in over.iter().rev() {
                let there = base.iter().position(|other| is_same(other, item, keys));
                next = there.unwrap_or(next);
                match base.get_mut(next).filter(|_| there.is_some()) {
                    Some(other) if keys == CONTAINER_KEYS => {
                        layer(other, item, Merge::Map(container));
                    }
                    Some(other) => *other = item.clone(),
                    None => base.insert(next, item.clone()),
                }
            }
        }
        (_, base, over) => *base = over.clone(),
    }
}

fn map(base: &mut Map<String, Value>, over: &Map<String, Value>, rule: fn(&str) -> Merge) {
    for (key, value) in over {
        match base.get_mut(key) {
            Some(base) => layer(base, value, rule(key)),
            None => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// What the PodTemplateSpec `over` has beyond `base`: laid onto `base`, it gives the same as `over` does.
/// `None` where that is nothing.
pub(crate) fn beyond(base: &Value, over: &Value) -> Option<Value> {
    rest(base, over, Merge::Map(template_field))
}

fn rest(base: &Value, over: &Value, merge: Merge) -> Option<Value> {
    if base == over {
        return None;
    }
    match (merge, base, over) {
        (Merge::Map(rule), Value::Object(base), Value::Object(over)) => {
            let more = over.iter().filter_map(|(key, value)| {
                let value = match base.get(key) {
                    Some(base) => rest(base, value, rule(key))?,
                    None => value.clone(),
                };
                Some((key.clone(), value))
            });
            some(more.collect::<Map<_, _>>()).map(Value::Object)
        }
        (Merge::Set | Merge::AtMost(_), Value::Array(base), Value::Array(over)) => {
            let more = over.iter().filter(|item| !base.contains(item)).cloned();
            some(more.collect::<Vec<_>>()).map(Value::Array)
        }
        (Merge::Keyed(keys), Value::Array(base), Value::Array(over)) => {
            let is_containers = keys == CONTAINER_KEYS;
            let mut more: Vec<Value> = Vec::new();
            // A container that goes in before one of the base's needs that one in the list.
            let mut next = None;
            // From the end, as `layer` goes.
            for item in over.iter().rev() {
                let named = |rest: Option<Value>| {
                    let mut named = rest.unwrap_or_else(|| Value::Object(Map::new()));
                    if let (Value::Object(named), Some(name)) = (&mut named, item.get("name")) {
                        named.insert("name".into(), name.clone());
                    }
                    named
                };
                match base.iter().find(|other| is_same(other, item, keys)) {
                    None => {
                        more.extend(next.take());
                        more.push(item.clone());
                    }
                    Some(there) if is_containers => {
                        let rest = rest(there, item, Merge::Map(container));
                        let has_more = rest.is_some();
                        let item = named(rest);
                        next = (!has_more).then(|| item.clone());
                        more.extend(has_more.then_some(item));
                    }
                    Some(there) if there == item => {}
                    Some(_) => more.push(item.clone()),
                }
            }
            more.reverse();
            some(more).map(Value::Array)
        }
        (_, _, over) => Some(over.clone()),
    }
}

/// What is not empty.
fn some<T: Default + PartialEq>(all: T) -> Option<T> {
    (all != T::default()).then_some(all)
}

/// Marks the lists of containers, whose items are layered field by field.
pub(super) const CONTAINER_KEYS: &[&str] = &["name", ""];

/// The rule of a field of a PodTemplateSpec.
pub(super) fn template_field(field: &str) -> Merge {
    match field {
        "metadata" => Merge::Map(|_| Merge::Map(|_| Merge::Atomic)),
        "spec" => Merge::Map(|field| match field {
            "containers" | "initContainers" => Merge::Keyed(CONTAINER_KEYS),
            "volumes" => Merge::Keyed(&["name"]),
            field => pod_field(field),
        }),
        _ => Merge::Atomic,
    }
}

/// The rule of a field of a container.
pub(super) fn container(field: &str) -> Merge {
    match field {
        "resources" => resources(),
        field => container_field(field),
    }
}

/// Requests and limits, resource by resource.
pub(super) fn resources() -> Merge {
    Merge::Map(|field| match field {
        "claims" => Merge::Keyed(&["name"]),
        _ => Merge::Map(|_| Merge::Atomic),
    })
}

/// Whether two items of a keyed list are the same item.
pub(super) fn is_same(a: &Value, b: &Value, keys: &[&str]) -> bool {
    let get = |item: &Value, key: &str| match (key, item.get(key)) {
        ("mountPath", Some(Value::String(path))) => Some(canonical(path).into()),
        // The one key with a default (k8s.io/api core/v1, ContainerPort).
        ("protocol", None) => Some(Value::from("TCP")),
        (_, found) => found.cloned(),
    };
    keys.iter().all(|key| get(a, key) == get(b, key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn layered(mut base: Value, over: &Value) -> Value {
        template(&mut base, over);
        base
    }

    #[test]
    fn layer_merges_containers_by_name_and_field() {
        let base = json!({"spec": {"containers": [{"name": "runner", "image": "a",
            "env": [{"name": "A", "value": "1"}], "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]}});
        let over = json!({"spec": {"containers": [
            {"name": "runner", "env": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}],
             "resources": {"requests": {"cpu": "2"}}},
            {"name": "more", "image": "b"}]}});
        assert_eq!(
            layered(base, &over),
            json!({"spec": {"containers": [
                {"name": "runner", "image": "a",
                 "env": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}],
                 "resources": {"requests": {"cpu": "2", "memory": "1Gi"}}},
                {"name": "more", "image": "b"}]}}),
        );
    }

    #[test]
    fn layer_keeps_the_upper_order_around_known_items() {
        let list = |names: &[&str]| {
            let items = names.iter().map(|name| json!({"name": name}));
            json!({"spec": {"initContainers": items.collect::<Vec<_>>()}})
        };
        for (over, all) in [
            (&["x", "y"][..], &["a", "dind", "x", "y"][..]),
            (&["x", "dind"], &["a", "x", "dind"]),
            (&["x", "y", "dind", "z"], &["a", "x", "y", "dind", "z"]),
            (&["x", "dind", "y", "a"], &["y", "a", "x", "dind"]),
        ] {
            assert_eq!(layered(list(&["a", "dind"]), &list(over)), list(all));
        }
    }

    #[test]
    fn beyond_is_what_layer_needs() {
        let base = json!({"spec": {
            "restartPolicy": "Never",
            "tolerations": [{"key": "a"}],
            "initContainers": [{"name": "copy", "image": "i"}, {"name": "dind", "image": "d",
                "env": [{"name": "A", "value": "1"}]}],
            "containers": [{"name": "runner", "resources": {"requests": {"cpu": "1"}}}],
            "volumes": [{"name": "v", "emptyDir": {}}]}});
        for (over, more) in [
            (base.clone(), None),
            (
                json!({"spec": {"tolerations": [{"key": "a"}, {"key": "b"}]}}),
                Some(json!({"spec": {"tolerations": [{"key": "b"}]}})),
            ),
            (
                json!({"spec": {"containers": [{"name": "runner",
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]}}),
                Some(json!({"spec": {"containers": [{"name": "runner",
                "resources": {"requests": {"memory": "1Gi"}}}]}})),
            ),
            (
                json!({"spec": {"initContainers": [{"name": "copy"}, {"name": "new"}, {"name": "dind"}]}}),
                Some(json!({"spec": {"initContainers": [{"name": "new"}, {"name": "dind"}]}})),
            ),
            (
                json!({"spec": {"initContainers": [{"name": "dind", "env": [{"name": "A", "value": "2"}]},
                {"name": "new"}]}}),
                Some(json!({"spec": {"initContainers": [{"name": "dind",
                "env": [{"name": "A", "value": "2"}]}, {"name": "new"}]}})),
            ),
            (
                json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}}),
                Some(json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}})),
            ),
        ] {
            let found = beyond(&base, &over);
            assert_eq!(found, more);
            let laid = layered(base.clone(), &found.unwrap_or_else(|| json!({})));
            assert_eq!(laid, layered(base.clone(), &over));
        }
    }

    #[test]
    fn layer_replaces_a_volume_whole() {
        let base = json!({"spec": {"nodeSelector": {"a": "b"},
            "volumes": [{"name": "v", "emptyDir": {}}]}});
        let over = json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}});
        assert_eq!(
            layered(base, &over),
            json!({"spec": {"nodeSelector": {"a": "b"},
                "volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}}),
        );
    }

    #[test]
    fn layer_treats_path_spellings_as_one_mount() {
        let base = json!({"spec": {"containers": [{"name": "runner",
            "volumeMounts": [{"name": "a", "mountPath": "/var/run"}]}]}});
        let over = json!({"spec": {"containers": [{"name": "runner",
            "volumeMounts": [{"name": "b", "mountPath": "/run/"}]}]}});
        assert_eq!(layered(base, &over), over);
    }

    #[test]
    fn layer_merges_groups_and_tolerations_as_sets() {
        let base = json!({"spec": {"securityContext": {"supplementalGroups": [110]},
            "tolerations": [{"key": "a"}]}});
        let over = json!({"spec": {"securityContext": {"supplementalGroups": [44, 110]},
            "tolerations": [{"key": "a"}, {"key": "b"}]}});
        assert_eq!(
            layered(base, &over),
            json!({"spec": {"securityContext": {"supplementalGroups": [110, 44]},
                "tolerations": [{"key": "a"}, {"key": "b"}]}}),
        );
    }
}
