//! `arc-rocm inject`: what the webhook would do, without a cluster.

use std::{
    io::{IsTerminal as _, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{
    FINDINGS, Misconfigured,
    config::{self, ConfigArgs},
    input::{self, Kind, RequestArgs},
    output::{self, yaml},
};
use crate::{
    admission::{Decision, answer_review, decide, read},
    inject::{Config, Selection, Skip},
};

/// What to inject into, and how to show it.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Pod, List or `AdmissionReview`, YAML or JSON; - is standard input
    #[arg(long = "filename", short, value_name = "FILE")]
    pub file: PathBuf,

    /// What to print; for an `AdmissionReview`, yaml and json print the answer
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,

    /// Where pods come from.
    #[command(flatten)]
    pub request: RequestArgs,

    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// What to print.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Output {
    /// The resulting objects, as YAML
    #[default]
    Yaml,
    /// The resulting objects, as JSON
    Json,
    /// The JSON patch
    Patch,
    /// What changes, as a unified diff
    Diff,
}

/// What came of one object.
struct Injected {
    /// The resulting object, or the answer to the review.
    result: Value,
    patch: Value,
}

impl Args {
    /// Reads, injects, prints.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let Self { file, output, request, config } = self;
        let config = config.config().map_err(config::blame)?;
        let mut findings = false;
        let mut is_list = false;
        let answers = matches!(output, Output::Yaml | Output::Json);
        let mut results = Vec::new();
        for document in input::documents(&file)? {
            match input::kind(&document) {
                Kind::Pod => {
                    let review = request.review(&document);
                    let injected = inject(&review, &document, false, &config, &mut findings)?;
                    results.push((document, injected));
                }
                Kind::List => {
                    is_list = true;
                    for (item, is_pod) in input::items(&document) {
                        let injected = if is_pod {
                            let review = request.review(item);
                            inject(&review, item, false, &config, &mut findings)?
                        } else {
                            Injected { result: item.clone(), patch: json!([]) }
                        };
                        results.push((item.clone(), injected));
                    }
                }
                Kind::Review => {
                    let pod = document.pointer("/request/object").cloned().unwrap_or_default();
                    let injected = inject(&document, &pod, answers, &config, &mut findings)?;
                    results.push((pod, injected));
                }
                Kind::Other => {
                    let kind = document.get("kind").and_then(Value::as_str).unwrap_or("no kind");
                    let message =
                        format!("expected a Pod, a List or an AdmissionReview, got {kind}");
                    return Err(Misconfigured::error(message));
                }
            }
        }
        let is_list = is_list || results.len() > 1;
        output::write(|out| print(out, output, is_list, &results))?;
        Ok(if findings { ExitCode::from(FINDINGS) } else { ExitCode::SUCCESS })
    }
}

/// Decides about one review, and applies the patch to its `object` or, with `answers`, writes the
/// answer. Conflicts, and pods that look as if they were
/// meant to be patched and are not, are told on standard error.
fn inject(
    review: &Value,
    object: &Value,
    answers: bool,
    config: &Config,
    findings: &mut bool,
) -> anyhow::Result<Injected> {
    let body = serde_json::to_vec(review)?;
    let request = read(&body).map_err(|error| Misconfigured::error(error.to_string()))?;
    let decision = decide(&request, config);
    let answer = if answers {
        Some(serde_json::from_slice(&answer_review(&request, &decision))?)
    } else {
        None
    };
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("pod").to_owned();
    let mut told = std::io::stderr();
    let mut result = object.clone();
    let patch = match decision {
        Decision::Skip(skip) => {
            *findings |= skip.is_warned();
            let _ = writeln!(told, "{name}: left alone: {}", skip.sentence());
            if skip == Skip::NoProfile {
                let _ =
                    writeln!(told, "{name}: arc-rocm explain says why each profile does not match");
            }
            json!([])
        }
        Decision::Planned {
            selection: Selection { profile, gpus, tie, .. },
            operations,
            conflicts,
        } => {
            let _ = writeln!(told, "{name}: profile {}, {gpus} GPUs", profile.name);
            for conflict in &conflicts {
                let _ = writeln!(told, "{name}: warning: {conflict}");
            }
            if let Some(tie) = tie {
                let _ = writeln!(
                    told,
                    "{name}: warning: profile {} matches too, with the same priority",
                    tie.name
                );
            }
            let patch = serde_json::to_value(&operations)?;
            let operations: json_patch::Patch = serde_json::from_value(patch.clone())?;
            json_patch::patch(&mut result, &operations).context("the patch does not apply")?;
            patch
        }
    };
    Ok(Injected { result: answer.unwrap_or(result), patch })
}

fn print(
    out: &mut dyn Write,
    output: Output,
    is_list: bool,
    results: &[(Value, Injected)],
) -> anyhow::Result<()> {
    for (index, (before, Injected { result, patch })) in results.iter().enumerate() {
        match output {
            Output::Yaml => {
                if index > 0 {
                    writeln!(out, "---")?;
                }
                write!(out, "{}", yaml(result)?)?;
            }
            Output::Json if is_list => {}
            Output::Json => writeln!(out, "{result:#}")?,
            Output::Patch => writeln!(out, "{patch:#}")?,
            Output::Diff => diff(out, before, result)?,
        }
    }
    if is_list && output == Output::Json {
        let items: Vec<&Value> = results.iter().map(|(_, injected)| &injected.result).collect();
        writeln!(out, "{:#}", json!({"apiVersion": "v1", "kind": "List", "items": items}))?;
    }
    Ok(())
}

fn diff(out: &mut dyn Write, before: &Value, after: &Value) -> anyhow::Result<()> {
    let name = after.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("pod");
    let (before, after) = (yaml(before)?, yaml(after)?);
    let diff = similar::TextDiff::from_lines(before.as_str(), after.as_str());
    let text = diff.unified_diff().header(&format!("a/{name}"), &format!("b/{name}")).to_string();
    let colour = std::io::stdout().is_terminal();
    for line in text.lines() {
        match (colour, line.as_bytes().first()) {
            (true, Some(b'+')) => writeln!(out, "\u{1b}[32m{line}\u{1b}[0m")?,
            (true, Some(b'-')) => writeln!(out, "\u{1b}[31m{line}\u{1b}[0m")?,
            _ => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}
