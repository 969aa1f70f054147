//! `arc-rocm diff`: the pods of two files compared by meaning.

use std::{
    collections::{HashMap, VecDeque},
    io::Write,
    path::PathBuf,
    process::ExitCode,
};

use serde_json::{Value, json};

use super::{
    EXIT_FINDINGS,
    config::{self, ConfigArgs},
    inject::inject,
    input::{Input, Object, RequestArgs},
    output::{self, Format, printable},
};
use crate::{
    compare::{Class, Difference, compare},
    podspec::{Json, RunnerPod},
};

/// The flags of `diff`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// File with pods, scale sets, lists or admission reviews; - is standard input
    #[arg(value_name = "A")]
    pub file: PathBuf,

    /// File to compare with; default: A as the webhook patches it
    #[arg(value_name = "B")]
    pub other: Option<PathBuf>,

    /// Compare with B as the webhook patches it
    #[arg(long)]
    pub inject: bool,

    /// Form of the result
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,

    /// The request of a pod.
    #[command(flatten)]
    pub request: RequestArgs,

    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// A pod of a file, with the review by which the API server would ask about it.
#[derive(Clone)]
struct Pod {
    review: Value,
    pod: Value,
}

impl Args {
    /// Compares, and prints the differences.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let Self { file, other, inject: is_injected, output, request, config } = self;
        let a = pods(Input::read(&file, &request)?, &request);
        let mut b = match &other {
            Some(other) => pods(Input::read(other, &request)?, &request),
            None => a.clone(),
        };
        if !is_injected && other.is_some() {
            if !config.profiles.profiles.is_empty() {
                let _ = writeln!(
                    std::io::stderr(),
                    "warning: --profiles has no effect without --inject"
                );
            }
        } else {
            let config = config.config().map_err(config::usage_error)?;
            for Pod { review, pod } in &mut b {
                *pod = inject(review, pod.take(), false, &config)?.after;
            }
        }
        let mut is_different = false;
        output::write(|out| {
            for [a, b] in pairs(&a, &b) {
                let found = match (a, b) {
                    (Some(a), Some(b)) => Some(compare(&Json::of(&a.pod), &Json::of(&b.pod))),
                    _ => None,
                };
                is_different |=
                    found.as_ref().is_none_or(|found| count(found, Class::Different) > 0);
                let names = [a, b].map(|pod| pod.map(Pod::name));
                match output {
                    Format::Text => text(out, names, found.as_deref())?,
                    Format::Json => writeln!(out, "{:#}", to_json(names, found.as_deref()))?,
                }
            }
            Ok(())
        })?;
        Ok(if is_different { ExitCode::from(EXIT_FINDINGS) } else { ExitCode::SUCCESS })
    }
}

/// The pods of a file.
fn pods(input: Input, request: &RequestArgs) -> Vec<Pod> {
    let pod = |object| match object {
        Object::Pod(pod) => Some(Pod { review: request.review(&pod), pod }),
        Object::Review(review) => {
            let pod = review.pointer("/request/object").cloned().unwrap_or_default();
            Some(Pod { review, pod })
        }
        Object::Other(_) => None,
    };
    input.objects.into_iter().filter_map(pod).collect()
}

impl Pod {
    fn text(&self, pointer: &str) -> Option<&str> {
        self.pod.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
    }

    fn name(&self) -> &str {
        let names = ["/metadata/name", "/metadata/generateName"];
        names.into_iter().find_map(|name| self.text(name)).unwrap_or("pod")
    }

    /// What finds the same pod in another file, the best first: its name, its scale set, what its name
    /// is generated from; each with the namespace.
    fn keys(&self) -> [Option<(String, String)>; 3] {
        let namespace = self.review.pointer("/request/namespace").and_then(Value::as_str);
        let namespace = namespace.unwrap_or_default();
        let json = Json::of(&self.pod);
        let scale_set = RunnerPod::new(&json, namespace).scale_sets().next().map(str::to_owned);
        let text = |pointer| self.text(pointer).map(str::to_owned);
        [text("/metadata/name"), scale_set, text("/metadata/generateName")]
            .map(|name| Some((namespace.to_owned(), name?)))
    }
}

