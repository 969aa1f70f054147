//! Hand-written scale sets in; profiles, plain values and what there is to look at out.
//!
//! A scale set's way: its pod template → the short forms of a profile and what they do not have (`idioms`)
//! → few profiles for all (`factor`) → text (`write`, `plain`) → what the webhook makes of the plain values
//! with these profiles, compared with the hand-written pod.

mod attempt;
mod factor;
mod idioms;
mod lines;
mod mistakes;
mod plain;
mod secrets;
mod write;

use serde_json::{Value, json};

pub use mistakes::Finding;
pub use plain::of_set;

use crate::{
    annotations::INJECT,
    arc::{self, Release},
    compare::{Class, Difference, compare, shell::StartScript},
    inject::Config,
    podspec::{Json, RUNNER},
    profile::{
        Problem, SUITE_ENDING,
        schema::unknown_fields,
        source::{Node, Segment},
    },
};
use attempt::{attempts, compile, config, patched, reason_to_keep};
use factor::Member;

/// The file with the profiles.
pub const PROFILES: &str = "profiles.yaml";

/// A scale set as it was written by hand.
#[derive(Clone, Debug)]
pub struct Written {
    /// The file, as the user named it.
    pub file: String,
    /// Its text.
    pub text: String,
    /// The values in it, or the `AutoscalingRunnerSet`.
    pub node: Node,
    /// The keys that a map of the file has twice.
    pub repeated: Vec<Problem>,
    /// Whether it is values of ARC's chart.
    pub is_values: bool,
    /// Where the values are in the file, such as `gpu.runners`.
    pub key: Option<String>,
    /// The values; of an object those that make the same ([`of_set`]).
    pub values: Value,
    /// The object.
    pub set: Value,
    /// The scale set's name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The chart's version.
    pub version: String,
}

/// What came of scale sets.
#[derive(Debug, Default)]
pub struct Imported {
    /// Files by their paths in the folder: the profiles, a suite of tests, and values.
    pub files: Vec<(String, String)>,
    /// Mistakes, and what is left to a person, by file and line.
    pub findings: Vec<Finding>,
    /// One for each scale set, in the order of the input.
    pub verdicts: Vec<Verdict>,
}

/// What the webhook makes of a scale set's plain values, beside the hand-written runner.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The scale set.
    pub name: String,
    /// Its profile, and the number of GPUs; none where it stays as it is.
    pub profile: Option<(String, u32)>,
    /// Why it stays as it is.
    pub kept: Option<String>,
    /// Why its profile has the template as it was written; empty for one in short forms.
    pub whole: String,
    /// All differences.
    pub differences: Vec<Difference>,
    /// The codes of the conflicts that each of its runners has, such as `dind-host-network`.
    pub conflicts: Vec<&'static str>,
}

impl Verdict {
    /// The number of differences of a class.
    pub fn count(&self, class: Class) -> usize {
        self.differences.iter().filter(|difference| difference.class == class).count()
    }
}

impl Written {
    /// The pod template.
    fn template(&self) -> Option<&Node> {
        if self.is_values {
            self.node.get("template")
        } else {
            self.node.get("spec")?.get("template")
        }
    }

    /// What has the template.
    fn beside_template(&self) -> &Node {
        if self.is_values { &self.node } else { self.node.get("spec").unwrap_or(&self.node) }
    }

    /// The chart's container mode.
    fn mode(&self) -> &str {
        self.values.pointer("/containerMode/type").and_then(Value::as_str).unwrap_or_default()
    }

    /// The keys down to the values.
    fn keys(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.key.iter().flat_map(|key| key.split('.'))
    }

    /// The set without the fields that the API server drops, and without what says that the webhook leaves
    /// it alone.
    fn stored(&self) -> Value {
        let mut set = self.set.clone();
        if let Some(Value::Object(metadata)) = set.get_mut("metadata") {
            metadata.entry("namespace").or_insert_with(|| self.namespace.as_str().into());
        }
        let unknown = self.template().map(|template| unknown_fields(&self.file, template));
        for (path, _) in unknown.unwrap_or_default() {
            if let Some(template) = set.pointer_mut("/spec/template") {
                remove(template, &path);
            }
        }
        for map in ["labels", "annotations"] {
            let path = format!("/spec/template/metadata/{map}");
            if let Some(Value::Object(members)) = set.pointer_mut(&path) {
                members.remove(INJECT);
            }
        }
        set
    }

    /// The scale set that ARC's chart makes of other values.
    fn set_of(&self, values: &Value) -> Result<Value, String> {
        let release =
            Release { name: &self.name, namespace: &self.namespace, version: &self.version };
        arc::scale_set(values, &release).map_err(|problem| problem.message)
    }
}

/// Takes out what is at `path`.
fn remove(value: &mut Value, path: &[Segment]) {
    let Some((last, parents)) = path.split_last() else { return };
    let parent = parents.iter().try_fold(value, |value, segment| match segment {
        Segment::Key(key) => value.get_mut(key),
        Segment::Index(index) => value.get_mut(*index),
    });
    if let (Some(Value::Object(members)), Segment::Key(key)) = (parent, last) {
        members.remove(key);
    }
}

/// One scale set on its way.
struct Set<'w> {
    written: &'w Written,
    /// The hand-written runner pod.
    pod: Value,
    outcome: Outcome,
}

