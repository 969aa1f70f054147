//! A tree of additions, and the operations that it takes to apply it to a pod.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt::{self, Write as _},
};

use indexmap::IndexMap;
use serde::{Serialize, Serializer};

use super::operation::{Operation, Verb, pointer_token};
use crate::podspec::Json;

/// From so many members on, an object of the pod is looked up by a hash: a scan for each addition
/// would be quadratic.
const MANY: usize = 16;

/// One step of a path into the pod.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step<'p> {
    /// A member of an object.
    Key(Cow<'p, str>),
    /// An item that is already in a list, by its index in the pod that came.
    Index(usize),
}

impl<'p> Step<'p> {
    /// The member `key` of an object.
    pub const fn key(key: &'p str) -> Self {
        Self::Key(Cow::Borrowed(key))
    }
}

/// A value that goes in at one place, with the reason for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf<'p, R> {
    /// What goes in. Borrowed from the compiled profile where it goes in unchanged.
    pub value: Cow<'p, Json<'p>>,
    /// Why.
    pub reason: R,
}

/// Additions to one pod, each with a reason of type `R`.
#[derive(Clone, Debug)]
pub struct Edits<'p, R> {
    root: Node<'p, R>,
}

/// Additions at one place: what an operation carries.
#[derive(Clone, Debug)]
pub enum Node<'p, R> {
    /// Additions below an object.
    Object(IndexMap<Cow<'p, str>, Self>),
    /// Additions to a list.
    List(List<'p, R>),
    /// A value.
    Set(Leaf<'p, R>),
}

/// Additions to a list.
#[derive(Clone, Debug)]
pub struct List<'p, R> {
    /// Edits inside items that are already there, by index.
    inside: IndexMap<usize, Node<'p, R>>,
    /// New items, each before the item that has this index in the pod that came. In order.
    before: Vec<(usize, Leaf<'p, R>)>,
    /// New items at the end.
    append: Vec<Leaf<'p, R>>,
}

impl<R> Default for List<'_, R> {
    fn default() -> Self {
        Self { inside: IndexMap::new(), before: Vec::new(), append: Vec::new() }
    }
}

impl<R> Default for Edits<'_, R> {
    fn default() -> Self {
        Self { root: Node::Object(IndexMap::new()) }
    }
}

/// What can go in at a place: a value, or one borrowed from the compiled profile.
pub trait Content<'p> {
    /// The value.
    fn content(self) -> Cow<'p, Json<'p>>;
}

impl<'p> Content<'p> for Json<'p> {
    fn content(self) -> Cow<'p, Self> {
        Cow::Owned(self)
    }
}

impl<'p> Content<'p> for &'p Json<'p> {
    fn content(self) -> Cow<'p, Json<'p>> {
        Cow::Borrowed(self)
    }
}

impl<'p> Content<'p> for Cow<'p, Json<'p>> {
    fn content(self) -> Self {
        self
    }
}

// === impl Edits ===

