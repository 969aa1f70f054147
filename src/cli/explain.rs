//! `arc-rocm explain`: which profile a pod gets and why, where its GPUs come from, what is added, what
//! is kept, and each conflict with its winner.

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    core::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};

use super::{
    EXIT_FINDINGS, UsageError,
    config::{self, ConfigArgs},
    connect::{ConnectArgs, WebhookArgs, block_on},
    inject::{missing_images, patched},
    input::{Input, Object, RequestArgs},
    output::{self, Format, printable},
};
use crate::{
    admission::{Request, conflict_json, display_name, read, subject},
    annotations, arc,
    inject::{ChangeReason, Config, Conflict, Selection, Skip, Subject, identify, plan},
    podspec::{RUNNER, RunnerPod},
    profile::{Match, Matcher, Profile},
    scripts,
};

/// Longer values are cut; `inject -o diff` prints them whole.
const VALUE_LENGTH: usize = 60;
/// The place of what the lines `requests` and `limits` print.
const RUNNER_RESOURCES: &str = "spec.containers[runner].resources";

/// The flags of `explain`.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("subject").args(["pod", "file", "scale_set"])
    .required(true).multiple(true))]
#[command(group = clap::ArgGroup::new("umbrella").arg("key").requires("file"))]
pub struct Args {
    /// File with pods, objects of ARC, values of its chart or admission reviews; - is standard input
    #[arg(long = "filename", short, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Pod of a cluster, as pod/NAME; explained with the cluster's profiles, or those of --profiles
    #[arg(value_name = "pod/NAME", value_parser = pod_name, conflicts_with_all = ["file", "scale_set"])]
    pub pod: Option<String>,

    /// GitHub organization of a scale set without a file
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub organization: Option<String>,

    /// GitHub repository of a scale set without a file
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub repository: Option<String>,

    /// Form of the result
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,

    /// The request of a pod.
    #[command(flatten)]
    pub request: RequestArgs,

    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,

    /// The cluster.
    #[command(flatten)]
    pub connect: ConnectArgs,

    /// The webhook of the cluster.
    #[command(flatten)]
    pub webhook: WebhookArgs,
}

impl Args {
    /// Explains each pod.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let live = self.pod.as_ref().map(|name| self.live(name)).transpose()?;
        let Self { file, organization, repository, output, request, config, .. } = self;
        let own = || config.config().map_err(config::usage_error);
        let (config, live) = match live {
            Some((config, pod)) => (config.map_or_else(own, Ok)?, Some(pod)),
            None => (own()?, None),
        };
        let objects = if let Some(pod) = live {
            vec![Object::Pod(pod)]
        } else if let Some(file) = file {
            Input::read(&file, &request)?.objects
        } else {
            let name = request.scale_set.as_deref().unwrap_or_default();
            let (organization, repository) = (organization.as_deref(), repository.as_deref());
            vec![Object::Pod(request.plain_runner_pod(name, organization, repository)?)]
        };
        let mut findings = false;
        output::write(|out| {
            for review in objects.into_iter().filter_map(|object| object.review(&request)) {
                findings |= explain(out, output, &review, &config)?;
            }
            Ok(())
        })?;
        Ok(if findings { ExitCode::from(EXIT_FINDINGS) } else { ExitCode::SUCCESS })
    }
}

/// The name in `pod/NAME`.
fn pod_name(text: &str) -> Result<String, String> {
    match text.strip_prefix("pod/").or_else(|| text.strip_prefix("pods/")) {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err("write pod/NAME".to_owned()),
    }
}

impl Args {
    /// A pod of the cluster, with the configuration of its webhook where the flags have no profiles.
    fn live(&self, name: &str) -> anyhow::Result<(Option<Config>, Value)> {
        block_on(async {
            let client = self.connect.client().await?;
            let config = if self.config.profiles.profiles.is_empty() {
                Some(self.webhook.live(&client).await?.config)
            } else {
                None
            };
            let namespace = self.request.namespace.as_deref();
            let namespace = namespace.unwrap_or_else(|| client.default_namespace()).to_owned();
            let kind = ApiResource::erase::<Pod>(&());
            let pods: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &kind);
            let pod = pods.get(name).await.context(UsageError(format!("no pod {name}")))?;
            Ok((config, serde_json::to_value(pod)?))
        })
    }
}

/// One change to a pod.
struct Change {
    /// A JSON pointer; `-` is a new item of a list.
    path: String,
    value: Value,
    reason: ChangeReason,
}

/// A profile that is not used, and why, for people.
type Unused<'p> = (&'p str, String);

