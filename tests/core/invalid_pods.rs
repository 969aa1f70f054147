//! Each way in which profile and author together could make a pod that the API server refuses,
//! or that no node can start: what the pod becomes, and what the author is told.

mod containers;
mod pairs;
mod pod;
mod resources;
mod security;
mod volumes;

use arc_rocm::inject::Config;
use serde_json::{Value, json};

use crate::{
    support::{Answered, ask, review, rules, with_pod},
    validity::{self, problems},
};

/// Config with a profile `spec` on top of the built-in one.
fn over(spec: &Value) -> Config {
    let mut spec = spec.clone();
    spec["extends"] = "rocm".into();
    spec["match"] = json!({});
    rules(
        &json!({"apiVersion": "arc-rocm.dev/v1alpha1", "kind": "RunnerProfile",
            "metadata": {"name": "test"}, "spec": spec})
        .to_string(),
    )
}

/// Config with the built-in profile and `pod` as template.
fn over_template(pod: &Value) -> Config {
    over(&json!({"template": {"spec": pod}}))
}

/// Answers for the plain runner pod as `author` changes it. Whatever happens, the result is valid
/// and a second pass has nothing to do.
fn answer(rules: &Config, author: impl FnOnce(&mut Value)) -> Answered {
    let mut review = review("plain");
    author(&mut review["request"]["object"]);
    let answered = ask(&review, rules);
    assert_eq!(problems(&answered.pod), [""; 0], "{:#}", answered.pod);
    assert_eq!(validity::priority_problem(&review["request"]["object"], &answered.pod), None);
    let second = ask(&with_pod(&review, answered.pod.clone()), rules);
    assert_eq!(second.patch, json!([]));
    answered
}

/// The same with the author's change to the runner container alone.
fn answer_runner(rules: &Config, author: Value) -> Answered {
    answer(rules, |pod| merge(&mut pod["spec"]["containers"][0], author))
}

/// Sets the members of `over`; lists are appended to.
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

/// The item `name` of a list.
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

/// What a container mounts at `path`: the name of the volume.
fn mounted<'v>(container: &'v Value, path: &str) -> &'v Value {
    let mounts = container["volumeMounts"].as_array();
    let found = mounts.into_iter().flatten().find(|mount| mount["mountPath"] == path);
    found.map_or(&Value::Null, |mount| &mount["name"])
}

fn assert_warned(answered: &Answered, warnings: &[&str]) {
    assert_eq!(answered.warnings(), warnings);
}
