//! Problems of one profile on the way to their places in its file.

use std::fmt::Write as _;

use super::{
    document::Document,
    normal::text_of,
    problem::Problem,
    source::{Node, NodeValue, Segment, path_text, quoted},
};

/// One part of a path into a profile. List items are named by their key, because a compiled
/// list has other indices than the file's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// A member of an object.
    Key(String),
    /// An item of a list, by its place among those that are not null.
    Index(usize),
    /// An item of a list, by the value of its key field.
    Item(&'static str, String),
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
pub(super) struct Report<'d> {
    document: &'d Document,
    /// What it builds on, nearest first.
    bases: &'d [&'d Document],
    /// Whether all that it inherits is known.
    is_complete: bool,
    findings: Vec<Finding>,
}

impl<'d> Report<'d> {
    pub(super) fn new(
        document: &'d Document,
        bases: &'d [&'d Document],
        is_complete: bool,
    ) -> Self {
        Self { document, bases, is_complete, findings: Vec::new() }
    }

    /// Adds a problem at `path` below the document's root. Where the file does not have the path
    /// (it was inherited, or is missing), the nearest part that it has is shown.
    pub(super) fn add(&mut self, path: &[Part], message: impl Into<String>) {
        self.add_at_first(path, &[], message);
    }

    /// Adds a problem at `path`, or else at the first of `others` that the file has whole, or
    /// else at the one of which it has most. What follows from a problem that is known already is
    /// left out.
    pub(super) fn add_at_first(
        &mut self,
        path: &[Part],
        others: &[Vec<Part>],
        message: impl Into<String>,
    ) {
        let (segments, rest) = self.find(path, others);
        let follows = |dropped: &Vec<Segment>| {
            *dropped == segments
                || dropped.split_last().is_some_and(|(_, parent)| *parent == *segments)
        };
        if self.document.dropped.iter().any(follows) {
            return;
        }
        let problem = Problem {
            file: self.document.file(),
            at: self.document.node.locate(&segments),
            path: text(&segments, rest),
            message: message.into(),
        };
        if self.findings.iter().all(|other| other.problem != problem) {
            self.findings.push(Finding { path: path.to_vec(), problem });
        }
    }

    /// Whether what is missing in the list or map `key` may have been dropped, or be inherited
    /// from what is not known.
    pub(super) fn may_have(&self, key: &str) -> bool {
        let names = |path: &Vec<Segment>| path.contains(&Segment::Key(key.to_owned()));
        !self.is_complete || self.document.dropped.iter().any(names)
    }

    /// The base that has one of `paths`, where the profile itself has none of them.
    pub(super) fn inherited_from(&self, paths: &[Vec<Part>]) -> Option<&'d str> {
        let has = |node: &Node| paths.iter().any(|path| resolve(node, path).1.is_empty());
        if has(&self.document.node) {
            return None;
        }
        self.bases.iter().find(|base| has(&base.node))?.name.as_deref()
    }

    /// The part of `path`, or else of one of `others`, that the file has, and the rest.
    fn find<'p>(&self, path: &'p [Part], others: &'p [Vec<Part>]) -> (Vec<Segment>, &'p [Part]) {
        let node = &self.document.node;
        let (mut segments, mut rest) = resolve(node, path);
        for other in others {
            let found = resolve(node, other);
            if rest.is_empty() {
                break;
            }
            if found.1.is_empty() || found.0.len() > segments.len() {
                (segments, rest) = found;
            }
        }
        (segments, rest)
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.findings.into_iter().map(|finding| finding.problem).collect()
    }
}

/// The part of `path` that `node` has, and the rest.
fn resolve<'p>(mut node: &Node, path: &'p [Part]) -> (Vec<Segment>, &'p [Part]) {
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

/// A path, of which `rest` is not in the file.
fn text(segments: &[Segment], rest: &[Part]) -> String {
    let mut text = path_text(segments);
    for part in rest {
        // Writing to a String cannot fail.
        let _ = match part {
            Part::Key(key) if key.contains(['.', '/']) => write!(text, "[{}]", quoted(key)),
            Part::Key(key) if text.is_empty() => write!(text, "{key}"),
            Part::Key(key) => write!(text, ".{key}"),
            Part::Index(index) => write!(text, "[{index}]"),
            Part::Item(_, value) => write!(text, "[{value}]"),
        };
    }
    text
}

/// The child of `node` that `part` names. What is null counts as absent.
fn step<'n>(node: &'n Node, part: &Part) -> Option<(Segment, &'n Node)> {
    let is_null = |node: &Node| node.value == NodeValue::Null;
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
        Part::Index(index) => {
            let mut there = items().iter().enumerate().filter(|(_, item)| !is_null(item));
            there.nth(*index).map(|(index, child)| (Segment::Index(index), child))
        }
        Part::Item(key, value) => item(&|item| {
            item.get(key).and_then(|found| text_of(&found.to_json())).as_ref() == Some(value)
        }),
    }
}
