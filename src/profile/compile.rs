//! From files to a [`ProfileSet`]: read, check against the schema, inherit, check what it means.
//! Every problem of every file is reported, all at once.

use std::collections::BTreeMap;

use crate::podspec::names;
use schemars::{Schema, schema_for};
use serde_json::{Map, Value};

use super::{
    Position, Problem, Profile, ProfileSet, check,
    inherit::inherit,
    matcher::Matcher,
    pattern::MAX_GPUS,
    report::{Finding, Part, Report},
    schema,
    set::BUILTIN,
    source::{self, Node, NodeValue, Segment},
    spec::{API_VERSION, KIND, OBJECT_PREFIX, RunnerProfileSpec},
};

/// The built-in profile's text.
pub const BUILTIN_TEXT: &str = include_str!("builtin.yaml");

/// Kinds of lists of profiles: kubectl's own, and the API server's.
const LISTS: [&str; 2] = ["List", "RunnerProfileList"];

/// A file's text, under the name that its problems are shown with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// The name.
    pub name: String,
    /// The text: YAML, one or more documents.
    pub text: String,
}

/// One RunnerProfile of a file, past the schema.
pub(super) struct Document {
    pub(super) file: String,
    node: Node,
    pub(super) name: String,
    /// The spec as written.
    pub(super) spec: Value,
}

/// Documents by the names of their profiles.
pub(super) type Documents<'d> = BTreeMap<&'d str, &'d Document>;

/// Whom the built-in profile is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Builtin {
    /// Every runner pod: there is nothing else.
    Everyone,
    /// Pods that name it, and profiles that extend it.
    ByName,
}

impl ProfileSet {
    /// The built-in profile alone, for every runner pod.
    pub fn builtin() -> Self {
        Self::compile(&[]).unwrap_or_else(|_| Self::new(Vec::new()))
    }

    /// Compiles the profiles of `files`. With none, the built-in profile is for every runner pod;
    /// with some, it is there to be extended or named.
    pub fn compile(files: &[File]) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        // The built-in profile has passed it (a test says so), and a server without profiles of
        // its own is spared the megabytes that Kubernetes' types take to describe.
        let schema = (!files.is_empty()).then(schema);
        let read = read_files(files, schema.as_ref(), &mut problems);
        let documents = by_name(&read, &mut problems);
        let builtin = if files.is_empty() { Builtin::Everyone } else { Builtin::ByName };
        let (profiles, more) = profiles(&documents, builtin);
        problems.extend(more);
        ties(&profiles, &documents, &mut problems);
        if problems.is_empty() {
            Ok(Self::new(profiles))
        } else {
            problems.sort_by(|a, b| (&a.file, a.at, &a.path).cmp(&(&b.file, b.at, &b.path)));
            Err(problems)
        }
    }
}

/// The documents of the built-in profile and of `files`.
pub(super) fn read_files(
    files: &[File],
    schema: Option<&Schema>,
    problems: &mut Vec<Problem>,
) -> Vec<Document> {
    let builtin = File { name: "built-in".to_owned(), text: BUILTIN_TEXT.to_owned() };
    let mut documents = read(&builtin, None, problems);
    for file in files {
        documents.extend(read(file, schema, problems));
    }
    documents
}

/// The documents by name; the first of a name wins.
pub(super) fn by_name<'d>(read: &'d [Document], problems: &mut Vec<Problem>) -> Documents<'d> {
    let mut documents = Documents::new();
    for document in read {
        let path = [Part::from("metadata"), Part::from("name")];
        let mut report = Report::new(&document.file, &document.node);
        match documents.get(document.name.as_str()) {
            Some(_) if document.name == BUILTIN => {
                report.add(&path, "rocm is the built-in profile; give yours another name");
            }
            Some(other) => {
                report.add(&path, format!("{} has a profile of this name too", other.file));
            }
            None => {
                documents.insert(&document.name, document);
                continue;
            }
        }
        problems.extend(report.into_problems());
    }
    documents
}

/// The profiles that are good by themselves, and what is wrong with the others; without
/// [`ties`].
pub(super) fn profiles(
    documents: &Documents<'_>,
    builtin: Builtin,
) -> (Vec<Profile>, Vec<Problem>) {
    let mut profiles = Vec::new();
    let mut failed: BTreeMap<&str, Vec<Finding>> = BTreeMap::new();
    for document in documents.values() {
        match profile(document, documents) {
            Ok(mut profile) => {
                if profile.name == BUILTIN && builtin == Builtin::ByName {
                    profile.matcher = None;
                }
                profiles.push(profile);
            }
            Err(findings) => {
                failed.insert(&document.name, findings);
            }
        }
    }
    (profiles, own_problems(&failed, documents))
}

