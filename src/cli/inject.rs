//! `arc-rocm inject`: what the webhook makes of pods, without a cluster.

use std::{io::Write, path::PathBuf, process::ExitCode};

use anstream::{AutoStream, ColorChoice};
use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    EXIT_FINDINGS, UsageError,
    config::{self, ConfigArgs},
    input::{Input, Object, RequestArgs},
    output::{self, yaml},
};
use crate::{
    admission::{Decision, answer_review, decide, read},
    inject::{Config, Selection, Skip, patch::applied},
};

/// The flags of `inject`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// File with pods, objects of ARC, values of its chart or admission reviews; - is standard input
    #[arg(long = "filename", short, value_name = "FILE")]
    pub file: PathBuf,

    /// Form of the result
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,

    /// The request of a pod.
    #[command(flatten)]
    pub request: RequestArgs,

    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// The form of the result.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Output {
    /// The resulting objects as YAML; of an admission review the answer
    #[default]
    Yaml,
    /// The resulting objects as JSON; of an admission review the answer
    Json,
    /// The JSON patch
    Patch,
    /// A unified diff
    Diff,
}

/// The result for one object.
pub(super) struct Injected {
    before: Value,
    /// The resulting object, or the answer to the review.
    pub(super) after: Value,
    patch: Value,
    /// Whether there is something to look at.
    is_finding: bool,
}

impl Args {
    /// Reads the objects, injects, prints.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let Self { file, output, request, config } = self;
        let config = config.config().map_err(config::usage_error)?;
        let Input { objects, is_list } = Input::read(&file, &request)?;
        let answers = matches!(output, Output::Yaml | Output::Json);
        let results = objects
            .into_iter()
            .map(|object| match object {
                Object::Pod(pod) => inject(&request.review(&pod), pod, false, &config),
                Object::Review(review) => {
                    let pod = review.pointer("/request/object").cloned().unwrap_or_default();
                    inject(&review, pod, answers, &config)
                }
                Object::Other(other) => Ok(Injected {
                    before: other.clone(),
                    after: other,
                    patch: json!([]),
                    is_finding: false,
                }),
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        output::write(|out| print(out, output, is_list || results.len() > 1, &results))?;
        let findings = results.iter().any(|injected| injected.is_finding);
        Ok(if findings { ExitCode::from(EXIT_FINDINGS) } else { ExitCode::SUCCESS })
    }
}

/// Injects into the pod of a review, which is `before`. With `answers`, the result is the answer to
/// the review. Profile, conflicts and skips go to standard error.
pub(super) fn inject(
    review: &Value,
    before: Value,
    answers: bool,
    config: &Config,
) -> anyhow::Result<Injected> {
    let body = serde_json::to_vec(review)?;
    let request = read(&body).map_err(|error| UsageError::error(error.to_string()))?;
    let decision = decide(&request, config);
    let answer = answers.then(|| answer_review(&request, &decision));
    let name = before.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("pod");
    let mut stderr = std::io::stderr();
    let (mut after, patch, is_finding) = match decision {
        Decision::Skip(skip) => {
            let _ = writeln!(stderr, "{name}: skipped: {}", skip.sentence());
            if skip == Skip::NoProfile {
                let _ = writeln!(stderr, "{name}: arc-rocm explain prints why no profile matches");
            }
            (before.clone(), json!([]), skip.is_warned())
        }
        Decision::Planned {
            selection: Selection { profile, gpus, tie, .. },
            operations,
            conflicts,
        } => {
            let gpus = output::count(gpus, "GPU");
            let _ = writeln!(stderr, "{name}: profile {}, {gpus}", profile.name);
            for conflict in &conflicts {
                let _ = writeln!(stderr, "{name}: warning: {conflict}");
            }
            if let Some(tie) = tie {
                let _ = writeln!(
                    stderr,
                    "{name}: warning: profile {} matches too, with the same priority",
                    tie.name
                );
            }
            let after = patched(&before, &operations)?;
            let problems = missing_images(&after);
            for problem in &problems {
                let _ = writeln!(stderr, "{name}: error: {problem}");
            }
            (after, serde_json::to_value(&operations)?, !problems.is_empty())
        }
    };
    if let Some(answer) = answer {
        after = serde_json::from_slice(&answer)?;
    }
    Ok(Injected { before, after, patch, is_finding })
}

/// The pod after a patch.
pub(super) fn patched(pod: &Value, operations: &impl Serialize) -> anyhow::Result<Value> {
    applied(pod, operations).map_err(anyhow::Error::from_boxed).context("the patch does not apply")
}

/// The containers that neither the scale set nor the profile gives an image.
pub(super) fn missing_images(pod: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for list in ["initContainers", "containers"] {
        let containers = pod.pointer(&format!("/spec/{list}")).and_then(Value::as_array);
        for container in containers.into_iter().flatten() {
            let text = |key| container.get(key).and_then(Value::as_str).unwrap_or_default();
            if text("image").is_empty() {
                problems.push(format!(
                    "spec.{list}[{}].image: missing, so the API server refuses the pod; write it in \
                     the scale set's template or in the profile",
                    text("name")
                ));
            }
        }
    }
    problems
}

fn print(
    out: &mut dyn Write,
    output: Output,
    is_list: bool,
    results: &[Injected],
) -> anyhow::Result<()> {
    if is_list && output == Output::Json {
        let items: Vec<&Value> = results.iter().map(|injected| &injected.after).collect();
        writeln!(out, "{:#}", json!({"apiVersion": "v1", "kind": "List", "items": items}))?;
        return Ok(());
    }
    for (index, Injected { before, after, patch, .. }) in results.iter().enumerate() {
        match output {
            Output::Yaml => {
                if index > 0 {
                    writeln!(out, "---")?;
                }
                write!(out, "{}", yaml(after)?)?;
            }
            Output::Json => writeln!(out, "{after:#}")?,
            Output::Patch => writeln!(out, "{patch:#}")?,
            Output::Diff => diff(out, before, after)?,
        }
    }
    Ok(())
}

fn diff(out: &mut dyn Write, before: &Value, after: &Value) -> anyhow::Result<()> {
    let name = after.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("pod");
    let (before, after) = (yaml(before)?, yaml(after)?);
    let diff = similar::TextDiff::from_lines(before.as_str(), after.as_str());
    let text = diff.unified_diff().header(&format!("a/{name}"), &format!("b/{name}")).to_string();
    let has_colour = AutoStream::choice(&std::io::stdout()) != ColorChoice::Never;
    for line in text.lines() {
        match (has_colour, line.as_bytes().first()) {
            (true, Some(b'+')) => writeln!(out, "\u{1b}[32m{line}\u{1b}[0m")?,
            (true, Some(b'-')) => writeln!(out, "\u{1b}[31m{line}\u{1b}[0m")?,
            _ => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}
