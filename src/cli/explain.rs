//! `arc-rocm explain`: which profile wins and why, each change with its reason, each conflict
//! with its winner.

use std::{io::Write, path::PathBuf, process::ExitCode};

use serde_json::{Value, json};

use super::{
    FINDINGS, Misconfigured,
    config::{self, ConfigArgs},
    input::{self, Kind, RequestArgs},
    output,
    profiles::Output,
};
use crate::{
    admission::{Request, conflict_json, display_name, read, subject},
    inject::{Config, Conflict, Reason, Selection, Subject, identify, plan},
    podspec::Json,
    profile::{Match, Profile},
    scripts,
};

/// Longer values are cut in the list of changes; `inject -o diff` has them whole.
const VALUE_LENGTH: usize = 60;

/// What to explain.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("subject").required(true).multiple(false))]
pub struct Args {
    /// Pod or `AdmissionReview`, YAML or JSON; - is standard input
    #[arg(long = "filename", short, value_name = "FILE", group = "subject")]
    pub file: Option<PathBuf>,

    /// A plain runner of this scale set, as ARC's chart makes it
    #[arg(long, value_name = "NAME", group = "subject")]
    pub scale_set: Option<String>,

    /// With --scale-set: the GitHub organization
    #[arg(long, value_name = "NAME", requires = "scale_set")]
    pub organization: Option<String>,

    /// With --scale-set: the GitHub repository
    #[arg(long, value_name = "NAME", requires = "scale_set")]
    pub repository: Option<String>,

    /// What to print
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,

    /// Where pods come from.
    #[command(flatten)]
    pub request: RequestArgs,

    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// One change: the path as a JSON pointer, the value, why.
type Change = (String, Value, Reason);

impl Args {
    /// Explains each pod.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let Self { file, scale_set, organization, repository, output, request, config } = self;
        let config = config.config().map_err(config::blame)?;
        let documents = match (file, scale_set) {
            (Some(file), _) => input::documents(&file)?,
            (None, scale_set) => vec![plain_runner(
                &scale_set.unwrap_or_default(),
                &request.namespace,
                [("organization", organization), ("repository", repository)],
            )],
        };
        let mut findings = false;
        output::write(|out| {
            for document in &documents {
                let review = match input::kind(document) {
                    Kind::Pod => request.review(document),
                    Kind::Review => document.clone(),
                    Kind::List | Kind::Other => {
                        let message = "expected a Pod or an AdmissionReview".to_owned();
                        return Err(Misconfigured::error(message));
                    }
                };
                findings |= explain(out, output, &review, &config)?;
            }
            Ok(())
        })?;
        Ok(if findings { ExitCode::from(FINDINGS) } else { ExitCode::SUCCESS })
    }
}

/// A pod as ARC's controller makes it for a scale set with nothing but a name.
fn plain_runner(scale_set: &str, namespace: &str, labels: [(&str, Option<String>); 2]) -> Value {
    let name = format!("{scale_set}-xxxxx-runner-xxxxx");
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {
                "actions-ephemeral-runner": "True",
                "actions.github.com/scale-set-name": scale_set.replace('_', "-"),
                "actions.github.com/scale-set-namespace": namespace,
                "app.kubernetes.io/component": "runner",
            },
            "annotations": {"actions.github.com/runner-scale-set-name": scale_set},
            "ownerReferences": [{
                "apiVersion": "actions.github.com/v1alpha1",
                "kind": "EphemeralRunner",
                "name": name,
                "uid": "00000000-0000-0000-0000-000000000000",
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "runner",
                "image": "ghcr.io/actions/actions-runner:latest",
                "imagePullPolicy": "Always",
                "command": ["/home/runner/run.sh"],
                "resources": {},
            }],
        },
    });
    if let Some(Value::Object(all)) = pod.pointer_mut("/metadata/labels") {
        for (label, value) in labels {
            if let Some(value) = value {
                all.insert(format!("actions.github.com/{label}"), value.into());
            }
        }
    }
    pod
}