/// What a profile does with a pod.
struct Injection<'p> {
    selection: Selection<'p>,
    /// Why this profile, for people.
    because: String,
    /// Whether the pod's annotation names the profile.
    is_named: bool,
    changes: Vec<Change>,
    conflicts: Vec<Conflict>,
    /// Conflicts that the scale set says are on purpose.
    intended: Vec<Conflict>,
    /// Why the API server would refuse the pod.
    problems: Vec<String>,
    before: &'p Value,
    after: Value,
}

/// Explains one review. Returns whether there are findings.
fn explain(
    out: &mut dyn Write,
    output: Format,
    review: &Value,
    config: &Config,
) -> anyhow::Result<bool> {
    let body = serde_json::to_vec(review)?;
    let request: Request<'_> = read(&body).map_err(|error| UsageError::error(error.to_string()))?;
    let name = display_name(&request);
    let runner_pod = request.object.as_ref().and_then(|pod| {
        identify(pod, &request.namespace, &request.user_info.username, config).ok()
    });
    let Subject { pod, runner, selection } = match subject(&request, config) {
        Ok(subject) => subject,
        Err(skip) => {
            let unused = runner_pod.map(|pod| unused(&pod, None, config)).unwrap_or_default();
            match output {
                Format::Text => skipped_text(out, &name, skip, &unused)?,
                Format::Json => writeln!(out, "{:#}", skipped_json(&name, skip, &unused))?,
            }
            return Ok(skip.is_warned());
        }
    };
    let plan = plan(pod, runner, selection.selected());
    let mut changes = Vec::new();
    plan.edits.each(|path, leaf| {
        let (path, value) =
            (path.to_owned(), serde_json::to_value(&leaf.value).unwrap_or_default());
        changes.push(Change { path, value, reason: leaf.reason });
    });
    let before = review.pointer("/request/object").unwrap_or(&Value::Null);
    let after = patched(before, &plan.edits.operations(pod))?;
    let unused = runner_pod.map(|pod| unused(&pod, Some(&selection), config)).unwrap_or_default();
    let is_named = runner_pod.as_ref().is_some_and(names_profile);
    let injection = Injection {
        because: runner_pod.map(|pod| because(&pod, selection.profile)).unwrap_or_default(),
        is_named,
        selection,
        changes,
        conflicts: plan.conflicts,
        intended: plan.intended,
        problems: missing_images(&after),
        before,
        after,
    };
    match output {
        Format::Text => injection.text(out, &name, &unused)?,
        Format::Json => writeln!(out, "{:#}", injection.json(&name, &unused))?,
    }
    Ok(injection.is_finding())
}

/// Whether the pod's annotation names its profile.
fn names_profile(pod: &RunnerPod<'_>) -> bool {
    pod.annotation(annotations::PROFILE).is_some_and(|name| !name.is_empty())
}

/// Why the profile is used.
fn because(pod: &RunnerPod<'_>, profile: &Profile) -> String {
    if names_profile(pod) {
        return format!("named by annotation {}", annotations::PROFILE);
    }
    let patterns = profile.matcher.as_ref().map(Matcher::scale_sets).unwrap_or_default();
    let found = patterns.iter().find_map(|pattern| {
        pod.scale_sets().find(|name| pattern.matches(name).is_some()).map(|name| (name, pattern))
    });
    match found {
        Some((name, pattern)) => {
            format!("scale set {name} matches {}, priority {}", pattern.as_str(), profile.priority)
        }
        None if patterns.is_empty() => format!("match holds, priority {}", profile.priority),
        None => {
            let resource = profile.gpu_resource();
            format!("the runner asks for {resource}, priority {}", profile.priority)
        }
    }
}

/// The profiles that are not used, each with its reason.
fn unused<'c>(
    pod: &RunnerPod<'_>,
    selection: Option<&Selection<'_>>,
    config: &'c Config,
) -> Vec<Unused<'c>> {
    let used = selection.map(|selection| selection.profile);
    let others = config.profiles.iter().filter(|other| used.is_none_or(|p| p.name != other.name));
    others
        .map(|other| {
            let why = match other.matches(pod) {
                Match::No(mismatch) => format!("{} does not match", mismatch.as_str()),
                Match::OnlyByName => {
                    format!("no match; for pods with annotation {}", annotations::PROFILE)
                }
                Match::Yes { .. } if names_profile(pod) => {
                    "matches, but the pod's annotation names another profile".to_owned()
                }
                Match::Yes { .. } if used.is_some_and(|used| used.priority == other.priority) => {
                    "matches too, with the same priority; the first by name is used".to_owned()
                }
                Match::Yes { .. } => "matches too, with a lower priority".to_owned(),
            };
            (other.name.as_str(), why)
        })
        .collect()
}

