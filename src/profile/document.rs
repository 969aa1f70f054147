//! One profile as it was written, in a file or in an object.

use std::fmt;

use serde_json::{Map, Value};

use super::{
    Position, Problem, check,
    duplicates::{self, Duplicate},
    normal::drop_nulls,
    report::{Part, Report},
    resolve::{File, Object},
    schema::{self, Repair},
    source::{self, Node, NodeValue, Segment, path_text},
    spec::{API_VERSION, KIND, OBJECT_PREFIX},
};
use crate::podspec::names;

/// Kinds of lists of profiles: kubectl's own, and the API server's.
const LISTS: [&str; 2] = ["List", "RunnerProfileList"];

/// Where a profile comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// This program.
    BuiltIn,
    /// A file.
    File {
        /// Its name.
        name: String,
        /// The line on which the profile starts.
        line: u32,
    },
    /// An object of the cluster.
    Object {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => formatter.pad("built-in"),
            Self::File { name, line } => formatter.pad(&format!("{name}:{line}")),
            Self::Object { name } => formatter.pad(&format!("{OBJECT_PREFIX}{name}")),
        }
    }
}

/// One RunnerProfile as it was written.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) origin: Origin,
    /// Its name; `None` where it has none that a profile can have, or one that is taken.
    pub(super) name: Option<String>,
    /// The spec as JSON, without what is wrong with it by itself.
    pub(super) spec: Value,
    /// What is wrong with it by itself.
    pub(super) problems: Vec<Problem>,
    /// What was left out of the spec for that.
    pub(super) dropped: Vec<Vec<Segment>>,
    /// What is wrong is shown where it is in here.
    pub(super) node: Node,
}

impl Document {
    /// The built-in profiles. A test shows that there is nothing wrong with them.
    pub(super) fn builtin(text: &str) -> Vec<Self> {
        let nodes = source::documents("built-in", text).unwrap_or_default();
        nodes.into_iter().map(|node| Self::new(Origin::BuiltIn, node)).collect()
    }

    /// The profiles of a file. What keeps it from being read at all goes to `problems`.
    pub(super) fn of_file(file: &File, problems: &mut Vec<Problem>) -> Vec<Self> {
        let mut add = |message: &str| {
            let (file, path) = (file.name.clone(), String::new());
            let at = Position { line: 1, column: 1 };
            problems.push(Problem { file, at, path, message: message.to_owned() });
        };
        let nodes = match source::documents(&file.name, &file.text) {
            Ok(nodes) => nodes,
            Err(more) => {
                problems.extend(more);
                return Vec::new();
            }
        };
        match nodes.as_slice() {
            [] => add("no profile in it"),
            [values] if is_values_file(values) => {
                add(VALUES_FILE);
                return Vec::new();
            }
            _ => {}
        }
        let profiles = nodes.into_iter().flat_map(items);
        profiles
            .map(|node| {
                let origin = Origin::File { name: file.name.clone(), line: node.at.line };
                Self::new(origin, node).checked()
            })
            .collect()
    }

    /// The profile of an object.
    pub(super) fn of_object(object: &Object) -> Self {
        let Object { name, spec, .. } = object;
        let origin = Origin::Object { name: name.clone() };
        let Some(spec) = Node::from_json(spec) else {
            let mut document = Self::new(origin, envelope_of(name, Node::map([])));
            document.add(&[Part::from("spec")], source::too_deep());
            return document;
        };
        Self::new(origin, envelope_of(name, spec)).checked()
    }

    fn new(origin: Origin, node: Node) -> Self {
        let name = node.get("metadata").and_then(|metadata| metadata.get("name"));
        let name = name.and_then(text_of).filter(|name| names::is_subdomain(name));
        let spec = spec_of(&node);
        Self { origin, name, spec, problems: Vec::new(), dropped: Vec::new(), node }
    }

