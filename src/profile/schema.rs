//! Checks a tree against a JSON schema that schemars made, and reports everything that is wrong.
//!
//! Serde would stop at the first problem, and know no position; the API server would say nothing
//! at all about a misspelt field of a template, and drop it.
//!
//! Only the keywords that schemars writes for the types of a profile are understood; a test names
//! them. A schema that says nothing accepts anything.

use std::sync::LazyLock;

use schemars::{Schema, schema_for};
use serde_json::Value;

use super::{
    Position, Problem,
    source::{Entry, Node, NodeValue, Segment, path_text, whole},
    spec::RunnerProfileSpec,
};

mod closed;
mod message;
pub(in crate::profile) mod target;
#[cfg(test)]
mod tests;

use target::{Kind, Target};

/// The type whose `required` is not enforced: a template is an overlay, and adds to the runner's
/// containers instead of listing them.
const OVERLAY: &str = "io.k8s.api.core.v1.PodSpec";

/// The schema of a RunnerProfile's `spec`: from the types, with the fields of Kubernetes' own that
/// profiles have.
pub fn spec() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
        let mut schema = schema_for!(RunnerProfileSpec);
        let mut document = schema.as_value().clone();
        closed::close(&mut document);
        if let Ok(closed) = Schema::try_from(document) {
            schema = closed;
        }
        schema
    });
    &SCHEMA
}

/// What a schema does not allow in a tree.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// Everything that is wrong, in the order of the text.
    pub(super) problems: Vec<Problem>,
    /// What to do about it before anything else is looked at.
    pub(super) repairs: Vec<Repair>,
}

/// What makes a tree one that its schema allows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Repair {
    /// What is at this path counts as absent.
    Drop(Vec<Segment>),
    /// The key at the end of this path is a slip for another one.
    Rename(Vec<Segment>, String),
}

/// Checks `node`, which is at `prefix` in its file, against `schema`.
///
/// `null` is accepted wherever a field may be absent: to Kubernetes it is an absent value. `file`
/// is how the user named the file.
pub(super) fn check(file: &str, node: &Node, schema: &Schema, prefix: &[Segment]) -> Checked {
    let document = schema.as_value();
    let (path, found) = (prefix.to_vec(), Checked::default());
    let mut checker = Checker { file, document, path, found };
    checker.node(node, document, node.at);
    let mut found = checker.found;
    found.problems.sort_by_key(|problem| problem.at);
    found
}

/// The fields of a PodTemplateSpec of a file that Kubernetes does not have, with their paths in it: the
/// API server drops them without a word.
pub(crate) fn unknown_fields(file: &str, template: &Node) -> Vec<(Vec<Segment>, Problem)> {
    const TEMPLATE: &str = "template";
    let spec = Node::map([(TEMPLATE, template.clone())]);
    let Checked { problems, repairs } = check(file, &spec, self::spec(), &[]);
    let paths = repairs.into_iter().map(|repair| match repair {
        Repair::Drop(path) | Repair::Rename(path, _) => path,
    });
    let mut paths: Vec<Vec<Segment>> = paths.collect();
    let mut found = Vec::new();
    for problem in problems {
        let place = paths.iter().position(|path| path_text(path) == problem.path);
        if let Some(place) = place.filter(|_| problem.message.starts_with(message::UNKNOWN_OF)) {
            found.push((paths.swap_remove(place).split_off(1), problem));
        }
    }
    found
}

struct Checker<'s> {
    file: &'s str,
    /// The whole schema, which references point into.
    document: &'s Value,
    path: Vec<Segment>,
    found: Checked,
}

impl<'s> Checker<'s> {
    /// Checks `node` against `schema`. `at` is where to complain about what `node` lacks.
    fn node(&mut self, node: &Node, schema: &'s Value, at: Position) {
        if node.value == NodeValue::Null {
            return;
        }
        let Some(target) = Target::resolve(self.document, schema) else { return };
        if let Some(allowed) = target.allowed() {
            self.constant(node, &allowed);
        } else if target.is_int_or_string() {
            self.int_or_string(node, &target);
        } else {
            self.value(node, &target, at);
        }
    }