fn skipped_text(
    out: &mut dyn Write,
    name: &str,
    skip: Skip,
    unused: &[Unused<'_>],
) -> anyhow::Result<()> {
    writeln!(out, "{}: skipped: {}", printable(name), skip.sentence())?;
    section(out, "not used", unused_text(unused))
}

fn skipped_json(name: &str, skip: Skip, unused: &[Unused<'_>]) -> Value {
    json!({
        "pod": name,
        "outcome": "skipped",
        "reason": skip.as_str(),
        "message": skip.sentence(),
        "others": unused_json(unused),
    })
}

/// One line for each reason.
fn unused_text(unused: &[Unused<'_>]) -> Vec<String> {
    let lines = grouped(unused.iter().map(|(name, why)| (why, (*name).to_owned())));
    lines.into_iter().map(|(why, names)| format!("{}: {why}", names.join(", "))).collect()
}

/// The values of each key, in the order of the keys' first use.
fn grouped<K: PartialEq>(pairs: impl Iterator<Item = (K, String)>) -> Vec<(K, Vec<String>)> {
    let mut groups: Vec<(K, Vec<String>)> = Vec::new();
    for (key, value) in pairs {
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, values)) => values.push(value),
            None => groups.push((key, vec![value])),
        }
    }
    groups
}