/// The schema of a RunnerProfile's `spec`, from the types.
pub fn schema() -> Schema {
    schema_for!(RunnerProfileSpec)
}

/// The documents of one file that pass the schema.
pub(super) fn read(
    file: &File,
    schema: Option<&Schema>,
    problems: &mut Vec<Problem>,
) -> Vec<Document> {
    let nodes = match source::documents(&file.name, &file.text) {
        Ok(nodes) => nodes,
        Err(more) => {
            problems.extend(more);
            return Vec::new();
        }
    };
    if nodes.is_empty() {
        problems.push(Problem {
            file: file.name.clone(),
            at: Position { line: 1, column: 1 },
            path: String::new(),
            message: "no profile in it".to_owned(),
        });
    }
    let mut documents = Vec::new();
    for node in nodes.into_iter().flat_map(items) {
        let mut report = Report::new(&file.name, &node);
        let name = envelope(&node, &mut report);
        let mut found = report.into_problems();
        if let (Some(spec), Some(schema)) = (node.get("spec"), schema) {
            let prefix = [Segment::Key("spec".to_owned())];
            found.extend(schema::check_at(&file.name, spec, schema, &prefix));
        }
        let spec = match node.get("spec").map(Node::to_json) {
            None | Some(Value::Null) => Value::Object(Map::default()),
            Some(spec) => spec,
        };
        match name {
            Some(name) if found.is_empty() => {
                documents.push(Document { file: file.name.clone(), node, name, spec });
            }
            _ => problems.extend(found),
        }
    }
    documents
}

/// The items of a List, as `kubectl get runnerprofiles -o yaml` prints it; anything else as it is.
fn items(node: Node) -> Vec<Node> {
    let kind = node.get("kind").map(Node::to_json);
    let is_list = kind.and_then(|kind| kind.as_str().map(|kind| LISTS.contains(&kind)));
    match node.get("items").map(|items| &items.value) {
        Some(NodeValue::List(items)) if is_list == Some(true) => items.clone(),
        _ => vec![node],
    }
}

/// Checks what stands around the spec, and returns the name.
fn envelope(node: &Node, report: &mut Report<'_>) -> Option<String> {
    let text = |node: Option<&Node>| {
        node.map(Node::to_json).and_then(|value| value.as_str().map(str::to_owned))
    };
    let json = node.to_json();
    for key in json.as_object().into_iter().flat_map(|members| members.keys()) {
        if !["apiVersion", "kind", "metadata", "spec", "status"].contains(&key.as_str()) {
            report.add(&[Part::from(key.as_str())], "unknown field");
        }
    }
    for (field, wanted) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        if text(node.get(field)).as_deref() != Some(wanted) {
            report.add(&[Part::from(field)], format!("expected {wanted}"));
        }
    }
    let name = text(node.get("metadata").and_then(|metadata| metadata.get("name")));
    let path = [Part::from("metadata"), Part::from("name")];
    match &name {
        None => report.add(&path, "a profile needs a name"),
        Some(name) if !names::is_subdomain(name) => {
            report.add(&path, format!("{name:?} is not a DNS subdomain, as names of objects are"));
        }
        Some(_) => {}
    }
    name
}

/// Compiles one document.
fn profile(document: &Document, documents: &Documents<'_>) -> Result<Profile, Vec<Finding>> {
    let Document { file, node, name, spec: written } = document;
    let mut report = Report::new(file, node);
    check::written(written, &mut report);
    let Some((merged, extends)) = chain(document, documents, &mut report) else {
        return Err(report.into_findings());
    };
    let spec: RunnerProfileSpec = match serde_json::from_value(merged) {
        Ok(spec) => spec,
        Err(error) => {
            if report.is_empty() {
                report.add(&[Part::from("spec")], error.to_string());
            }
            return Err(report.into_findings());
        }
    };
    let matcher = spec.matches.as_ref().and_then(|matches| {
        Matcher::compile(matches)
            .map_err(|problems| {
                for (path, message) in problems {
                    let parts = path.iter().map(|part| {
                        part.parse().map_or_else(|_| Part::from(part.as_str()), Part::Index)
                    });
                    let path: Vec<Part> = [Part::from("spec"), Part::from("match")]
                        .into_iter()
                        .chain(parts)
                        .collect();
                    report.add(&path, message);
                }
            })
            .ok()
    });
    check::short_forms(&spec, &mut report);
    check::templates(&spec, &gpu_counts(&spec), &mut report);
    if report.is_empty() {
        let origin = match file.as_str() {
            "built-in" => file.clone(),
            _ if file.starts_with(OBJECT_PREFIX) => file.clone(),
            _ => format!("{file}:{}", node.at.line),
        };
        Ok(Profile::new(name.clone(), origin, extends, matcher, spec))
    } else {
        Err(report.into_findings())
    }
}

