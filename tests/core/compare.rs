//! Pods compared by meaning: generated ones with themselves, respelt, filled in, and changed at one
//! place; and patched ones with what was there before.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use arc_rocm::{
    compare::{Class, Difference, compare},
    inject::Config,
    podspec::{Json, Quantity, paths::canonical},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    generate::{Dice, api_server, each_object, pods},
    properties::proptest_config,
    support::{ask, review},
};

fn differences(a: &Value, b: &Value) -> Vec<Difference> {
    compare(&Json::of(a), &Json::of(b))
}

fn lines(found: &[Difference]) -> String {
    let line = |one: &Difference| format!("{}: {:?} | {:?}", one.path, one.a, one.b);
    found.iter().map(line).collect::<Vec<_>>().join("\n")
}

proptest! {
    #![proptest_config(proptest_config())]

    #[test]
    fn pod_is_the_same_as_itself(pod in pods::cases()) {
        let pod = &pod.review()["request"]["object"];
        let found = differences(pod, pod);
        prop_assert!(found.is_empty(), "{}", lines(&found));
    }

    #[test]
    fn differences_are_mirrored(one in pods::cases(), other in pods::cases(), is_patched: bool) {
        let one = &one.review()["request"]["object"];
        let review = other.review();
        let other = if is_patched {
            ask(&review, &Config::default()).pod
        } else {
            review["request"]["object"].clone()
        };
        let flat = |found: Vec<Difference>, is_turned: bool| {
            let each = found.into_iter().map(|Difference { path, a, b, class, note, .. }| {
                let (a, b) = if is_turned { (b, a) } else { (a, b) };
                (path, class, a, b, note)
            });
            let mut all: Vec<_> = each.collect();
            all.sort();
            all
        };
        prop_assert_eq!(flat(differences(one, &other), false), flat(differences(&other, one), true));
    }

    /// Another order, other spellings of amounts and paths, and what the API server fills in.
    #[test]
    fn respelt_pod_is_the_same(pod in pods::cases(), seed: u64) {
        let pod = &pod.review()["request"]["object"];
        let mut other = api_server::again(pod);
        respell(&mut other, &mut Dice::new(seed));
        let found = differences(pod, &other);
        prop_assert!(found.is_empty(), "{}\n{pod:#}\n{other:#}", lines(&found));
    }

    #[test]
    fn changed_value_is_reported_at_its_path(pod in pods::cases(), seed: u64) {
        let pod = &pod.review()["request"]["object"];
        let mut leaves = Vec::new();
        each_leaf("", "", pod, &mut |pointer, path| leaves.push((pointer, path)));
        let (pointer, path) = &leaves[Dice::new(seed).below(leaves.len())];
        let mut other = pod.clone();
        change(other.pointer_mut(pointer).unwrap());
        let found = differences(pod, &other);
        let show = || format!("{pointer} {path}\n{}\n{pod:#}", lines(&found));
        prop_assert!(!found.is_empty(), "{}", show());
        // Command and args are one line, a request that is missing follows its limit, and an item
        // with another key is another item.
        let is_about = |one: &Difference| {
            one.path == *path
                || path.strip_suffix(".args").is_some_and(|at| one.path == format!("{at}.command"))
                || one.path == path.replace(".limits[", ".requests[")
                || is_key(pointer) && path.starts_with(list_of(&one.path))
        };
        prop_assert!(found.iter().any(is_about), "{}", show());
        if !is_key(pointer) {
            prop_assert!(found.iter().all(is_about), "{}", show());
        }
    }
}

/// The list that an item is in.
fn list_of(path: &str) -> &str {
    path.rsplit_once('[').map_or(path, |(list, _)| list)
}

/// Whether a field is what its item is found by.
fn is_key(pointer: &str) -> bool {
    let tokens: Vec<&str> = pointer.split('/').collect();
    let [.., list, index, field] = tokens.as_slice() else { return false };
    index.parse::<usize>().is_ok() && keys(list).contains(field)
}