    fn value(&mut self, node: &Node, target: &Target<'s>, at: Position) {
        let kinds = target.kinds();
        if !kinds.is_empty() && !kinds.iter().any(|kind| kind.accepts(node)) {
            let message = message::wrong_type(node, &kinds, &self.item_fields(target));
            self.wrong(node.at, message);
            return;
        }
        match &node.value {
            NodeValue::Int(number) => self.range(node.at, *number, target),
            NodeValue::Float(number) => {
                if let Some(number) = whole(*number) {
                    self.range(node.at, number, target);
                }
            }
            NodeValue::List(items) => {
                if let Some(schema) = target.items() {
                    for (index, item) in items.iter().enumerate() {
                        self.path.push(Segment::Index(index));
                        if item.value == NodeValue::Null {
                            let message = "an empty item; write a value or take it out";
                            self.wrong(item.at, message.to_owned());
                        }
                        self.node(item, schema, item.at);
                        self.path.pop();
                    }
                }
            }
            NodeValue::Map(entries) => self.fields(entries, target, at),
            _ => {}
        }
    }

    fn fields(&mut self, entries: &[Entry], target: &Target<'s>, at: Position) {
        let mut meant = Vec::new();
        for Entry { key, at, value } in entries {
            self.path.push(Segment::Key(key.clone()));
            match target.field(key) {
                Some(schema) => self.node(value, schema, *at),
                None if target.takes_any_field() => {}
                None => meant.extend(self.unknown(entries, key, value, *at, target)),
            }
            self.path.pop();
        }
        if target.name == Some(OVERLAY) {
            return;
        }
        for field in target.required() {
            let entry = entries.iter().find(|entry| entry.key == field);
            let is_null = entry.is_none_or(|entry| entry.value.value == NodeValue::Null);
            if is_null && !meant.contains(&field) {
                self.found.repairs.push(Repair::Drop(self.path.clone()));
                self.path.push(Segment::Key(field.to_owned()));
                let at = entry.map_or(at, |entry| entry.at);
                self.problem(at, "this field is required".to_owned());
                self.path.pop();
            }
        }
    }