/// Explains one review. Returns whether there are findings.
fn explain(
    out: &mut dyn Write,
    output: Output,
    review: &Value,
    config: &Config,
) -> anyhow::Result<bool> {
    let body = serde_json::to_vec(review)?;
    let request: Request<'_> =
        read(&body).map_err(|error| Misconfigured::error(error.to_string()))?;
    let verdicts = verdicts(&request, config);
    let chosen = subject(&request, config);
    let Subject { pod, runner, selection } = match chosen {
        Ok(chosen) => chosen,
        Err(skip) => {
            match output {
                Output::Text => {
                    writeln!(
                        out,
                        "{}: left alone, because {}",
                        display_name(&request),
                        skip.sentence()
                    )?;
                    others(out, &verdicts)?;
                }
                Output::Json => writeln!(
                    out,
                    "{:#}",
                    json!({
                        "pod": display_name(&request),
                        "outcome": "skipped",
                        "reason": skip.as_str(),
                        "message": skip.sentence(),
                        "others": others_json(&verdicts),
                    })
                )?,
            }
            return Ok(skip.is_warned());
        }
    };
    let plan = plan(pod, runner, selection.selected());
    let mut changes: Vec<Change> = Vec::new();
    plan.edits.each(|path, leaf| {
        changes.push((path.to_owned(), leaf.value.clone().into_owned(), leaf.reason));
    });
    let verdicts: Vec<_> =
        verdicts.into_iter().filter(|(name, _)| *name != selection.profile.name).collect();
    match output {
        Output::Text => {
            text(out, &request, &selection, &verdicts, &changes, &plan.conflicts)?;
        }
        Output::Json => writeln!(
            out,
            "{:#}",
            json!({
                "pod": display_name(&request),
                "outcome": if changes.is_empty() { "unchanged" } else { "patched" },
                "profile": selection.profile.name,
                "origin": selection.profile.origin.to_string(),
                "digest": selection.profile.digest,
                "chosenBy": chosen_by(&request),
                "gpus": selection.gpus,
                "gpusFrom": selection.gpus_from.as_str(),
                "tie": selection.tie.map(|tie| tie.name.as_str()),
                "others": others_json(&verdicts),
                "changes": changes.iter().map(|(path, value, reason)| json!({
                    "path": path, "value": value, "reason": reason.as_str(),
                })).collect::<Vec<_>>(),
                "conflicts": plan.conflicts.iter().map(conflict_json).collect::<Vec<_>>(),
            })
        )?,
    }
    Ok(!plan.conflicts.is_empty() || selection.tie.is_some())
}

/// How each profile stands to the pod.
fn verdicts<'r>(request: &'r Request<'r>, config: &'r Config) -> Vec<(&'r str, Match)> {
    let Some(pod) = &request.object else { return Vec::new() };
    let user = &request.user_info.username;
    let Ok(pod) = identify(pod, &request.namespace, user, config) else { return Vec::new() };
    let of = |profile: &'r Profile| (profile.name.as_str(), profile.matches(&pod));
    config.profiles.iter().map(of).collect()
}

/// Why a profile lost, in a few words.
fn why(verdict: Match) -> String {
    match verdict {
        Match::Yes { .. } => "matches too, but comes later by priority and name".to_owned(),
        Match::No(mismatch) => format!("{} does not match", mismatch.as_str()),
        Match::OnlyByName => "has no match, a pod must name it".to_owned(),
    }
}

fn others(out: &mut dyn Write, verdicts: &[(&str, Match)]) -> anyhow::Result<()> {
    for (name, verdict) in verdicts {
        writeln!(out, "  not {name}: {}", why(*verdict))?;
    }
    Ok(())
}

fn others_json(verdicts: &[(&str, Match)]) -> Vec<Value> {
    verdicts.iter().map(|(name, v)| json!({"profile": name, "why": why(*v)})).collect()
}

/// What the profile was chosen by.
fn chosen_by(request: &Request<'_>) -> &'static str {
    let named = request.object.as_ref().is_some_and(|pod: &Json<'_>| {
        pod.at(&["metadata", "annotations", crate::annotations::PROFILE]).is_some()
    });
    if named { "annotation arc-rocm.dev/profile" } else { "match" }
}