/// The pods of two files side by side. Two files with one pod each are about the same pod.
fn pairs<'p>(a: &'p [Pod], b: &'p [Pod]) -> Vec<[Option<&'p Pod>; 2]> {
    if let ([a], [b]) = (a, b) {
        return vec![[Some(a), Some(b)]];
    }
    let keys = [a, b].map(|pods| pods.iter().map(Pod::keys).collect::<Vec<_>>());
    let [keys_a, keys_b] = &keys;
    let mut of_a: Vec<Option<usize>> = vec![None; a.len()];
    let mut is_free = vec![true; b.len()];
    for round in 0..3 {
        let mut free: HashMap<&(String, String), VecDeque<usize>> = HashMap::new();
        for (index, keys) in keys_b.iter().enumerate() {
            if let Some(Some(key)) = keys.get(round).filter(|_| is_free.get(index) == Some(&true)) {
                free.entry(key).or_default().push_back(index);
            }
        }
        for (keys, found) in keys_a.iter().zip(&mut of_a).filter(|(_, found)| found.is_none()) {
            let key = keys.get(round).and_then(Option::as_ref);
            *found = key.and_then(|key| free.get_mut(key)?.pop_front());
            if let Some(place) = found.and_then(|index| is_free.get_mut(index)) {
                *place = false;
            }
        }
    }
    let pairs = a.iter().zip(of_a).map(|(pod, found)| [Some(pod), found.and_then(|i| b.get(i))]);
    let rest = b.iter().zip(is_free).filter(|(_, is_free)| *is_free);
    pairs.chain(rest.map(|(pod, _)| [None, Some(pod)])).collect()
}

fn count(found: &[Difference], class: Class) -> usize {
    found.iter().filter(|difference| difference.class == class).count()
}

fn text(
    out: &mut dyn Write,
    names: [Option<&str>; 2],
    found: Option<&[Difference]>,
) -> anyhow::Result<()> {
    let name = match names {
        [Some(a), Some(b)] if a != b => format!("{a} and {b}"),
        [a, b] => a.or(b).unwrap_or_default().to_owned(),
    };
    let what = match (names, found) {
        ([_, None], _) => "only in A".to_owned(),
        ([None, _], _) => "only in B".to_owned(),
        (_, found) => {
            let counts = Class::ALL.map(|class| (count(found.unwrap_or_default(), class), class));
            let counts = counts.into_iter().filter(|(count, _)| *count > 0);
            let counts = counts.map(|(count, class)| format!("{count} {}", class.as_str()));
            let counts = counts.collect::<Vec<_>>().join(", ");
            if counts.is_empty() { "the same".to_owned() } else { counts }
        }
    };
    writeln!(out, "{}: {what}", printable(&name))?;
    for difference in found.unwrap_or_default() {
        let Difference { class, rule, note, .. } = difference;
        let mut line = format!("{:<10} {difference}", class.as_str());
        if let Some(rule) = rule {
            line.extend([" [", rule.name, ", ", rule.page, "]"]);
        }
        if !note.is_empty() {
            line.extend([" (", note, ")"]);
        }
        writeln!(out, "  {}", printable(&line))?;
    }
    Ok(())
}

fn to_json([a, b]: [Option<&str>; 2], found: Option<&[Difference]>) -> Value {
    let difference = |one: &Difference| {
        json!({
            "path": one.path,
            "a": one.a,
            "b": one.b,
            "class": one.class.as_str(),
            "rule": one.rule.map(|rule| rule.name),
            "page": one.rule.map(|rule| rule.page),
            "note": one.note,
        })
    };
    let differences = found.unwrap_or_default().iter().map(difference).collect::<Vec<_>>();
    json!({"a": a, "b": b, "differences": differences})
}
