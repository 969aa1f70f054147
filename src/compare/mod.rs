//! Two pods compared by meaning: order, spelling, defaults and what a cluster fills in do not count.
//! Each difference has a class, by a rule of [`RULES`].

mod align;
mod meaning;
mod rules;
pub(crate) mod secret;
pub(crate) mod shell;
mod show;

use std::{collections::BTreeSet, fmt};

use meaning::{Branch, Key, Node, of_pod};
use rules::{Case, Side};
pub use rules::{RULES, Rule};

use crate::podspec::{Json, LISTS};

/// Lists and maps whose keys say what a value is.
const NAMED: [&str; 3] = ["env", "labels", "annotations"];

/// What a difference means.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// You have to look.
    Different,
    /// The webhook does it on purpose, in place of what hand-written pods do.
    Intended,
    /// Another text, of which nothing changes.
    NoEffect,
}

/// One difference of two pods.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Where it is: `spec.containers[runner].env[POD_NAME]`.
    pub path: String,
    /// What the first pod has, without secrets and on one line; `None` for nothing.
    pub a: Option<String>,
    /// What the second pod has.
    pub b: Option<String>,
    /// What it means.
    pub class: Class,
    /// The rule that says so; `None` where no rule holds, so that it is [`Class::Different`].
    pub rule: Option<&'static Rule>,
    /// More about it, for people; empty for nothing.
    pub note: String,
}

impl Class {
    /// All classes, in the order in which they are printed.
    pub const ALL: [Self; 3] = [Self::Different, Self::Intended, Self::NoEffect];

    /// The word that is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Different => "different",
            Self::Intended => "intended",
            Self::NoEffect => "no effect",
        }
    }
}

/// `PATH: A | B`, with `-` for nothing.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = [&self.a, &self.b].map(|value| value.as_deref().unwrap_or("-"));
        write!(f, "{}: {a} | {b}", self.path)
    }
}

/// The differences of two pods, by class and path. The work grows linearly with the pods.
pub fn compare(a: &Json<'_>, b: &Json<'_>) -> Vec<Difference> {
    let mut trees = [of_pod(a), of_pod(b)];
    align::containers([a, b], &mut trees);
    align::volumes(&mut trees);
    let mut walk = Walk { sides: [Side::of(a), Side::of(b)], found: Vec::new() };
    let [a, b] = &trees;
    walk.branches(&At::default(), Some(a), Some(b));
    walk.found.sort_by(|one, other| (one.class, &one.path).cmp(&(other.class, &other.path)));
    walk.found
}

/// Where the walk is.
#[derive(Clone, Debug, Default)]
struct At {
    path: String,
    /// The name of the container that it is in.
    container: String,
    /// Where in `path` the part below the container begins.
    field: usize,
    /// Whether the name of the variable, label or annotation says that its value is a secret.
    is_secret: bool,
}

impl At {
    fn child(&self, key: &Key<'_>) -> Self {
        let mut at = self.clone();
        let list = self.path.rsplit('.').next().unwrap_or_default();
        match key {
            Key::Field(name) if self.path.is_empty() => at.path = name.to_string(),
            Key::Field(name) => at.path.extend([".", name]),
            Key::Item(name) => at.path.extend(["[", name, "]"]),
            Key::Itself(_) => {}
        }
        match key {
            Key::Item(name) if self.container.is_empty() && LISTS.contains(&list) => {
                at.container = name.to_string();
                at.field = at.path.len();
            }
            Key::Item(name) | Key::Field(name) if NAMED.contains(&list) => {
                at.is_secret = secret::is_secret(name);
            }
            _ => {}
        }
        at
    }
}

/// The walk through two trees.
struct Walk<'p> {
    sides: [Side<'p>; 2],
    found: Vec<Difference>,
}

impl Walk<'_> {
    fn branches(&mut self, at: &At, a: Option<&Branch<'_>>, b: Option<&Branch<'_>>) {
        let keys = [a, b].into_iter().flatten().flat_map(|branch| branch.members.keys());
        for key in keys.collect::<BTreeSet<_>>() {
            let [a, b] = [a, b].map(|branch| branch.and_then(|branch| branch.members.get(key)));
            self.nodes(&at.child(key), a, b);
        }
    }

    fn nodes(&mut self, at: &At, a: Option<&Node<'_>>, b: Option<&Node<'_>>) {
        let (a, b) = match (a, b) {
            (None | Some(Node::Default(_)), None) | (None, Some(Node::Default(_))) => return,
            (a, b) => (a.map(Node::plain), b.map(Node::plain)),
        };
        match (a, b) {
            (Some(Node::Branch(a)), Some(Node::Branch(b))) => self.branches(at, Some(a), Some(b)),
            (Some(Node::Branch(a)), None) if a.is_open => self.branches(at, Some(a), None),
            (None, Some(Node::Branch(b))) if b.is_open => self.branches(at, None, Some(b)),
            _ if a == b => {}
            _ => self.report(at, a, b),
        }
    }

    fn report(&mut self, at: &At, a: Option<&Node<'_>>, b: Option<&Node<'_>>) {
        let field = at.path.get(at.field..).unwrap_or_default();
        let [of_a, of_b] = &self.sides;
        let case = |patched, written, sides| Case {
            container: &at.container,
            field,
            patched,
            written,
            sides,
        };
        let cases = [case(a, b, [of_a, of_b]), case(b, a, [of_b, of_a])];
        let (class, rule, mut note) = rules::classify(&cases);
        if class == Class::Different
            && note.is_empty()
            && let (Some(a), Some(b)) = (a, b)
            && let Some(line) = show::first_other_line(a, b)
        {
            note = format!("the texts differ from line {line} on");
        }
        let [a, b] = match (a, b) {
            (Some(a), Some(b)) => show::shown_both([a, b], at.is_secret).map(Some),
            nodes => <[_; 2]>::from(nodes).map(|node| Some(show::shown(node?, at.is_secret))),
        };
        self.found.push(Difference { path: at.path.clone(), a, b, class, rule, note });
    }
}
