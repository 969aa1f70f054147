//! A tree of additions, and the operations that it takes to apply it to a pod.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
};

use serde_json::{Map, Value};

use super::operation::{Operation, Verb, pointer_token};
use crate::podspec::Json;

/// One step of a path into the pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step<'s> {
    /// A member of an object.
    Key(&'s str),
    /// An item that is already in a list, by its index in the pod that came.
    Index(usize),
}

/// A value that goes in at one place, with the reason for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf<'p, R> {
    /// What goes in. Borrowed from the compiled profile where it goes in unchanged.
    pub value: Cow<'p, Value>,
    /// Why.
    pub reason: R,
}

/// Additions to one pod, each with a reason of type `R`.
#[derive(Clone, Debug)]
pub struct Edits<'p, R> {
    root: Node<'p, R>,
}

#[derive(Clone, Debug)]
enum Node<'p, R> {
    /// Additions below an object.
    Object(Vec<(String, Self)>),
    /// Additions to a list.
    List(List<'p, R>),
    /// A value.
    Set(Leaf<'p, R>),
}

#[derive(Clone, Debug)]
struct List<'p, R> {
    /// Edits inside items that are already there, by index.
    inside: Vec<(usize, Node<'p, R>)>,
    /// New items, each before the item that has this index in the pod that came. In order.
    before: Vec<(usize, Leaf<'p, R>)>,
    /// New items at the end.
    append: Vec<Leaf<'p, R>>,
}

impl<R> Default for List<'_, R> {
    fn default() -> Self {
        Self { inside: Vec::new(), before: Vec::new(), append: Vec::new() }
    }
}

impl<R> Default for Edits<'_, R> {
    fn default() -> Self {
        Self { root: Node::Object(Vec::new()) }
    }
}

/// What can go in at a place: an owned value, or one borrowed from the compiled profile.
pub trait Content<'p> {
    /// The value.
    fn content(self) -> Cow<'p, Value>;
}

impl<'p> Content<'p> for Value {
    fn content(self) -> Cow<'p, Value> {
        Cow::Owned(self)
    }
}

impl<'p> Content<'p> for &'p Value {
    fn content(self) -> Cow<'p, Value> {
        Cow::Borrowed(self)
    }
}

impl<'p> Content<'p> for Cow<'p, Value> {
    fn content(self) -> Self {
        self
    }
}

// === impl Edits ===

