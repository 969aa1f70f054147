//! `arc-rocm plan`: what a change of profiles changes in the runner pods of each scale set.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::{Value, json};

use super::{
    EXIT_FINDINGS, UsageError,
    config::ConfigArgs,
    connect::{ConnectArgs, WebhookArgs, block_on},
    inject::{missing_images, patched},
    input::{Input, RequestArgs},
    output::{self, Format, printable},
};
use crate::{
    admission::{Decision, decide, read},
    compare::{Class, Difference, compare},
    doctor::Live,
    inject::Config,
    podspec::{Json, RunnerPod},
};

/// The flags of `plan`.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("subject").required(true).multiple(true))]
pub struct Args {
    /// Names of scale sets; their plain runners are patched
    #[arg(value_name = "NAME", group = "subject")]
    pub names: Vec<String>,

    /// File with pods, scale sets, lists or admission reviews; - is standard input
    #[arg(long = "filename", short, value_name = "FILE", group = "subject")]
    pub file: Option<PathBuf>,

    /// The scale sets and the profiles of a cluster
    #[arg(long, group = "subject", conflicts_with_all = ["from", "names", "file"])]
    pub cluster: bool,

    /// Files or directories with the profiles of now; default: the built-in profiles alone
    #[arg(long, value_delimiter = ',', value_name = "PATH")]
    pub from: Vec<PathBuf>,

    /// Files or directories with the profiles to come
    #[arg(long, value_delimiter = ',', value_name = "PATH", required = true)]
    pub to: Vec<PathBuf>,

    /// Form of the result
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,

    /// The request of a pod.
    #[command(flatten)]
    pub request: RequestArgs,

    /// The cluster.
    #[command(flatten)]
    pub connect: ConnectArgs,

    /// The webhook of the cluster.
    #[command(flatten)]
    pub webhook: WebhookArgs,
}

/// What a configuration does with a pod.
struct Outcome {
    /// For people: the profile and the GPUs, or why the pod is skipped.
    what: String,
    warnings: Vec<String>,
    /// The resulting pod.
    pod: Value,
}

/// What a change of profiles changes in one pod.
struct Change {
    namespace: String,
    name: String,
    sides: [Outcome; 2],
    /// Without those that change nothing in a pod.
    differences: Vec<Difference>,
}

impl Args {
    /// Compares, and prints what changes.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let Self { names, file, from, to, output, request, .. } = &self;
        let to = ConfigArgs::of_profiles(to.clone())?;
        let (from, reviews) = if self.cluster {
            self.live()?
        } else {
            (ConfigArgs::of_profiles(from.clone())?, reviews(names, file.as_deref(), request)?)
        };
        let changes = reviews.iter().map(|review| Change::of(review, [&from, &to]));
        let changes = changes.collect::<anyhow::Result<Vec<_>>>()?;
        output::write(|out| match output {
            Format::Text => text(out, &changes, self.cluster),
            Format::Json => {
                let all: Vec<Value> = changes.iter().map(Change::json).collect();
                Ok(writeln!(out, "{:#}", json!({"scaleSets": all}))?)
            }
        })?;
        let is_change = changes.iter().any(Change::is_change);
        Ok(if is_change { ExitCode::from(EXIT_FINDINGS) } else { ExitCode::SUCCESS })
    }

    /// The configuration of the cluster, and the reviews of its runners.
    fn live(&self) -> anyhow::Result<(Config, Vec<Value>)> {
        let Live { config, pods } = block_on(async {
            let client = self.connect.client().await?;
            self.webhook.live(&client).await
        })?;
        let reviews = pods.iter().map(|(namespace, pod)| self.request.review_in(namespace, pod));
        Ok((config, reviews.collect()))
    }
}

/// The reviews of the runners of `names` and of the pods of `file`.
fn reviews(
    names: &[String],
    file: Option<&Path>,
    request: &RequestArgs,
) -> anyhow::Result<Vec<Value>> {
    let plain = |name: &String| {
        let pod = request.plain_runner_pod(name, None, None)?;
        Ok::<_, anyhow::Error>(request.review(&pod))
    };
    let mut reviews = names.iter().map(plain).collect::<Result<Vec<_>, _>>()?;
    if let Some(file) = file {
        let objects = Input::read(file, request)?.objects.into_iter();
        reviews.extend(objects.filter_map(|object| object.review(request)));
    }
    Ok(reviews)
}

