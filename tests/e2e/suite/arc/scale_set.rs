//! A scale set of a case: what its values file says about the pod.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::kinds::{Kind, set_name};

/// The environment variable by which the test's runner image gets its job, a shell script.
pub(crate) const JOB: &str = "ARC_ROCM_TEST_JOB";

/// A scale set, from a captured kind. Each method is something that an author can write.
#[derive(Clone, Debug)]
pub(crate) struct ScaleSet {
    /// The name as an object, which is also the name on GitHub.
    pub(crate) name: String,
    /// The EphemeralRunner that each runner is made of.
    runner: Value,
}

impl ScaleSet {
    /// A scale set of a kind, called `name`.
    pub(crate) fn new(kind: Kind, name: &str) -> anyhow::Result<Self> {
        let captured = kind.ephemeral_runner()?;
        let text = captured.to_string().replace(set_name(&captured), name);
        Ok(Self { name: name.to_owned(), runner: serde_json::from_str(&text)? })
    }

    /// An annotation below `template.metadata`.
    pub(crate) fn annotation(self, key: &str, value: &str) -> Self {
        self.edit(|runner| runner["spec"]["metadata"]["annotations"][key] = json!(value))
    }

    /// A label below `template.metadata`.
    pub(crate) fn label(self, key: &str, value: &str) -> Self {
        self.edit(|runner| runner["spec"]["metadata"]["labels"][key] = json!(value))
    }

    /// A variable of the container `runner`.
    pub(crate) fn env(self, name: &str, value: &str) -> anyhow::Result<Self> {
        let mut set = self;
        let containers = set.runner["spec"]["spec"]["containers"].as_array_mut();
        let mut containers = containers.into_iter().flatten();
        let container = containers.find(|container| container["name"] == "runner");
        let container = container.context("no container runner")?;
        if !container["env"].is_array() {
            container["env"] = json!([]);
        }
        let env = container["env"].as_array_mut().context("env is no list")?;
        env.push(json!({"name": name, "value": value}));
        Ok(set)
    }

    /// The job of the test's runner image: a script for bash, whose exit code is the runner's.
    pub(crate) fn job(self, script: &str) -> anyhow::Result<Self> {
        self.env(JOB, script)
    }

    /// Anything else: `edit` gets the EphemeralRunner, whose pod spec is at `/spec/spec`.
    pub(crate) fn edit(mut self, edit: impl FnOnce(&mut Value)) -> Self {
        edit(&mut self.runner);
        self
    }

    /// The ServiceAccount of its pods.
    pub(crate) fn service_account(&self) -> Option<&str> {
        self.runner["spec"]["spec"]["serviceAccountName"].as_str()
    }

    /// The EphemeralRunner of one runner.
    pub(crate) fn ephemeral_runner(&self, namespace: &str, name: &str) -> Value {
        let mut runner = self.runner.clone();
        runner["metadata"]["name"] = json!(name);
        runner["metadata"]["namespace"] = json!(namespace);
        runner["metadata"]["labels"]["actions.github.com/scale-set-namespace"] = json!(namespace);
        if runner["spec"]["metadata"]["labels"].is_object() {
            let labels = &mut runner["spec"]["metadata"]["labels"];
            if labels["actions.github.com/scale-set-namespace"].is_string() {
                labels["actions.github.com/scale-set-namespace"] = json!(namespace);
            }
        }
        runner
    }

    /// The name of the set's `index`th runner: `SET-xxxxx-runner-yyyyy`, the same in every run.
    pub(crate) fn runner_name(&self, index: usize) -> String {
        format!("{}-{}-runner-{}", self.name, suffix(self.name.len()), suffix(index))
    }
}

/// Five characters as Kubernetes' name generator makes them, of a number.
fn suffix(number: usize) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rest = number;
    let mut letters = ['b'; 5];
    for letter in letters.iter_mut().rev() {
        if let Some(&byte) = ALPHABET.get(rest % ALPHABET.len()) {
            *letter = char::from(byte);
        }
        rest /= ALPHABET.len();
    }
    letters.into_iter().collect()
}
