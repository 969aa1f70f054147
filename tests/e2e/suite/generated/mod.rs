//! Generated pods and profiles, and our own copy of the API server's validation: those of
//! `tests/core`, word for word.

#[path = "../../../core/generate/mod.rs"]
#[allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "of tests/core, which uses all of it and whose lints are those of tests"
)]
pub(crate) mod generate;
mod support;
#[path = "../../../core/validity/mod.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "of tests/core, which uses all of it and whose lints are those of tests"
)]
pub(crate) mod validity;

use anyhow::ensure;
use proptest::{
    strategy::{Strategy, ValueTree as _},
    test_runner::TestRunner,
};
use serde_json::{Value, json};

/// How many profiles are installed.
pub(crate) const PROFILES: usize = 20;
/// Good ones are more than half of those that are generated.
const TRIES: usize = PROFILES * 4;

/// A file of profiles `generated-a`, `generated-b`, ..., the same in every run. No scale set's name
/// matches them: a pod chooses one by its annotation.
pub(crate) fn profiles() -> anyhow::Result<String> {
    let mut runner = TestRunner::deterministic();
    let mut documents = Vec::new();
    for _ in 0..TRIES {
        let profile = one(&generate::profiles::cases(), &mut runner)?;
        if documents.len() < PROFILES && profile.config().is_some() {
            let mut document = profile.document();
            let name = name(documents.len());
            document["metadata"]["name"] = json!(name);
            document["spec"]["match"] = json!({"scaleSets": [name]});
            documents.push(document.to_string());
        }
    }
    ensure!(documents.len() == PROFILES, "{} good profiles of {TRIES}", documents.len());
    Ok(documents.join("\n---\n"))
}

/// The name of a profile. Without a number, which would be one of GPUs.
pub(crate) fn name(index: usize) -> String {
    let letter = ('a'..='z').cycle().nth(index).unwrap_or_default();
    format!("generated-{letter}")
}

/// Reviews of `count` generated pods, the same in every run.
pub(crate) fn reviews(count: usize) -> anyhow::Result<Vec<Value>> {
    let mut runner = TestRunner::deterministic();
    let cases = generate::pods::cases();
    (0..count).map(|_| Ok(one(&cases, &mut runner)?.review())).collect()
}

fn one<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> anyhow::Result<S::Value> {
    let tree = strategy.new_tree(runner);
    Ok(tree.map_err(|reason| anyhow::anyhow!("{reason}"))?.current())
}
