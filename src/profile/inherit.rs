//! `extends`: a profile's spec over that of the profile that it builds on, less what `remove`
//! takes away.

use serde_json::{Map, Value};

use super::{
    layer::{CONTAINER_KEYS, container, layer, resources, template_field},
    normal::text_of,
};
use crate::podspec::{merge::Merge, paths::canonical};

/// Fields that are a profile's own and never inherited.
const OWN: [&str; 4] = ["extends", "remove", "match", "priority"];
/// Most names that a message lists.
const MOST_LISTED: usize = 10;

/// The spec that results when `child` extends a profile whose own result is `parent`, and for each
/// pointer of `remove` that is no good its index and why.
pub(super) fn inherit(parent: &Value, child: &Value) -> (Value, Vec<(usize, String)>) {
    let mut spec = parent.clone();
    if let Value::Object(parent) = &mut spec {
        parent.retain(|field, _| !OWN.contains(&field.as_str()));
    }
    let mut problems = Vec::new();
    let pointers = child.get("remove").and_then(Value::as_array).into_iter().flatten();
    for (index, pointer) in pointers.filter_map(Value::as_str).enumerate() {
        if let Err(message) = remove(&mut spec, pointer) {
            problems.push((index, message));
        }
    }
    if let (Value::Object(spec), Value::Object(child)) = (&mut spec, child) {
        for (field, value) in child.iter().filter(|(field, _)| *field != "remove") {
            field_over(spec, field, value);
        }
    }
    (spec, problems)
}

fn field_over(parent: &mut Map<String, Value>, field: &str, value: &Value) {
    let Some(parent) = parent.get_mut(field) else {
        parent.insert(field.to_owned(), value.clone());
        return;
    };
    match field {
        "gpu" => amounts_over(parent, value),
        "runner" | "dind" => image_over(parent, value),
        _ => {}
    }
    layer(parent, value, merge(field));
}

/// The rule of a field of the spec.
pub(super) fn merge(field: &str) -> Merge {
    match field {
        "gpu" => Merge::Map(|field| match field {
            "perGpu" | "total" => Merge::Map(|_| Merge::Atomic),
            "byCount" => Merge::Map(|_| Merge::Map(|_| Merge::Atomic)),
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
            "env" => Merge::Keyed(&["name"]),
            _ => Merge::Atomic,
        }),
        "start" => Merge::Map(|field| match field {
            "isolationEnv" => Merge::Map(|_| Merge::Atomic),
            _ => Merge::Atomic,
        }),
        "sharedVolumes" => Merge::Keyed(&["name"]),
        "template" => Merge::Map(template_field),
        _ => Merge::Atomic,
    }
}

/// An amount per GPU takes the place of an inherited total of the same resource, and the other
/// way round; either takes the place of inherited amounts for single numbers of GPUs.
fn amounts_over(parent: &mut Value, child: &Value) {
    for (own, other) in [("perGpu", "total"), ("total", "perGpu")] {
        let Some(Value::Object(own)) = child.get(own) else { continue };
        let take = |amounts: Option<&mut Value>| {
            if let Some(Value::Object(amounts)) = amounts {
                amounts.retain(|resource, _| !own.contains_key(resource));
            }
        };
        take(parent.get_mut(other));
        if let Some(Value::Object(counts)) = parent.get_mut("byCount") {
            counts.values_mut().for_each(|amounts| take(Some(amounts)));
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

/// Takes what `pointer` (RFC 6901) points at out of `spec`. In a list it names an item by its key,
/// by itself where that is a text or a number, or else by its place, from 0.
fn remove(spec: &mut Value, pointer: &str) -> Result<(), String> {
    let Some(rest) = pointer.strip_prefix('/').filter(|rest| !rest.is_empty()) else {
        return Err("write a path into the inherited spec, such as /dind or \
                    /template/spec/nodeSelector/pytorch"
            .to_owned());
    };
    let tokens = rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~"));
    take(spec, Merge::Map(merge), &tokens.collect::<Vec<_>>())
        .map_err(|what| format!("nothing is inherited at {pointer}: {what}"))
}

/// Takes what `tokens` lead to out of `value`, which is merged as `rule` says.
fn take(value: &mut Value, rule: Merge, tokens: &[String]) -> Result<(), String> {
    let names = names(value, rule);
    let Some((token, rest)) = tokens.split_first() else { return Ok(()) };
    let place = names.iter().position(|name| is_same_name(name, token));
    let place = place.ok_or_else(|| nothing(token, &names))?;
    let below = match (value, rule) {
        (Value::Object(members), _) if rest.is_empty() => {
            members.remove(token);
            None
        }
        (Value::Array(items), _) if rest.is_empty() => {
            items.remove(place);
            None
        }
        (Value::Object(members), Merge::Map(rule)) => {
            members.get_mut(token).map(|value| (value, rule(token)))
        }
        (Value::Array(items), Merge::Keyed(keys)) if keys == CONTAINER_KEYS => {
            items.get_mut(place).map(|value| (value, Merge::Map(container)))
        }
        (Value::Object(members), _) => members.get_mut(token).map(|value| (value, Merge::Atomic)),
        (Value::Array(items), _) => items.get_mut(place).map(|value| (value, Merge::Atomic)),
        _ => None,
    };
    below.map_or(Ok(()), |(value, rule)| take(value, rule, rest))
}

/// What an item of a list is called in a pointer.
fn name(index: usize, item: &Value, rule: Merge) -> String {
    let key = match rule {
        Merge::Keyed(keys) => keys.first().and_then(|key| text_of(item.get(key)?)),
        _ => text_of(item),
    };
    key.unwrap_or_else(|| index.to_string())
}

/// Two spellings of a mount path are the same name.
fn is_same_name(name: &str, token: &str) -> bool {
    name == token || (name.starts_with('/') && canonical(name) == canonical(token))
}

/// What a pointer could say next.
fn names(value: &Value, rule: Merge) -> Vec<String> {
    match value {
        Value::Object(members) => members.keys().cloned().collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, item)| name(index, item, rule)).collect()
        }
        _ => Vec::new(),
    }
}