    /// A field that the type does not have. One that is near is looked into as well: it is what
    /// was meant, and returned.
    fn unknown(
        &mut self,
        entries: &[Entry],
        key: &str,
        value: &Node,
        at: Position,
        target: &Target<'s>,
    ) -> Option<&'s str> {
        if target.is_elsewhere(key) {
            // As good as not there.
            if value.value != NodeValue::Null {
                self.wrong(at, message::ELSEWHERE.to_owned());
            }
            return None;
        }
        let near = message::near_field(key, target);
        let free = near.filter(|near| entries.iter().all(|entry| entry.key != *near));
        let elsewhere = if near.is_none() { self.elsewhere(key) } else { None };
        self.problem(at, message::unknown_field(target, near, elsewhere.as_deref()));
        let fits = |schema| {
            let kinds = self.kinds(schema);
            kinds.is_empty() || kinds.iter().any(|kind| kind.accepts(value))
        };
        match free.and_then(|near| Some((near, target.field(near)?))) {
            Some((near, schema)) if fits(schema) => {
                self.found.repairs.push(Repair::Rename(self.path.clone(), near.to_owned()));
                self.node(value, schema, at);
                Some(near)
            }
            _ => {
                self.found.repairs.push(Repair::Drop(self.path.clone()));
                None
            }
        }
    }

    /// Where a profile has the field `key`, which is not known where it is written.
    fn elsewhere(&self, key: &str) -> Option<String> {
        const CONTAINERS: [(&str, &str); 2] =
            [("runner", "containers"), ("dind", "initContainers")];
        let (first, form) = match self.path.as_slice() {
            [Segment::Key(first), _] => (first.as_str(), None),
            [Segment::Key(first), Segment::Key(form), _] => (first.as_str(), Some(form.as_str())),
            _ => return None,
        };
        if first != "spec" {
            return None;
        }
        let root = Target::resolve(self.document, self.document)?;
        let of = |path: &[&str]| path.iter().try_fold(root, |at, key| at.child(self.document, key));
        if let Some((form, list)) = CONTAINERS.iter().find(|(name, _)| form == Some(*name))
            && of(&["template", "spec", list])?.item(self.document)?.field(key).is_some()
        {
            return Some(format!("write it in template.spec.{list}, in the item {form:?}"));
        }
        // The nearest to the root; of the same depth all.
        let mut level: Vec<(String, Target<'s>)> = vec![(String::new(), root)];
        while !level.is_empty() {
            let has = |(path, target): &(String, Target<'s>)| {
                let known = target.properties().is_some_and(|fields| fields.contains_key(key));
                (known && !path.is_empty()).then(|| format!("{path}.{key}"))
            };
            let places: Vec<String> = level.iter().filter_map(has).collect();
            if !places.is_empty() {
                return Some(format!("write {}", places.join(" or ")));
            }
            level = level.iter().flat_map(|(path, target)| self.below(path, *target)).collect();
        }
        None
    }

    /// The maps in the fields of `target`, lists aside: an item is not in one place.
    fn below(&self, path: &str, target: Target<'s>) -> Vec<(String, Target<'s>)> {
        let fields = target.properties().into_iter().flatten();
        fields
            .filter_map(|(name, schema)| {
                let child = Target::resolve(self.document, schema)?;
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                // Deeper than `template.spec.securityContext` nothing has a name of its own.
                (path.matches('.').count() < 3).then_some((path, child))
            })
            .collect()
    }

    fn constant(&mut self, node: &Node, allowed: &[&Value]) {
        let json = match &node.value {
            NodeValue::Ambiguous(word) => Value::from(word.as_str()),
            _ => node.to_json(),
        };
        let is_allowed = allowed.contains(&&json);
        match &node.value {
            // The word is right, and would still be sent as a boolean.
            NodeValue::Ambiguous(word) if is_allowed => {
                self.wrong(node.at, super::source::ambiguous(word));
            }
            _ if is_allowed => {}
            _ => self.wrong(node.at, message::wrong_constant(node, allowed)),
        }
    }

    fn int_or_string(&mut self, node: &Node, target: &Target<'s>) {
        let kinds: &[_] = if target.short_name() == Some("IntOrString") {
            &[Kind::Integer, Kind::String]
        } else {
            &[Kind::Number, Kind::String]
        };
        if !kinds.iter().any(|kind| kind.accepts(node)) {
            self.wrong(node.at, message::wrong_type(node, kinds, &[]));
        }
    }

    fn kinds(&self, schema: &'s Value) -> Vec<Kind> {
        let Some(target) = Target::resolve(self.document, schema) else { return Vec::new() };
        if target.is_int_or_string() {
            return vec![Kind::Number, Kind::String];
        }
        match target.allowed() {
            Some(values) if values.iter().all(|value| value.is_string()) => vec![Kind::String],
            _ => target.kinds(),
        }
    }

    fn range(&mut self, at: Position, number: i64, target: &Target<'s>) {
        let (low, high) = target.range();
        if !(low..=high).contains(&number) {
            self.wrong(at, message::out_of_range(number, low, high));
        }
    }

    /// The fields that an item of a list of maps may have.
    fn item_fields(&self, target: &Target<'s>) -> Vec<&'s str> {
        target
            .items()
            .and_then(|items| Target::resolve(self.document, items))
            .and_then(|item| item.properties())
            .map(|fields| fields.keys().map(String::as_str).collect())
            .unwrap_or_default()
    }

    fn problem(&mut self, at: Position, message: String) {
        let (file, path) = (self.file.to_owned(), path_text(&self.path));
        self.found.problems.push(Problem { file, at, path, message });
    }

    /// A problem for which the value counts as absent.
    fn wrong(&mut self, at: Position, message: String) {
        self.problem(at, message);
        self.found.repairs.push(Repair::Drop(self.path.clone()));
    }
}
