//! Captured reviews, answers and patched pods.

use std::path::{Path, PathBuf};

use arc_rocm::{
    admission::answer,
    inject::{Config, ControllerUsers},
    profile::{File, ProfileSet},
    scripts,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

/// The folder with the captured reviews.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arc")
}

/// The captured review of a pod.
pub(crate) fn review(name: &str) -> Value {
    let path = fixtures().join(format!("{name}.review.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Config with the profiles of `text`.
pub(crate) fn config(text: &str) -> Config {
    let file = File { name: "test.yaml".to_owned(), text: text.to_owned() };
    let profiles = ProfileSet::compile(&[file]).unwrap_or_else(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", lines.join("\n"))
    });
    Config::new(profiles, ControllerUsers::default())
}

/// The parts of an answer.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The whole answer.
    pub(crate) review: Value,
    /// The operations; empty without a patch.
    pub(crate) patch: Value,
    /// The pod with the patch applied.
    pub(crate) pod: Value,
}

impl Answered {
    pub(crate) fn warnings(&self) -> Vec<String> {
        let warnings = self.review.pointer("/response/warnings").and_then(Value::as_array);
        warnings.into_iter().flatten().map(|w| w.as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn operations(&self) -> &[Value] {
        self.patch.as_array().unwrap()
    }
}

/// Answers a review and applies the patch.
pub(crate) fn ask(review: &Value, config: &Config) -> Answered {
    let body = serde_json::to_vec(review).unwrap();
    let answered: Value = serde_json::from_slice(&answer(&body, config).unwrap().body).unwrap();
    assert_eq!(answered.pointer("/response/uid"), review.pointer("/request/uid"));
    assert_eq!(answered.pointer("/response/allowed"), Some(&Value::Bool(true)));
    let mut pod = review.pointer("/request/object").cloned().unwrap();
    let patch = match answered.pointer("/response/patch").and_then(Value::as_str) {
        None => {
            assert!(answered.pointer("/response/patchType").is_none());
            Value::Array(Vec::new())
        }
        Some(text) => {
            assert_eq!(answered.pointer("/response/patchType").unwrap(), "JSONPatch");
            serde_json::from_slice(&BASE64_STANDARD.decode(text).unwrap()).unwrap()
        }
    };
    let operations: json_patch::Patch = serde_json::from_value(patch.clone()).unwrap();
    json_patch::patch(&mut pod, &operations)
        .unwrap_or_else(|error| panic!("{error}\n{patch:#}\n{review:#}"));
    Answered { review: answered, patch, pod }
}

/// Answers a review, and checks that a second pass over the patched pod adds nothing.
pub(crate) fn ask_twice(review: &Value, config: &Config) -> Answered {
    let answered = ask(review, config);
    let second = ask(&with_pod(review, answered.pod.clone()), config);
    assert_eq!(second.patch, Value::Array(Vec::new()), "a second pass must add nothing");
    answered
}

/// The same review with another object.
pub(crate) fn with_pod(review: &Value, pod: Value) -> Value {
    let mut review = review.clone();
    *review.pointer_mut("/request/object").unwrap() = pod;
    review
}

/// The options and the command of a start wrapper, when `command` is one.
pub(crate) fn wrapped(command: &[Value]) -> Option<&[Value]> {
    match command {
        [_, file, rest @ ..] if *file == scripts::image::START_FILE => Some(rest),
        [_, _, Value::String(script), _, rest @ ..] if script.starts_with(scripts::FIRST_WORDS) => {
            Some(rest)
        }
        _ => None,
    }
}

/// Readable YAML: the two scripts are replaced by their names, and managed fields are removed.
pub(crate) fn readable(value: &Value) -> String {
    let mut value = value.clone();
    shorten(&mut value);
    serde_saphyr::to_string(&value).unwrap()
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if [true, false].map(scripts::dind).contains(text) => {
            "(src/scripts/dind.sh)".clone_into(text);
        }
        Value::String(text) if text.starts_with(scripts::FIRST_WORDS) => {
            "(src/scripts/start.sh)".clone_into(text);
        }
        Value::String(text) if text.starts_with(r#"{"profile":"#) => {
            // The digest changes with each script.
            let (before, _) = text.split_once(r#""digest":"#).unwrap();
            *text = format!(r#"{before}"digest":...}}"#);
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(members) => {
            members.remove("managedFields");
            members.values_mut().for_each(shorten);
        }
        _ => {}
    }
}
