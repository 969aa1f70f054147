//! One profile as it was written, in a file or in an object.

use std::fmt;

use serde_json::{Map, Value};

use super::{
    Position, Problem,
    report::{Part, Report},
    resolve::{File, Object},
    schema,
    source::{self, Node, NodeValue, Segment},
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
    /// The spec as JSON.
    pub(super) spec: Value,
    /// What is wrong with it by itself.
    pub(super) problems: Vec<Problem>,
    /// What is wrong is shown where it is in here.
    node: Node,
}

impl Document {
    /// The built-in profiles. A test shows that they pass the schema.
    pub(super) fn builtin(text: &str) -> Vec<Self> {
        let nodes = source::documents("built-in", text).unwrap_or_default();
        nodes.into_iter().map(|node| Self::new(Origin::BuiltIn, node)).collect()
    }

    /// The profiles of a file. What keeps it from being read at all goes to `problems`.
    pub(super) fn of_file(file: &File, problems: &mut Vec<Problem>) -> Vec<Self> {
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
        let spec = match node.get("spec").map(Node::to_json) {
            None | Some(Value::Null) => Value::Object(Map::default()),
            Some(spec) => spec,
        };
        Self { origin, name, spec, problems: Vec::new(), node }
    }

    /// Checks what stands around the spec, and the spec by its types.
    fn checked(mut self) -> Self {
        let mut report = self.report();
        envelope(&self.node, &mut report);
        let mut problems = report.into_problems();
        if let Some(spec) = self.node.get("spec") {
            let prefix = [Segment::Key("spec".to_owned())];
            problems.extend(schema::check_at(&self.file(), spec, schema::spec(), &prefix));
        }
        self.problems = problems;
        self
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
    pub(super) fn report(&self) -> Report<'_> {
        Report::new(self.file(), &self.node)
    }

    /// What its problems are shown with.
    pub(super) fn file(&self) -> String {
        match &self.origin {
            Origin::File { name, .. } => name.clone(),
            origin => origin.to_string(),
        }
    }
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