/// The fields by which the items of a list are found; none for a list whose order counts.
fn keys(list: &str) -> &'static [&'static str] {
    match list {
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" | "claims"
        | "resourceClaims" | "schedulingGates" | "sysctls" | "options" => &["name"],
        "volumeMounts" => &["mountPath"],
        "volumeDevices" => &["devicePath"],
        "ports" => &["containerPort", "protocol"],
        "hostAliases" => &["ip"],
        "items" => &["path"],
        "resizePolicy" => &["resourceName"],
        "readinessGates" => &["conditionType"],
        "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
        _ => &[],
    }
}

/// Lists whose items are found by all that they are.
const SETS: [&str; 5] = [
    "tolerations",
    "nodeSelectorTerms",
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
    "sources",
];

/// The texts of an item's keys, as a path has them.
fn item_key(list: &str, item: &Value) -> String {
    let text = |key: &&str| match &item[*key] {
        Value::String(path) if *key == "mountPath" => {
            let path = canonical(path);
            let is_run = path == "/run" || path.starts_with("/run/");
            Some(if is_run { format!("/var{path}") } else { path.to_owned() })
        }
        Value::String(text) if *key == "protocol" && text == "TCP" => None,
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        value => Some(value.to_string()),
    };
    keys(list).iter().filter_map(text).collect::<Vec<_>>().join("/")
}

/// Visits each value that a pod's author may write, with its pointer and its path.
fn each_leaf(pointer: &str, path: &str, value: &Value, visit: &mut dyn FnMut(String, String)) {
    let field = pointer.rsplit('/').next().unwrap();
    match value {
        Value::Object(members) => {
            for (key, value) in members.iter().filter(|(key, _)| !is_left_out(pointer, key)) {
                let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                let path = match field {
                    "" => key.clone(),
                    "requests" | "limits" => format!("{path}[{key}]"),
                    _ => format!("{path}.{key}"),
                };
                each_leaf(&pointer, &path, value, visit);
            }
        }
        Value::Array(items) => {
            let is_whole = SETS.contains(&field) || items.iter().all(is_scalar);
            let mut seen = HashSet::new();
            let own = items.iter().enumerate().filter(|(_, item)| !is_added(field, item));
            for (index, item) in own {
                let pointer = format!("{pointer}/{index}");
                if is_whole {
                    let whole = &mut |pointer, _| visit(pointer, path.to_owned());
                    each_leaf(&pointer, path, item, whole);
                    continue;
                }
                let path = match item_key(field, item) {
                    _ if keys(field).is_empty() => format!("{path}[{index}]"),
                    key => format!("{path}[{key}]"),
                };
                // Of two with one key the second has a number.
                if seen.insert(path.clone()) {
                    each_leaf(&pointer, &path, item, visit);
                }
            }
        }
        Value::Null => {}
        _ => visit(pointer.to_owned(), path.to_owned()),
    }
}

fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

/// What is not the author's: `docs/cli.md` has the list.
fn is_left_out(object: &str, key: &str) -> bool {
    match object {
        "" => !["metadata", "spec"].contains(&key),
        "/metadata" => !["labels", "annotations", "namespace"].contains(&key),
        "/metadata/labels" | "/metadata/annotations" => {
            ["actions", "app.kubernetes.io/", "helm.sh/", "pod-template-hash"]
                .iter()
                .any(|start| key.starts_with(start))
        }
        "/spec" => ["nodeName", "overhead", "preemptionPolicy", "priority", "serviceAccount"]
            .contains(&key),
        _ => false,
    }
}

fn is_added(list: &str, item: &Value) -> bool {
    let text = |key: &str| item[key].as_str().unwrap_or_default();
    match list {
        "env" => {
            ["ACTIONS_RUNNER_", "GITHUB_ACTIONS_"].iter().any(|own| text("name").starts_with(own))
        }
        "volumes" | "volumeMounts" => text("name").starts_with("kube-api-access-"),
        "tolerations" => text("key").starts_with("node.kubernetes.io/"),
        _ => false,
    }
}