impl<'p, R> Edits<'p, R> {
    /// Sets the value at `path`; what is there, if anything, is replaced.
    pub fn set(&mut self, path: &[Step<'p>], value: impl Content<'p>, reason: R) {
        *self.node(path, Node::object) = Node::Set(Leaf { value: value.content(), reason });
    }

    /// Appends an item to the list at `path`.
    pub fn append(&mut self, path: &[Step<'p>], value: impl Content<'p>, reason: R) {
        if let Node::List(list) = self.node(path, Node::list) {
            list.append.push(Leaf { value: value.content(), reason });
        }
    }

    /// Inserts an item into the list at `path`, before the item that has `index` in the pod that
    /// came. Items for one index keep the order of the calls.
    pub fn insert(&mut self, path: &[Step<'p>], index: usize, value: impl Content<'p>, reason: R) {
        if let Node::List(list) = self.node(path, Node::list) {
            let place = list.before.partition_point(|(other, _)| *other <= index);
            list.before.insert(place, (index, Leaf { value: value.content(), reason }));
        }
    }

    /// Each addition with its reason, in the order of the pod's structure: the path as a JSON
    /// pointer into the pod that came, `-` for a new list item.
    pub fn each(&self, mut visit: impl FnMut(&str, &Leaf<'p, R>)) {
        self.root.each(&mut String::new(), &mut visit);
    }

    /// The operations that apply these edits to `pod`.
    ///
    /// Edits below something that is of another type than they expect are left out: such a pod
    /// could not have been decoded by an API server, and a patch that fails to apply is worse.
    pub fn operations(self, pod: &Json<'_>) -> Vec<Operation<'p, R>> {
        let mut operations = Vec::new();
        self.root.emit(&mut String::new(), Some(pod), &mut operations);
        operations
    }

    /// The node at `path`, made where it is missing; `leaf` makes the last one.
    fn node(&mut self, path: &[Step<'p>], leaf: fn() -> Node<'p, R>) -> &mut Node<'p, R> {
        let mut node = &mut self.root;
        for (depth, step) in path.iter().enumerate() {
            let make = match path.get(depth + 1) {
                Some(Step::Key(_)) => Node::object,
                Some(Step::Index(_)) => Node::list,
                None => leaf,
            };
            node = node.child(step, make);
        }
        node
    }
}

// === impl Node ===

impl<'p, R> Node<'p, R> {
    fn object() -> Self {
        Self::Object(IndexMap::new())
    }

    fn list() -> Self {
        Self::List(List::default())
    }

    /// The child at `step`. A node of another kind is replaced: the last edit of a path counts.
    fn child(&mut self, step: &Step<'p>, make: fn() -> Self) -> &mut Self {
        match step {
            Step::Key(key) => {
                if !matches!(self, Self::Object(_)) {
                    *self = Self::object();
                }
                let Self::Object(members) = self else { return self };
                members.entry(key.clone()).or_insert_with(make)
            }
            Step::Index(index) => {
                if !matches!(self, Self::List(_)) {
                    *self = Self::list();
                }
                let Self::List(list) = self else { return self };
                list.inside.entry(*index).or_insert_with(make)
            }
        }
    }

    fn each(&self, path: &mut String, visit: &mut impl FnMut(&str, &Leaf<'p, R>)) {
        match self {
            Self::Set(leaf) => visit(path, leaf),
            Self::Object(members) => {
                for (key, node) in members {
                    below(path, pointer_token(key), |path| node.each(path, visit));
                }
            }
            Self::List(List { inside, before, append }) => {
                for (index, leaf) in before {
                    below(path, index, |path| visit(path, leaf));
                }
                for (index, node) in inside {
                    below(path, index, |path| node.each(path, visit));
                }
                for leaf in append {
                    below(path, '-', |path| visit(path, leaf));
                }
            }
        }
    }

    fn emit(
        self,
        path: &mut String,
        pod: Option<&Json<'_>>,
        operations: &mut Vec<Operation<'p, R>>,
    ) {
        let pod = pod.filter(|json| !json.is_null());
        match (self, pod) {
            (Self::Object(members), Some(json @ Json::Object(_))) => {
                let there = Members::new(json, members.len());
                for (key, node) in members {
                    let there = there.get(&key);
                    below(path, pointer_token(&key), |path| node.emit(path, there, operations));
                }
            }
            (Self::List(list), Some(Json::Array(items))) if !items.is_empty() => {
                list.emit(path, items, operations);
            }
            (Self::Object(_), Some(_)) => {}
            (Self::List(_), Some(json)) if !matches!(json, Json::Array(_)) => {}
            (value, pod) => {
                let replaces = pod.is_some() && matches!(value, Self::Set(_));
                let op = if replaces { Verb::Replace } else { Verb::Add };
                operations.push(Operation { op, path: path.clone(), value });
            }
        }
    }
}

/// The value that a node makes where the pod has nothing.
impl<R> Serialize for Node<'_, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Set(leaf) => leaf.value.serialize(serializer),
            Self::Object(members) => serializer.collect_map(members),
            Self::List(List { inside: _, before, append }) => {
                let items = before.iter().map(|(_, leaf)| leaf).chain(append);
                serializer.collect_seq(items.map(|leaf| &leaf.value))
            }
        }
    }
}

// === impl List ===

impl<'p, R> List<'p, R> {
    fn emit(self, path: &mut String, items: &[Json<'_>], operations: &mut Vec<Operation<'p, R>>) {
        let Self { inside, before, append } = self;
        for (index, node) in inside {
            if let Some(item) = items.get(index) {
                below(path, index, |path| node.emit(path, Some(item), operations));
            }
        }
        let mut add = |place: &dyn fmt::Display, leaf| {
            below(path, place, |path| {
                let value = Node::Set(leaf);
                operations.push(Operation { op: Verb::Add, path: path.clone(), value });
            });
        };
        for (inserted, (index, leaf)) in before.into_iter().enumerate() {
            // Each insertion moves what follows by one.
            add(&(index.min(items.len()) + inserted), leaf);
        }
        for leaf in append {
            add(&'-', leaf);
        }
    }
}

/// The members of an object of the pod, to look several up.
enum Members<'j> {
    Few(&'j Json<'j>),
    Many(HashMap<&'j str, &'j Json<'j>>),
}

impl<'j> Members<'j> {
    fn new(json: &'j Json<'j>, lookups: usize) -> Self {
        let members = json.members();
        if members.len().min(lookups) < MANY {
            return Self::Few(json);
        }
        // The first of a name counts, as in `Json::get`.
        let members = members.iter().rev().map(|(key, value)| (key.as_ref(), value));
        Self::Many(members.collect())
    }

    fn get(&self, key: &str) -> Option<&'j Json<'j>> {
        match self {
            Self::Few(json) => json.get(key),
            Self::Many(members) => members.get(key).copied(),
        }
    }
}

/// Runs `visit` with `token` on the end of `path`.
fn below(path: &mut String, token: impl fmt::Display, visit: impl FnOnce(&mut String)) {
    let length = path.len();
    // Writing to a String cannot fail.
    let _ = write!(path, "/{token}");
    visit(path);
    path.truncate(length);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::podspec::Bounded;

    fn steps<'s>(path: &[&'s str]) -> Vec<Step<'s>> {
        path.iter().map(|part| part.parse().map_or_else(|_| Step::key(part), Step::Index)).collect()
    }

    fn operations(edits: Edits<'_, &str>, pod: &str) -> Value {
        let pod = serde_json::from_str::<Bounded<'_>>(pod).unwrap().0.unwrap();
        serde_json::to_value(edits.operations(&pod)).unwrap()
    }

    #[test]
    fn edits_create_missing_parent_in_one_operation() {
        for parent in ["", r#""volumes":null"#, r#""volumes":[]"#] {
            let mut edits = Edits::default();
            edits.append(&steps(&["spec", "volumes"]), Json::from("a"), "why");
            edits.append(&steps(&["spec", "volumes"]), Json::from("b"), "why");
            assert_eq!(
                operations(edits, &format!(r#"{{"spec":{{{parent}}}}}"#)),
                json!([{"op": "add", "path": "/spec/volumes", "value": ["a", "b"]}]),
            );
        }
        let mut edits = Edits::default();
        edits.set(&steps(&["spec", "nodeSelector", "a/b"]), Json::from("c"), "why");
        assert_eq!(
            operations(edits, "{}"),
            json!([{"op": "add", "path": "/spec", "value": {"nodeSelector": {"a/b": "c"}}}]),
        );
    }

    #[test]
    fn edits_add_members_singly_and_escaped() {
        let mut edits = Edits::default();
        edits.set(&steps(&["limits", "amd.com/gpu"]), Json::from("2"), "why");
        edits.set(&steps(&["limits", "cpu"]), Json::from("1"), "why");
        assert_eq!(
            operations(edits, r#"{"limits":{"cpu":"4"}}"#),
            json!([
                {"op": "add", "path": "/limits/amd.com~1gpu", "value": "2"},
                {"op": "replace", "path": "/limits/cpu", "value": "1"},
            ]),
        );
    }

    #[test]
    fn edits_inside_items_precede_insertions() {
        let mut edits = Edits::default();
        edits.insert(&steps(&["list"]), 1, Json::from("c"), "why");
        edits.insert(&steps(&["list"]), 0, Json::from("a"), "why");
        edits.insert(&steps(&["list"]), 0, Json::from("b"), "why");
        edits.append(&steps(&["list"]), Json::from("z"), "why");
        edits.set(&steps(&["list", "1", "x"]), Json::from(1_i64), "why");
        assert_eq!(
            operations(edits, r#"{"list":[{}, {}]}"#),
            json!([
                {"op": "add", "path": "/list/1/x", "value": 1},
                {"op": "add", "path": "/list/0", "value": "a"},
                {"op": "add", "path": "/list/1", "value": "b"},
                {"op": "add", "path": "/list/3", "value": "c"},
                {"op": "add", "path": "/list/-", "value": "z"},
            ]),
        );
    }

    #[test]
    fn edits_below_wrong_type_are_left_out() {
        let mut edits = Edits::default();
        edits.set(&steps(&["spec", "nodeSelector", "a"]), Json::from("c"), "why");
        edits.append(&steps(&["spec", "volumes"]), Json::from("a"), "why");
        assert_eq!(operations(edits, r#"{"spec":{"nodeSelector":7,"volumes":"x"}}"#), json!([]));
    }

    #[test]
    fn edits_are_visited_with_their_reason() {
        let mut edits = Edits::default();
        edits.append(&steps(&["list"]), Json::from("z"), "appended");
        edits.set(&steps(&["a/b", "c"]), Json::from(1_i64), "set");
        let mut seen = Vec::new();
        edits.each(|path, leaf| seen.push(format!("{path} {}", leaf.reason)));
        assert_eq!(seen, ["/list/- appended", "/a~1b/c set"]);
    }
}