enum Outcome {
    /// It gets a profile; what stays in its values.
    Profile {
        member: Member,
        template: Value,
        /// Why its template is in no short form; empty for one that is.
        whole: String,
    },
    /// It stays as it is, for this reason.
    Kept(String),
}

/// Imports scale sets. `groups` are the GIDs of the GPU devices, where the sets do not say them.
///
/// # Errors
///
/// Profiles that are good one by one have problems together, which is a bug.
pub fn import(all: &[Written], groups: &[i64]) -> Result<Imported, Vec<Problem>> {
    let mut imported = Imported::default();
    let sets: Vec<Set<'_>> = all.iter().map(|written| Set::of(written, groups)).collect();
    let members: Vec<Member> = sets
        .iter()
        .filter_map(|set| match &set.outcome {
            Outcome::Profile { member, .. } => Some(member.clone()),
            Outcome::Kept(_) => None,
        })
        .collect();
    let documents = factor::profiles(&members);
    let config = config(compile(&documents)?);
    for set in &sets {
        let (verdict, values) = set.verdict(&config);
        let text = plain::text(set.written, &values);
        imported.files.push((format!("values/{}.yaml", set.written.name), text));
        imported.verdicts.push(verdict);
        imported.findings.extend(mistakes::find(set.written));
        imported.findings.extend(set.left_out());
    }
    imported.findings.sort();
    imported.findings.dedup();
    if !documents.is_empty() {
        let texts: Vec<String> = documents.iter().map(write::yaml).collect();
        imported.files.push((PROFILES.to_owned(), texts.join("---\n")));
        let suite = PROFILES.replace(".yaml", SUITE_ENDING);
        imported.files.push((suite, tests(&sets, &imported.verdicts)));
    }
    Ok(imported)
}

/// The suite that holds each scale set to its profile and its GPUs.
fn tests(sets: &[Set<'_>], verdicts: &[Verdict]) -> String {
    let mut tests = Vec::new();
    for (set, verdict) in sets.iter().zip(verdicts) {
        let Written { name, namespace, .. } = set.written;
        let Some((profile, gpus)) = &verdict.profile else { continue };
        // What the hand-written runner asks for, where its profile has it.
        let by_hand = match &set.outcome {
            Outcome::Profile { member, .. } => member.gpus.as_ref().map(|gpus| gpus.count),
            Outcome::Kept(_) => None,
        };
        let mut expect = json!({"profile": profile, "gpus": by_hand.unwrap_or(*gpus)});
        if let (false, Value::Object(expect)) = (verdict.conflicts.is_empty(), &mut expect) {
            expect.insert("conflicts".into(), json!(verdict.conflicts));
        }
        let file = format!("values/{name}.yaml");
        let test =
            json!({"scaleSet": name, "namespace": namespace, "file": file, "expect": expect});
        tests.push(test);
    }
    write::yaml(&json!({"tests": tests}))
}

impl<'w> Set<'w> {
    fn of(written: &'w Written, groups: &[i64]) -> Self {
        let stored = written.stored();
        let pod = arc::next_runner_pod(&stored);
        let outcome = reason_to_keep(&pod).map_or_else(
            || {
                let template = stored.pointer("/spec/template").cloned().unwrap_or_default();
                attempts(written, &pod, &template, groups)
            },
            Outcome::Kept,
        );
        Self { written, pod, outcome }
    }

    /// The verdict, and the values.
    fn verdict(&self, config: &Config) -> (Verdict, Value) {
        let Self { written, pod, outcome } = self;
        let mut verdict = Verdict { name: written.name.clone(), ..Verdict::default() };
        let (template, whole) = match outcome {
            Outcome::Profile { template, whole, .. } => (template, whole),
            Outcome::Kept(why) => {
                verdict.kept = Some(why.clone());
                return (verdict, plain::kept(written));
            }
        };
        let values = plain::values(written, template);
        match written.set_of(&values) {
            Ok(set) => {
                let patched = patched(&set, &written.namespace, config);
                verdict.differences = compare(&Json::of(pod), &Json::of(&patched.pod));
                (verdict.profile, verdict.whole) = (patched.profile, whole.clone());
                verdict.conflicts = patched.conflicts;
            }
            Err(why) => verdict.kept = Some(why),
        }
        (verdict, values)
    }

    /// The lines of the runner's script that the start wrapper does not do.
    fn left_out(&self) -> Vec<Finding> {
        let Outcome::Profile { member, .. } = &self.outcome else { return Vec::new() };
        if member.spec.get("start").is_some_and(|start| start.get("enabled").is_some())
            || !member.spec.contains_key("extends")
        {
            return Vec::new();
        }
        let template = self.written.template().and_then(|template| template.get("spec"));
        let runner = template.and_then(|spec| mistakes::container(spec, RUNNER));
        let script =
            runner.map(|runner| lines::lines(&self.written.text, runner)).unwrap_or_default();
        let text: Vec<&str> = script.iter().map(|line| line.text.as_str()).collect();
        let text = text.join("\n");
        let read = StartScript::read(&text);
        let line = |number: &usize| script.get(number.checked_sub(1)?).map(|line| line.at);
        read.others
            .iter()
            .filter_map(line)
            .map(|line| Finding {
                file: self.written.file.clone(),
                line,
                code: "left-out",
                message: "the start wrapper does not do this; it is left out: put it in the image, or in a step of \
                          the job"
                    .to_owned(),
            })
            .collect()
    }
}