/// Changes a value to another of its type.
fn change(value: &mut Value) {
    *value = match &*value {
        Value::String(text) if text.parse::<Quantity>().is_ok() => format!("7{text}").into(),
        Value::String(text) => format!("x{text}").into(),
        Value::Bool(flag) => (!flag).into(),
        number => (number.as_i64().unwrap() + 1).into(),
    };
}

/// Writes the same pod in another way.
fn respell(pod: &mut Value, dice: &mut Dice) {
    let is_unordered = |list: &str, items: &[Value]| {
        let mut seen = HashSet::new();
        // Init containers run one after the other, and `$(NAME)` is about the variables before.
        list != "initContainers"
            && !(list == "env" && json!(items).to_string().contains("$("))
            && (SETS.contains(&list)
                || ["supplementalGroups", "add", "drop"].contains(&list)
                || !keys(list).is_empty()
                    && items.iter().all(|item| seen.insert(item_key(list, item))))
    };
    each_object(pod, &mut |object| {
        for (field, value) in object.as_object_mut().unwrap() {
            match value {
                Value::Array(items) if is_unordered(field, items) => {
                    for end in (1..items.len()).rev() {
                        items.swap(end, dice.below(end + 1));
                    }
                }
                Value::String(path) if field == "mountPath" && path.starts_with('/') => {
                    let path = canonical(path);
                    let path = match path.strip_prefix("/run") {
                        Some(rest) if dice.chance(50) => format!("/var/run{rest}/"),
                        _ => format!("{path}/"),
                    };
                    *value = path.into();
                }
                Value::Object(amounts) if ["requests", "limits"].contains(&field.as_str()) => {
                    for amount in amounts.values_mut().filter(|amount| amount.is_string()) {
                        *amount = respelt(amount.as_str().unwrap()).into();
                    }
                }
                Value::String(amount) if field == "sizeLimit" => *value = respelt(amount).into(),
                _ => {}
            }
        }
    });
}

/// An amount in another unit.
fn respelt(amount: &str) -> String {
    for (unit, times, smaller) in [("Gi", 1024, "Mi"), ("G", 1000, "M"), ("", 1000, "m")] {
        if let Some(Ok(number)) = amount.strip_suffix(unit).map(str::parse::<u64>) {
            return format!("{}{smaller}", number * times);
        }
    }
    amount.to_owned()
}

/// What the built-in profile makes of a captured runner differs from it, and is of one side.
#[test]
fn patched_pod_differs_from_plain_one() {
    let review = review("plain");
    let patched = ask(&review, &Config::default()).pod;
    let found = differences(&review["request"]["object"], &patched);
    let count = |class| found.iter().filter(|one| one.class == class).count();
    assert!(count(Class::Intended) > 10 && count(Class::Different) > 10, "{}", lines(&found));
    assert!(differences(&patched, &patched).is_empty());
}

#[test]
fn many_items_are_compared_in_linear_time() {
    let pod = |count: usize| {
        let env = (0..count).map(|index| json!({"name": format!("V{index}"), "value": "$(V1)"}));
        let volumes = (0..count).map(|index| json!({"name": format!("v{index}"), "emptyDir": {}}));
        let init = (0..count).map(|index| json!({"name": format!("c{index}"), "image": "a"}));
        let same = vec![json!({"key": "a"}); count];
        json!({"spec": {
            "containers": [{"name": "runner", "env": env.collect::<Vec<_>>()}],
            "initContainers": init.collect::<Vec<_>>(),
            "volumes": volumes.collect::<Vec<_>>(),
            "tolerations": same,
        }})
    };
    let time = |count: usize| {
        let mut other = pod(count);
        for list in ["initContainers", "volumes"] {
            other["spec"][list].as_array_mut().unwrap().reverse();
        }
        let pod = pod(count);
        let run = || {
            let start = Instant::now();
            assert_eq!(differences(&pod, &other).len(), 1);
            start.elapsed()
        };
        (0..3).map(|_| run()).min().unwrap()
    };
    let (few, many) = (time(500), time(4_000));
    assert!(many < few * 20 && many < Duration::from_secs(4), "{few:?} {many:?}");
}