fn nothing(token: &str, names: &[String]) -> String {
    if names.is_empty() {
        return "there is nothing to take away".to_owned();
    }
    let more = if names.len() > MOST_LISTED { ", ..." } else { "" };
    let escaped = names.iter().map(|name| name.replace('~', "~0").replace('/', "~1"));
    let names = escaped.take(MOST_LISTED).collect::<Vec<_>>().join(", ");
    format!("no {token:?} in {names}{more}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn inherited(parent: &Value, child: &Value) -> Value {
        let (spec, problems) = inherit(parent, child);
        assert_eq!(problems, []);
        spec
    }

    #[test]
    fn per_gpu_amount_replaces_inherited_total() {
        let parent = json!({"gpu": {"count": 2, "total": {"cpu": "40", "memory": "1Gi"}}});
        let child = json!({"gpu": {"perGpu": {"cpu": "10"}}});
        assert_eq!(
            inherited(&parent, &child),
            json!({"gpu": {"count": 2, "total": {"memory": "1Gi"}, "perGpu": {"cpu": "10"}}}),
        );
    }

    #[test]
    fn amounts_by_count_are_merged_until_amount_is_replaced() {
        let by_count = |two: Value| json!({"gpu": {"byCount": {"2": two}}});
        let parent = by_count(json!({"cpu": "40", "memory": "1Gi"}));
        assert_eq!(
            inherited(&parent, &by_count(json!({"cpu": "30"}))),
            by_count(json!({"cpu": "30", "memory": "1Gi"})),
        );
        assert_eq!(
            inherited(&parent, &json!({"gpu": {"total": {"cpu": "10"}}})),
            json!({"gpu": {"total": {"cpu": "10"}, "byCount": {"2": {"memory": "1Gi"}}}}),
        );
    }

    #[test]
    fn inherit_omits_match_priority_and_foreign_pull_policy() {
        let parent = json!({"match": {}, "priority": 5, "extends": "x", "remove": ["/a"],
            "runner": {"image": "a", "imagePullPolicy": "Always"}});
        assert_eq!(
            inherited(&parent, &json!({"runner": {"image": "b"}})),
            json!({"runner": {"image": "b"}}),
        );
        assert_eq!(
            inherited(&parent, &json!({"groups": [1]})),
            json!({"groups": [1], "runner": {"image": "a", "imagePullPolicy": "Always"}}),
        );
    }

    fn parent() -> Value {
        json!({
            "groups": [44, 110],
            "dind": {"mtu": 1400, "extraArgs": ["--debug"]},
            "runner": {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            "sharedVolumes": [{"name": "cache", "mountPath": "/cache", "emptyDir": {}}],
            "template": {"spec": {
                "nodeSelector": {"pytorch": "yes", "example.com/pool": "a"},
                "tolerations": [{"key": "a"}, {"key": "b"}],
                "containers": [{"name": "runner", "env": [{"name": "HF_TOKEN", "value": "x"}],
                    "volumeMounts": [{"name": "v", "mountPath": "/run/v"}]}],
            }},
        })
    }

    #[test]
    fn remove_drops_inherited_fields_and_items() {
        let remove = [
            "/groups/110",
            "/dind/extraArgs/--debug",
            "/runner/env/A",
            "/sharedVolumes/cache",
            "/template/spec/nodeSelector/pytorch",
            "/template/spec/nodeSelector/example.com~1pool",
            "/template/spec/tolerations/1",
            "/template/spec/containers/runner/env/HF_TOKEN",
            "/template/spec/containers/runner/volumeMounts/~1var~1run~1v",
        ];
        assert_eq!(
            inherited(&parent(), &json!({"remove": remove})),
            json!({
                "groups": [44],
                "dind": {"mtu": 1400, "extraArgs": []},
                "runner": {"env": [{"name": "B", "value": "2"}]},
                "sharedVolumes": [],
                "template": {"spec": {
                    "nodeSelector": {},
                    "tolerations": [{"key": "a"}],
                    "containers": [{"name": "runner", "env": [], "volumeMounts": []}],
                }},
            }),
        );
    }

    #[test]
    fn remove_comes_before_own_fields() {
        let child = json!({"remove": ["/dind", "/groups"], "dind": {"gid": 1}});
        let spec = inherited(&parent(), &child);
        assert_eq!(spec.get("dind"), Some(&json!({"gid": 1})));
        assert_eq!((spec.get("groups"), spec.get("remove")), (None, None));
    }

    #[test]
    fn remove_of_missing_path_lists_fields() {
        for (pointer, wanted) in [
            (
                "/start",
                "nothing is inherited at /start: no \"start\" in dind, runner, \
                        sharedVolumes, template",
            ),
            ("/runner/env/C", "nothing is inherited at /runner/env/C: no \"C\" in A, B"),
            (
                "/template/spec/nodeSelector/example.com/pool",
                "nothing is inherited at /template/spec/nodeSelector/example.com/pool: no \
              \"example.com\" in example.com~1pool, pytorch",
            ),
            ("/dind/mtu/x", "nothing is inherited at /dind/mtu/x: there is nothing to take away"),
            (
                "dind",
                "write a path into the inherited spec, such as /dind or \
                      /template/spec/nodeSelector/pytorch",
            ),
        ] {
            let (_, problems) = inherit(&parent(), &json!({"remove": ["/groups", pointer]}));
            assert_eq!(problems, [(1, wanted.to_owned())]);
        }
    }
}