/// The problems of the profiles that `failed`, without those that a profile only inherits from
/// one that has failed as well.
fn own_problems(failed: &BTreeMap<&str, Vec<Finding>>, documents: &Documents<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, findings) in failed {
        let mut inherited: Vec<&Finding> = Vec::new();
        let mut bases = vec![*name];
        let mut current = *name;
        while let Some(base) = documents
            .get(current)
            .and_then(|document| document.spec.get("extends")?.as_str())
            .filter(|base| !bases.contains(base))
        {
            inherited.extend(failed.get(base).into_iter().flatten());
            bases.push(base);
            current = base;
        }
        let own = findings.iter().filter(|one| inherited.iter().all(|other| !one.is_same(other)));
        problems.extend(own.map(|finding| finding.problem.clone()));
    }
    problems
}

/// The numbers of GPUs for which a template is checked: the profile's own first, because a
/// problem is shown with the first number that has it. A scale set's name or a pod's annotation
/// may give any other. Amounts grow with the number in a straight line, so what holds at both
/// ends holds between them.
fn gpu_counts(spec: &RunnerProfileSpec) -> Vec<u32> {
    let count = spec.gpu.as_ref().and_then(|gpu| gpu.count).unwrap_or_default();
    let mut counts = vec![count];
    counts.extend([0, 1, MAX_GPUS].into_iter().filter(|other| *other != count));
    counts
}

/// The spec with everything that it inherits, and the names of what it builds on.
fn chain(
    document: &Document,
    documents: &Documents<'_>,
    report: &mut Report<'_>,
) -> Option<(Value, Vec<String>)> {
    let path = [Part::from("spec"), Part::from("extends")];
    let mut specs = vec![&document.spec];
    let mut names = Vec::new();
    let mut current = document;
    while let Some(base) = current.spec.get("extends").and_then(Value::as_str) {
        if base == document.name {
            let message = match names.last() {
                Some(_) => {
                    format!("{} extends this profile in turn", names.join(", which extends "))
                }
                None => "a profile cannot extend itself".to_owned(),
            };
            report.add(&path, message);
            return None;
        }
        // A circle further down is reported where it is.
        if names.iter().any(|name| name == base) {
            return None;
        }
        let Some(found) = documents.get(base) else {
            if current.name == document.name {
                let known = documents.keys().copied().collect::<Vec<_>>().join(", ");
                report
                    .add(&path, format!("there is no valid profile {base:?}; there are: {known}"));
            }
            return None;
        };
        names.push(base.to_owned());
        specs.push(&found.spec);
        current = found;
    }
    let mut specs = specs.into_iter().rev();
    let first = specs.next().cloned().unwrap_or_default();
    Some((specs.fold(first, |parent, child| inherit(&parent, child)), names))
}

/// Two profiles that can match one pod need different priorities.
fn ties(profiles: &[Profile], documents: &Documents<'_>, problems: &mut Vec<Problem>) {
    for (index, one) in profiles.iter().enumerate() {
        let others = profiles.iter().skip(index + 1);
        problems.extend(others.flat_map(|other| tie(one, other, documents)));
    }
}

/// What is wrong with `one` when it can match a pod that `other` matches with the same priority.
pub(super) fn tie(one: &Profile, other: &Profile, documents: &Documents<'_>) -> Vec<Problem> {
    if one.priority != other.priority {
        return Vec::new();
    }
    let (Some(ours), Some(theirs)) = (&one.matcher, &other.matcher) else { return Vec::new() };
    let Some(pattern) = ours.overlaps(theirs) else { return Vec::new() };
    let Some(document) = documents.get(one.name.as_str()) else { return Vec::new() };
    let mut report = Report::new(&document.file, &document.node);
    let mut path = vec![Part::from("spec"), Part::from("match")];
    let mut subject = "every pod that it matches may be".to_owned();
    if let Some(pattern) = pattern.and_then(|index| {
        path.extend([Part::from("scaleSets"), Part::Index(index)]);
        ours.scale_sets().get(index)
    }) {
        subject = format!("{:?}", pattern.as_str());
    }
    let (name, priority) = (&other.name, other.priority);
    report.add(
        &path,
        format!("{subject} also matched by profile {name:?} with the same priority {priority}"),
    );
    report.into_problems()
}

#[cfg(test)]
mod tests;
