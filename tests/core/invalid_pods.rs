//! Combinations of a profile and a scale set's template that would make a pod invalid: the API
//! server would refuse it, or no node could start it. The tests check the pod and its warnings.

mod containers;
mod dind;
mod gpus;
mod pairs;
mod pod;
mod resources;
mod security;
mod volumes;

use arc_rocm::inject::Config;
use serde_json::{Value, json};

use crate::{
    support::{Answered, ask_twice, config, review},
    validity::{self, problems},
};

/// Config with a profile `spec` on top of the built-in one.
fn over(spec: &Value) -> Config {
    let mut spec = spec.clone();
    spec["extends"] = "rocm".into();
    spec["match"] = json!({});
    config(
        &json!({"apiVersion": "arc-rocm.dev/v1alpha1", "kind": "RunnerProfile",
            "metadata": {"name": "test"}, "spec": spec})
        .to_string(),
    )
}

/// Config with the built-in profile and `pod` as template.
fn over_template(pod: &Value) -> Config {
    over(&json!({"template": {"spec": pod}}))
}

/// Answers for the plain runner pod with `change` applied. Checks that the resulting pod is valid
/// and that a second pass adds nothing.
fn answer(config: &Config, change: impl FnOnce(&mut Value)) -> Answered {
    let mut review = review("plain");
    change(&mut review["request"]["object"]);
    let answered = ask_twice(&review, config);
    assert_eq!(problems(&answered.pod), [""; 0], "{:#}", answered.pod);
    assert_eq!(validity::priority_problem(&review["request"]["object"], &answered.pod), None);
    answered
}

/// Answers for the plain runner pod whose runner container also has the fields of `own`.
fn answer_runner(config: &Config, own: Value) -> Answered {
    answer(config, |pod| merge(&mut pod["spec"]["containers"][0], own))
}

/// Sets the members of `over` in `base` and appends to lists.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(base), Value::Array(over)) => base.extend(over),
        (base, over) => *base = over,
    }
}

/// The list item with this name.
fn named<'v>(list: &'v Value, name: &str) -> &'v Value {
    let found = list.as_array().into_iter().flatten().find(|item| item["name"] == name);
    found.unwrap_or(&Value::Null)
}

fn runner(answered: &Answered) -> &Value {
    named(&answered.pod["spec"]["containers"], "runner")
}

fn dind(answered: &Answered) -> &Value {
    named(&answered.pod["spec"]["initContainers"], "dind")
}

/// The name of the volume that a container mounts at `path`.
fn mounted<'v>(container: &'v Value, path: &str) -> &'v Value {
    let mounts = container["volumeMounts"].as_array();
    let found = mounts.into_iter().flatten().find(|mount| mount["mountPath"] == path);
    found.map_or(&Value::Null, |mount| &mount["name"])
}

fn assert_warned(answered: &Answered, warnings: &[&str]) {
    assert_eq!(answered.warnings(), warnings);
}
