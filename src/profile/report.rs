//! Problems of one profile on the way to their places in its file.

use std::fmt::Write as _;

use serde_json::Value;

use super::{
    normal::{drop_nulls, text_of},
    problem::{Position, Problem},
    source::{Node, NodeValue, Segment, path_text, quoted},
};

/// One part of a path into a profile. List items are named by their key, because a compiled
/// list has other indices than the file's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// A member of an object.
    Key(String),
    /// An item of a list, by index in the file.
    Index(usize),
    /// An item of a list, by the value of its key field.
    Item(&'static str, String),
    /// An item of a list without keys, by itself. Messages do not repeat it.
    Same(Value),
}

impl From<&str> for Part {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

/// One problem, with the path that was asked for: the same for all profiles that inherit it.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    path: Vec<Part>,
    pub(super) problem: Problem,
}

impl Finding {
    /// Whether `other` is the same problem, in another profile.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.path == other.path && self.problem.message == other.problem.message
    }
}

/// Collects the problems of one profile.
pub(super) struct Report<'n> {
    file: String,
    document: &'n Node,
    findings: Vec<Finding>,
}

impl<'n> Report<'n> {
    pub(super) fn new(file: String, document: &'n Node) -> Self {
        Self { file, document, findings: Vec::new() }
    }

    /// Adds a problem at `path` below the document's root. Where the file does not have the path
    /// (it was inherited, or is missing), the nearest part that it has is shown.
    pub(super) fn add(&mut self, path: &[Part], message: impl Into<String>) {
        self.add_at_first(path, &[], message);
    }

    /// Adds a problem at `path`, or else at the first of `others` that the file has whole, or
    /// else at the one of which it has most.
    pub(super) fn add_at_first(
        &mut self,
        path: &[Part],
        others: &[Vec<Part>],
        message: impl Into<String>,
    ) {
        let (at, text) = self.place(path, others);
        let problem = Problem { file: self.file.clone(), at, path: text, message: message.into() };
        if self.findings.iter().all(|other| other.problem != problem) {
            self.findings.push(Finding { path: path.to_vec(), problem });
        }
    }

    /// The fields that have a problem already.
    pub(super) fn paths(&self) -> Vec<String> {
        self.findings.iter().map(|finding| finding.problem.path.clone()).collect()
    }

    /// Where a problem at `path`, or else at one of `others`, is shown.
    pub(super) fn place(&self, path: &[Part], others: &[Vec<Part>]) -> (Position, String) {
        let (mut segments, mut rest) = self.resolve(path);
        for other in others {
            let found = self.resolve(other);
            if rest.is_empty() {
                break;
            }
            if found.1.is_empty() || found.0.len() > segments.len() {
                (segments, rest) = found;
            }
        }
        let mut text = path_text(&segments);
        for part in rest {
            // Writing to a String cannot fail.
            let _ = match part {
                Part::Key(key) if key.contains(['.', '/']) => write!(text, "[{}]", quoted(key)),
                Part::Key(key) if text.is_empty() => write!(text, "{key}"),
                Part::Key(key) => write!(text, ".{key}"),
                Part::Index(index) => write!(text, "[{index}]"),
                Part::Item(_, value) => write!(text, "[{value}]"),
                Part::Same(_) => write!(text, "[]"),
            };
        }
        (self.document.locate(&segments), text)
    }

    /// The part of `path` that the file has, and the rest.
    fn resolve<'p>(&self, path: &'p [Part]) -> (Vec<Segment>, &'p [Part]) {
        let mut node = self.document;
        let mut segments = Vec::new();
        for (depth, part) in path.iter().enumerate() {
            let Some((segment, child)) = step(node, part) else {
                return (segments, path.get(depth..).unwrap_or_default());
            };
            segments.push(segment);
            node = child;
        }
        (segments, &[])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.findings.into_iter().map(|finding| finding.problem).collect()
    }
}

/// The child of `node` that `part` names.
fn step<'n>(node: &'n Node, part: &Part) -> Option<(Segment, &'n Node)> {
    let items = || match &node.value {
        NodeValue::List(items) => items.as_slice(),
        _ => &[],
    };
    let item = |is_it: &dyn Fn(&Node) -> bool| {
        let (index, child) = items().iter().enumerate().find(|(_, item)| is_it(item))?;
        Some((Segment::Index(index), child))
    };
    match part {
        Part::Key(key) => Some((Segment::Key(key.clone()), node.get(key)?)),
        Part::Index(index) => Some((Segment::Index(*index), items().get(*index)?)),
        Part::Item(key, value) => item(&|item| {
            item.get(key).and_then(|found| text_of(&found.to_json())).as_ref() == Some(value)
        }),
        Part::Same(value) => item(&|item| {
            let mut found = item.to_json();
            drop_nulls(&mut found);
            found == *value
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::source;

    #[test]
    fn an_inherited_item_without_a_key_is_not_repeated() {
        let documents = source::documents("p.yaml", "spec: {a: [{b: 1}]}").unwrap_or_default();
        let places: Vec<String> = documents
            .iter()
            .flat_map(|document| {
                let mut report = Report::new("p.yaml".to_owned(), document);
                for item in [serde_json::json!({"b": 1}), serde_json::json!({"b": "secret"})] {
                    report.add(&["spec".into(), "a".into(), Part::Same(item), "b".into()], "no");
                }
                report.into_problems()
            })
            .map(|problem| problem.to_string())
            .collect();
        assert_eq!(places, ["p.yaml:1:13: spec.a[0].b: no", "p.yaml:1:8: spec.a[].b: no"]);
    }
}