fn text(
    out: &mut dyn Write,
    request: &Request<'_>,
    selection: &Selection<'_>,
    verdicts: &[(&str, Match)],
    changes: &[Change],
    conflicts: &[Conflict],
) -> anyhow::Result<()> {
    let profile = selection.profile;
    writeln!(
        out,
        "{}: profile {} ({}), chosen by {}, priority {}",
        display_name(request),
        profile.name,
        profile.origin,
        chosen_by(request),
        profile.priority
    )?;
    others(out, verdicts)?;
    if let Some(tie) = selection.tie {
        writeln!(out, "  tie: {} has the same priority and matches too", tie.name)?;
    }
    writeln!(out, "  GPUs: {}, from {}", selection.gpus, selection.gpus_from.as_str())?;
    let mut lines: Vec<(String, Reason, Vec<String>)> = Vec::new();
    for (path, value, reason) in changes {
        let (parent, shown) = grouped(request.object.as_ref(), path, value);
        match lines.iter_mut().find(|(other, r, _)| *other == parent && r == reason) {
            Some((.., all)) => all.push(shown),
            None => lines.push((parent, *reason, vec![shown])),
        }
    }
    for (parent, reason, shown) in lines {
        writeln!(out, "  + {parent}: {} ({})", shown.join(", "), reason.as_str())?;
    }
    if changes.is_empty() {
        writeln!(out, "nothing to do: the pod already is as the profile wants it")?;
    }
    for conflict in conflicts {
        writeln!(
            out,
            "{} wins: {conflict} ({})",
            conflict.winner.as_str(),
            conflict.code.as_str()
        )?;
    }
    Ok(())
}

/// The place that a change belongs to, with words instead of a pointer, and what it adds there.
fn grouped(pod: Option<&Json<'_>>, path: &str, value: &Value) -> (String, String) {
    let tokens: Vec<String> =
        path.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
    let tokens = with_names(pod, tokens);
    let is_item = tokens.last().is_some_and(|t| t == "-" || t.parse::<usize>().is_ok());
    let (last, parents) = match tokens.split_last() {
        Some((last, parents)) => (last.as_str(), parents),
        None => ("", &[][..]),
    };
    let parent = parents.join(".");
    if is_item {
        (parent, short(value))
    } else if value.is_object() || value.is_array() {
        (tokens.join("."), short(value))
    } else {
        (parent, format!("{last}={}", short(value).trim_matches('"')))
    }
}

/// `spec`, `containers`, `0` as `spec`, `containers[runner]`.
fn with_names(pod: Option<&Json<'_>>, mut tokens: Vec<String>) -> Vec<String> {
    let [_, list, index, _, ..] = tokens.as_slice() else { return tokens };
    let found = index.parse::<usize>().ok().and_then(|index| {
        pod?.get("spec")?.list(list).get(index).map(|container| container.text("name"))
    });
    if let Some(name) = found {
        let named = format!("{list}[{name}]");
        tokens.splice(1..3, [named]);
    }
    tokens
}

/// A value on one line.
fn short(value: &Value) -> String {
    let mut value = value.clone();
    name_scripts(&mut value);
    let named = value.get("name").and_then(Value::as_str).map(str::to_owned);
    let text = match named {
        Some(name) => match value.get("mountPath") {
            Some(Value::String(path)) => format!("{path} ({name})"),
            _ => name,
        },
        None => value.to_string(),
    };
    if text.chars().count() <= VALUE_LENGTH {
        return text;
    }
    let mut cut: String = text.chars().take(VALUE_LENGTH - 3).collect();
    cut.push_str("...");
    cut
}

fn name_scripts(value: &mut Value) {
    match value {
        Value::String(text) if text == scripts::START || text == scripts::DIND => {
            "(script)".clone_into(text);
        }
        Value::Array(items) => items.iter_mut().for_each(name_scripts),
        Value::Object(members) => members.values_mut().for_each(name_scripts),
        _ => {}
    }
}