impl Outcome {
    fn of(review: &Value, config: &Config) -> anyhow::Result<Self> {
        let body = serde_json::to_vec(review)?;
        let request = read(&body).map_err(|error| UsageError::error(error.to_string()))?;
        let before = review.pointer("/request/object").unwrap_or(&Value::Null);
        Ok(match decide(&request, config) {
            Decision::Skip(skip) => Self {
                what: format!("skipped: {}", skip.sentence()),
                warnings: Vec::new(),
                pod: before.clone(),
            },
            Decision::Planned { selection, operations, conflicts } => {
                let pod = patched(before, &operations)?;
                let gpus = output::count(selection.gpus, "GPU");
                let conflicts = conflicts.iter().map(ToString::to_string);
                Self {
                    what: format!("profile {}, {gpus}", selection.profile.name),
                    warnings: conflicts.chain(missing_images(&pod)).collect(),
                    pod,
                }
            }
        })
    }
}

impl Change {
    fn of(review: &Value, configs: [&Config; 2]) -> anyhow::Result<Self> {
        let [from, to] = configs.map(|config| Outcome::of(review, config));
        let (from, to) = (from?, to?);
        let mut differences = compare(&Json::of(&from.pod), &Json::of(&to.pod));
        differences.retain(|one| one.class != Class::NoEffect);
        let pod = Json::of(review.pointer("/request/object").unwrap_or(&Value::Null));
        let name = RunnerPod::new(&pod, "").scale_sets().next().unwrap_or_default().to_owned();
        let namespace = review.pointer("/request/namespace").and_then(Value::as_str);
        let namespace = namespace.unwrap_or_default().to_owned();
        Ok(Self { namespace, name, sides: [from, to], differences })
    }

    /// The warnings that only this side has: 0 is now, 1 is to come.
    fn own_warnings(&self, side: usize) -> impl Iterator<Item = &String> {
        let [from, to] = &self.sides;
        let (own, other) = if side == 0 { (from, to) } else { (to, from) };
        own.warnings.iter().filter(|warning| !other.warnings.contains(warning))
    }

    fn is_change(&self) -> bool {
        let [from, to] = &self.sides;
        !self.differences.is_empty() || from.what != to.what || from.warnings != to.warnings
    }

    fn json(&self) -> Value {
        let [from, to] = &self.sides;
        let difference = |one: &Difference| json!({"path": one.path, "from": one.a, "to": one.b, "note": one.note});
        json!({
            "namespace": self.namespace,
            "name": self.name,
            "from": {"result": from.what, "warnings": from.warnings},
            "to": {"result": to.what, "warnings": to.warnings},
            "differences": self.differences.iter().map(difference).collect::<Vec<_>>(),
        })
    }
}

/// For people. The sets of a cluster are named with their namespaces.
fn text(out: &mut dyn Write, changes: &[Change], is_cluster: bool) -> anyhow::Result<()> {
    for change in changes {
        let namespace = if is_cluster { format!("{}/", change.namespace) } else { String::new() };
        let [from, to] = change.sides.each_ref().map(|side| side.what.as_str());
        let what = if from == to { to.to_owned() } else { format!("{from} -> {to}") };
        let end = if change.is_change() { "" } else { ", no change" };
        writeln!(out, "{}: {}{end}", printable(&(namespace + &change.name)), printable(&what))?;
        for difference in &change.differences {
            let note = match difference.note.as_str() {
                "" => String::new(),
                note => format!(" ({note})"),
            };
            writeln!(out, "  {}", printable(&format!("{difference}{note}")))?;
        }
        for (side, mark) in [(0, "warning no more"), (1, "new warning")] {
            for warning in change.own_warnings(side) {
                writeln!(out, "  {mark}: {}", printable(warning))?;
            }
        }
    }
    let count = changes.iter().filter(|change| change.is_change()).count();
    writeln!(out, "{count} of {} would change", output::count(changes.len(), "scale set"))?;
    Ok(())
}