fn unused_json(unused: &[Unused<'_>]) -> Vec<Value> {
    unused.iter().map(|(name, why)| json!({"profile": name, "why": why})).collect()
}

/// Prints lines below one title.
fn section(
    out: &mut dyn Write,
    title: &str,
    lines: impl IntoIterator<Item = String>,
) -> anyhow::Result<()> {
    let mut title = title;
    for line in lines {
        writeln!(out, "  {title:<10} {}", printable(&line))?;
        title = "";
    }
    Ok(())
}

impl Injection<'_> {
    fn is_finding(&self) -> bool {
        !self.conflicts.is_empty() || self.selection.tie.is_some() || !self.problems.is_empty()
    }

    fn outcome(&self) -> &'static str {
        if self.changes.is_empty() { "unchanged" } else { "patched" }
    }

    fn text(&self, out: &mut dyn Write, name: &str, unused: &[Unused<'_>]) -> anyhow::Result<()> {
        let Selection { profile, gpus, gpus_from, .. } = self.selection;
        writeln!(out, "{}: {}", printable(name), self.outcome())?;
        let line = format!("{} ({}): {}", profile.name, profile.origin, self.because);
        section(out, "profile", [line])?;
        let what = profile.gpu_source(gpus);
        let line = format!("{gpus} of {what}, from {}", gpus_from.as_str());
        section(out, "GPUs", [line])?;
        for field in ["requests", "limits"] {
            let amounts = self.amounts(field).and_then(Value::as_object).into_iter().flatten();
            let amounts: Vec<String> = amounts.map(|(k, v)| format!("{k}={}", short(v))).collect();
            section(out, field, (!amounts.is_empty()).then(|| amounts.join(" ")))?;
        }
        section(out, "adds", self.added())?;
        section(out, "keeps", self.kept())?;
        section(out, "conflicts", self.conflicts.iter().map(conflict_text))?;
        section(out, "intended", self.intended.iter().map(conflict_text))?;
        section(out, "problems", self.problems.iter().cloned())?;
        section(out, "not used", unused_text(unused))
    }

    fn json(&self, name: &str, unused: &[Unused<'_>]) -> Value {
        let Selection { profile, gpus, gpus_from, tie, .. } = self.selection;
        let change = |Change { path, value, reason }: &Change| json!({"path": path, "value": value, "reason": reason.as_str()});
        json!({
            "pod": name,
            "outcome": self.outcome(),
            "profile": profile.name,
            "origin": profile.origin.to_string(),
            "digest": profile.digest,
            "chosenBy": if self.is_named { "annotation arc-rocm.dev/profile" } else { "match" },
            "gpus": gpus,
            "gpusFrom": gpus_from.as_str(),
            "tie": tie.map(|tie| tie.name.as_str()),
            "others": unused_json(unused),
            "resources": {"requests": self.amounts("requests"), "limits": self.amounts("limits")},
            "changes": self.changes.iter().map(change).collect::<Vec<_>>(),
            "conflicts": self.conflicts.iter().map(conflict_json).collect::<Vec<_>>(),
            "intended": self.intended.iter().map(conflict_json).collect::<Vec<_>>(),
            "problems": self.problems,
        })
    }

    /// The runner's requests or limits after the patch.
    fn amounts(&self, field: &str) -> Option<&Value> {
        let containers = self.after.pointer("/spec/containers")?.as_array()?;
        let runner = containers.iter().find(|container| name_of(container) == Some(RUNNER))?;
        runner.get("resources")?.get(field)
    }

    /// The changes, one line for each place and reason, without the runner's resources.
    fn added(&self) -> Vec<String> {
        let changes = self.changes.iter().map(|change| {
            let (place, shown) = placed(self.before, change);
            ((place, change.reason), shown)
        });
        grouped(changes.filter(|((place, _), _)| !place.starts_with(RUNNER_RESOURCES)))
            .into_iter()
            .map(|((place, reason), all)| {
                format!("{place}: {} [{}]", all.join(", "), reason.as_str())
            })
            .collect()
    }

    /// The names of what the pod itself has: other containers, volumes, variables and mounts.
    fn kept(&self) -> Vec<String> {
        let spec = self.before.get("spec").unwrap_or(&Value::Null);
        let mut lines = Vec::new();
        let mut keep = |place: &str, object: &Value, list: &str| {
            let items = object.get(list).and_then(Value::as_array).into_iter().flatten();
            let is_arcs = |name: &str| name == RUNNER || arc::ENV.contains(&name);
            let items = items.filter(|item| !name_of(item).is_some_and(is_arcs));
            let names: Vec<String> = items.map(short).collect();
            if !names.is_empty() {
                lines.push(format!("{place}.{list}: {}", names.join(", ")));
            }
        };
        for list in ["initContainers", "containers", "volumes"] {
            keep("spec", spec, list);
        }
        let containers = spec.get("containers").and_then(Value::as_array).into_iter().flatten();
        for runner in containers.filter(|container| name_of(container) == Some(RUNNER)) {
            for list in ["env", "volumeMounts"] {
                keep("spec.containers[runner]", runner, list);
            }
        }
        lines
    }
}

fn conflict_text(conflict: &Conflict) -> String {
    let Conflict { winner, code, .. } = conflict;
    format!("{} wins: {conflict} ({})", winner.as_str(), code.as_str())
}

fn name_of(item: &Value) -> Option<&str> {
    item.get("name")?.as_str()
}

/// The place of a change, with names instead of a pointer, and what it adds there.
fn placed(pod: &Value, Change { path, value, .. }: &Change) -> (String, String) {
    let mut tokens: Vec<String> =
        path.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
    // `containers`, `0` become `containers[runner]`.
    if let [_, list, index, _, ..] = tokens.as_slice()
        && let Some(name) = pod.pointer(&format!("/spec/{list}/{index}")).and_then(name_of)
    {
        let named = format!("{list}[{name}]");
        tokens.splice(1..3, [named]);
    }
    let (last, parents) = match tokens.split_last() {
        Some((last, parents)) => (last.as_str(), parents.join(".")),
        None => ("", String::new()),
    };
    if last == "-" || last.parse::<usize>().is_ok() {
        (parents, short(value))
    } else if last == annotations::STATUS {
        (parents, last.to_owned())
    } else if value.is_object() || value.is_array() {
        (tokens.join("."), short(value))
    } else {
        (parents, format!("{last}={}", short(value)))
    }
}

/// A value on one line: the name of a named item, words of a list, or JSON. Long ones are cut.
fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => script_name(text).to_owned(),
        Value::Array(items) if items.iter().all(is_scalar) => {
            items.iter().map(short).collect::<Vec<_>>().join(" ")
        }
        Value::Object(members) => match (name_of(value), value.get("mountPath")) {
            (Some(name), Some(Value::String(path))) => format!("{path} ({name})"),
            (Some(name), _) => name.to_owned(),
            (None, _) if members.values().all(is_scalar) => {
                let members = members.iter().map(|(key, value)| format!("{key}={}", short(value)));
                members.collect::<Vec<_>>().join(" ")
            }
            (None, _) => value.to_string(),
        },
        _ => value.to_string(),
    };
    if text.chars().count() <= VALUE_LENGTH {
        return text;
    }
    let mut cut: String = text.chars().take(VALUE_LENGTH - 3).collect();
    cut.push_str("...");
    cut
}

fn is_scalar(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

/// A script is too long to print.
fn script_name(text: &str) -> &str {
    if text.starts_with(scripts::FIRST_WORDS) { "(script)" } else { text }
}