    /// Checks what stands around the spec, the spec by its types, that no list names one thing twice, and
    /// each object by Kubernetes' rules. What is wrong is dropped, so that all else can be looked at.
    fn checked(mut self) -> Self {
        let mut report = self.report();
        envelope(&self.node, &mut report);
        self.problems = report.into_problems();
        if let Some(spec) = self.node.get("spec") {
            let prefix = [Segment::Key("spec".to_owned())];
            let found = schema::check(&self.file(), spec, schema::spec(), &prefix);
            self.problems.extend(found.problems);
            // The last first: a path is of the tree as it was written.
            for repair in found.repairs.into_iter().rev() {
                match repair {
                    Repair::Drop(path) => self.drop(path),
                    Repair::Rename(path, name) => self.node.rename(&path, &name),
                }
            }
        }
        let spec = self.node.get("spec").map(Node::to_json).unwrap_or_default();
        for Duplicate { item, key, message } in duplicates::of(&spec) {
            let path: Vec<Segment> = item.iter().cloned().chain([Segment::Key(key)]).collect();
            self.problems.push(Problem {
                file: self.file(),
                at: self.node.locate(&path),
                path: path_text(&path),
                message,
            });
            self.drop(item);
        }
        self.spec = spec_of(&self.node);
        let mut report = self.report();
        check::written(&self.spec, &mut report);
        let problems = report.into_problems();
        self.problems.extend(problems);
        self
    }

    fn drop(&mut self, path: Vec<Segment>) {
        if let Some(node) = self.node.at_mut(&path) {
            node.value = NodeValue::Null;
        }
        self.dropped.push(path);
    }

    pub(super) fn is_object(&self) -> bool {
        matches!(self.origin, Origin::Object { .. })
    }

    /// The name of the profile that this one extends.
    pub(super) fn extends(&self) -> Option<&str> {
        self.spec.get("extends")?.as_str()
    }

    /// Adds a problem.
    pub(super) fn add(&mut self, path: &[Part], message: impl Into<String>) {
        let mut report = self.report();
        report.add(path, message);
        let problems = report.into_problems();
        self.problems.extend(problems);
    }

    /// Collects problems of this profile.
    fn report(&self) -> Report<'_> {
        Report::new(self, &[], true)
    }

    /// What its problems are shown with.
    pub(super) fn file(&self) -> String {
        match &self.origin {
            Origin::File { name, .. } => name.clone(),
            origin => origin.to_string(),
        }
    }
}

/// The spec of a document as JSON.
fn spec_of(node: &Node) -> Value {
    let mut spec = node.get("spec").map(Node::to_json).unwrap_or_default();
    drop_nulls(&mut spec);
    if spec.is_object() { spec } else { Value::Object(Map::default()) }
}

/// What to say about a values file.
const VALUES_FILE: &str = "a values file of ARC's chart, not a RunnerProfile; its template: block \
                           can go below spec: of a profile as it is";

/// Whether this is a values file of ARC's scale-set chart.
fn is_values_file(node: &Node) -> bool {
    let has = |key: &str| node.get(key).is_some();
    !has("apiVersion")
        && !has("kind")
        && ["githubConfigUrl", "githubConfigSecret", "runnerScaleSetName", "minRunners"]
            .into_iter()
            .any(has)
}

/// The items of a List, as `kubectl get runnerprofiles -o yaml` prints it; anything else as it is.
fn items(node: Node) -> Vec<Node> {
    let is_list = node.get("kind").and_then(text_of).is_some_and(|kind| LISTS.contains(&&*kind));
    match node.get("items").map(|items| &items.value) {
        Some(NodeValue::List(items)) if is_list => items.clone(),
        _ => vec![node],
    }
}

/// What stands around the spec of an object.
fn envelope_of(name: &str, spec: Node) -> Node {
    let text = |text: &str| Node::text(text);
    Node::map([
        ("apiVersion", text(API_VERSION)),
        ("kind", text(KIND)),
        ("metadata", Node::map([("name", text(name))])),
        ("spec", spec),
    ])
}

/// Checks what stands around the spec.
fn envelope(node: &Node, report: &mut Report<'_>) {
    for key in node.keys() {
        if !["apiVersion", "kind", "metadata", "spec", "status"].contains(&key) {
            report.add(&[Part::from(key)], "unknown field");
        }
    }
    for (field, wanted) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        if node.get(field).and_then(text_of).as_deref() != Some(wanted) {
            report.add(&[Part::from(field)], format!("expected {wanted}"));
        }
    }
    let path = [Part::from("metadata"), Part::from("name")];
    match node.get("metadata").and_then(|metadata| metadata.get("name")).and_then(text_of) {
        None => report.add(&path, "a profile needs a name"),
        Some(name) if !names::is_subdomain(&name) => {
            report.add(&path, format!("{name:?} is not a DNS subdomain, as names of objects are"));
        }
        Some(_) => {}
    }
}

fn text_of(node: &Node) -> Option<String> {
    match &node.value {
        NodeValue::String(text) => Some(text.clone()),
        _ => None,
    }
}