impl<'p, R> Edits<'p, R> {
    /// Sets the value at `path`; what is there, if anything, is replaced.
    pub fn set(&mut self, path: &[Step<'_>], value: impl Content<'p>, reason: R) {
        *self.node(path, Node::object) = Node::Set(Leaf { value: value.content(), reason });
    }

    /// Appends an item to the list at `path`.
    pub fn append(&mut self, path: &[Step<'_>], value: impl Content<'p>, reason: R) {
        if let Node::List(list) = self.node(path, Node::list) {
            list.append.push(Leaf { value: value.content(), reason });
        }
    }

    /// Inserts an item into the list at `path`, before the item that has `index` in the pod that
    /// came. Items for one index keep the order of the calls.
    pub fn insert(&mut self, path: &[Step<'_>], index: usize, value: impl Content<'p>, reason: R) {
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
    pub fn operations(self, pod: &Json<'_>) -> Vec<Operation<'p>> {
        let mut operations = Vec::new();
        self.root.emit(&mut String::new(), Some(pod), &mut operations);
        operations
    }

    /// The node at `path`, made where it is missing; `leaf` makes the last one.
    fn node(&mut self, path: &[Step<'_>], leaf: fn() -> Node<'p, R>) -> &mut Node<'p, R> {
        let mut node = &mut self.root;
        for (depth, step) in path.iter().enumerate() {
            let make = match path.get(depth + 1) {
                Some(Step::Key(_)) => Node::object,
                Some(Step::Index(_)) => Node::list,
                None => leaf,
            };
            node = node.child(*step, make);
        }
        node
    }
}

// === impl Node ===

impl<'p, R> Node<'p, R> {
    fn object() -> Self {
        Self::Object(Vec::new())
    }

    fn list() -> Self {
        Self::List(List::default())
    }

    /// The child at `step`. A node of another kind is replaced: the last edit of a path counts.
    fn child(&mut self, step: Step<'_>, make: fn() -> Self) -> &mut Self {
        match step {
            Step::Key(key) => {
                if !matches!(self, Self::Object(_)) {
                    *self = Self::object();
                }
                let Self::Object(members) = self else { return self };
                entry(members, |name| name == key, || key.to_owned(), make)
            }
            Step::Index(index) => {
                if !matches!(self, Self::List(_)) {
                    *self = Self::list();
                }
                let Self::List(list) = self else { return self };
                entry(&mut list.inside, |other| *other == index, || index, make)
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

    fn emit(self, path: &mut String, pod: Option<&Json<'_>>, operations: &mut Vec<Operation<'p>>) {
        let pod = pod.filter(|json| !matches!(json, Json::Null));
        match (self, pod) {
            (Self::Set(leaf), pod) => {
                let op = if pod.is_some() { Verb::Replace } else { Verb::Add };
                operations.push(Operation { op, path: path.clone(), value: leaf.value });
            }
            (Self::Object(members), Some(json @ Json::Object(_))) => {
                for (key, node) in members {
                    let there = json.get(&key);
                    below(path, pointer_token(&key), |path| node.emit(path, there, operations));
                }
            }
            (Self::List(list), Some(Json::Array(items))) if !items.is_empty() => {
                list.emit(path, items, operations);
            }
            (Self::Object(_), Some(_)) => {}
            (Self::List(_), Some(json)) if !matches!(json, Json::Array(_)) => {}
            (node, _) => {
                let value = Cow::Owned(node.materialise());
                operations.push(Operation { op: Verb::Add, path: path.clone(), value });
            }
        }
    }

    /// The value that this node makes where the pod has nothing.
    fn materialise(self) -> Value {
        match self {
            Self::Set(leaf) => leaf.value.into_owned(),
            Self::Object(members) => Value::Object(
                members
                    .into_iter()
                    .map(|(key, node)| (key, node.materialise()))
                    .collect::<Map<_, _>>(),
            ),
            Self::List(List { inside: _, before, append }) => before
                .into_iter()
                .map(|(_, leaf)| leaf)
                .chain(append)
                .map(|leaf| leaf.value.into_owned())
                .collect(),
        }
    }
}

// === impl List ===

impl<'p, R> List<'p, R> {
    fn emit(self, path: &mut String, items: &[Json<'_>], operations: &mut Vec<Operation<'p>>) {
        let Self { inside, before, append } = self;
        for (index, node) in inside {
            if let Some(item) = items.get(index) {
                below(path, index, |path| node.emit(path, Some(item), operations));
            }
        }
        let mut add = |place: &dyn fmt::Display, value| {
            below(path, place, |path| {
                operations.push(Operation { op: Verb::Add, path: path.clone(), value });
            });
        };
        for (inserted, (index, leaf)) in before.into_iter().enumerate() {
            // Each insertion moves what follows by one.
            add(&(index.min(items.len()) + inserted), leaf.value);
        }
        for leaf in append {
            add(&'-', leaf.value);
        }
    }
}

/// The entry that `is` it, appended by `key` and `make` when there is none.
fn entry<K, V>(
    entries: &mut Vec<(K, V)>,
    is: impl Fn(&K) -> bool,
    key: impl FnOnce() -> K,
    make: fn() -> V,
) -> &mut V {
    let place = entries.iter().position(|(other, _)| is(other)).unwrap_or_else(|| {
        entries.push((key(), make()));
        entries.len() - 1
    });
    #[expect(clippy::indexing_slicing, reason = "the place was found or made just above")]
    &mut entries[place].1
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
    use serde_json::json;

    use super::*;

    fn steps<'s>(path: &[&'s str]) -> Vec<Step<'s>> {
        path.iter().map(|part| part.parse().map_or(Step::Key(part), Step::Index)).collect()
    }

    fn operations(edits: Edits<'_, &str>, pod: &str) -> Value {
        let pod = Json::parse(pod).unwrap();
        serde_json::to_value(edits.operations(&pod)).unwrap()
    }

    #[test]
    fn an_absent_null_or_empty_parent_is_created_with_its_content_in_one_operation() {
        for parent in ["", r#""volumes":null"#, r#""volumes":[]"#] {
            let mut edits = Edits::default();
            edits.append(&steps(&["spec", "volumes"]), Value::from("a"), "why");
            edits.append(&steps(&["spec", "volumes"]), Value::from("b"), "why");
            assert_eq!(
                operations(edits, &format!(r#"{{"spec":{{{parent}}}}}"#)),
                json!([{"op": "add", "path": "/spec/volumes", "value": ["a", "b"]}]),
            );
        }
        let mut edits = Edits::default();
        edits.set(&steps(&["spec", "nodeSelector", "a/b"]), Value::from("c"), "why");
        assert_eq!(
            operations(edits, "{}"),
            json!([{"op": "add", "path": "/spec", "value": {"nodeSelector": {"a/b": "c"}}}]),
        );
    }

    #[test]
    fn members_of_an_existing_object_are_added_one_by_one_and_escaped() {
        let mut edits = Edits::default();
        edits.set(&steps(&["limits", "amd.com/gpu"]), Value::from("2"), "why");
        edits.set(&steps(&["limits", "cpu"]), Value::from("1"), "why");
        assert_eq!(
            operations(edits, r#"{"limits":{"cpu":"4"}}"#),
            json!([
                {"op": "add", "path": "/limits/amd.com~1gpu", "value": "2"},
                {"op": "replace", "path": "/limits/cpu", "value": "1"},
            ]),
        );
    }

    #[test]
    fn insertions_count_those_before_them_and_edits_inside_items_come_first() {
        let mut edits = Edits::default();
        edits.insert(&steps(&["list"]), 1, Value::from("c"), "why");
        edits.insert(&steps(&["list"]), 0, Value::from("a"), "why");
        edits.insert(&steps(&["list"]), 0, Value::from("b"), "why");
        edits.append(&steps(&["list"]), Value::from("z"), "why");
        edits.set(&steps(&["list", "1", "x"]), Value::from(1), "why");
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
    fn edits_below_a_value_of_another_type_are_left_out() {
        let mut edits = Edits::default();
        edits.set(&steps(&["spec", "nodeSelector", "a"]), Value::from("c"), "why");
        edits.append(&steps(&["spec", "volumes"]), Value::from("a"), "why");
        assert_eq!(operations(edits, r#"{"spec":{"nodeSelector":7,"volumes":"x"}}"#), json!([]));
    }

    #[test]
    fn every_addition_is_visited_with_its_reason() {
        let mut edits = Edits::default();
        edits.append(&steps(&["list"]), Value::from("z"), "appended");
        edits.set(&steps(&["a/b", "c"]), Value::from(1), "set");
        let mut seen = Vec::new();
        edits.each(|path, leaf| seen.push(format!("{path} {}", leaf.reason)));
        assert_eq!(seen, ["/list/- appended", "/a~1b/c set"]);
    }
}
