//! Problems of one profile on the way to their places in its file.

use std::fmt::Write as _;

use super::{
    problem::Problem,
    source::{Node, NodeValue, Segment, path_text},
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
}

impl From<&str> for Part {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

/// Collects the problems of one profile.
pub(super) struct Report<'n> {
    file: &'n str,
    document: &'n Node,
    problems: Vec<Problem>,
}

impl<'n> Report<'n> {
    pub(super) fn new(file: &'n str, document: &'n Node) -> Self {
        Self { file, document, problems: Vec::new() }
    }

    /// Adds a problem at `path` below the document's root. Where the file does not have the path
    /// (it was inherited, or stands for a short form), the nearest part that it has is shown.
    pub(super) fn add(&mut self, path: &[Part], message: impl Into<String>) {
        let (segments, rest) = self.resolve(path);
        let mut text = path_text(&segments);
        for part in rest {
            // Writing to a String cannot fail.
            let _ = match part {
                Part::Key(key) if key.contains(['.', '/']) => write!(text, "[{key}]"),
                Part::Key(key) => write!(text, ".{key}"),
                Part::Index(index) => write!(text, "[{index}]"),
                Part::Item(_, value) => write!(text, "[{value}]"),
            };
        }
        let problem = Problem {
            file: self.file.to_owned(),
            at: self.document.locate(&segments),
            path: text,
            message: message.into(),
        };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The part of `path` that the file has, and the rest.
    fn resolve<'p>(&self, path: &'p [Part]) -> (Vec<Segment>, &'p [Part]) {
        let mut node = Some(self.document);
        let mut segments = Vec::new();
        for (depth, part) in path.iter().enumerate() {
            let found = match (part, node.map(|node| &node.value)) {
                (Part::Key(key), _) => node
                    .and_then(|node| node.get(key))
                    .map(|child| (Segment::Key(key.clone()), child)),
                (Part::Index(index), Some(NodeValue::List(items))) => {
                    items.get(*index).map(|child| (Segment::Index(*index), child))
                }
                (Part::Item(key, value), Some(NodeValue::List(items))) => items
                    .iter()
                    .enumerate()
                    .find(|(_, item)| {
                        let found = item.get(key).map(Node::to_json);
                        found.is_some_and(|found| {
                            super::normal::text_of(&found).as_ref() == Some(value)
                        })
                    })
                    .map(|(index, child)| (Segment::Index(index), child)),
                _ => None,
            };
            let Some((segment, child)) = found else {
                return (segments, path.get(depth..).unwrap_or_default());
            };
            segments.push(segment);
            node = Some(child);
        }
        (segments, &[])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}
