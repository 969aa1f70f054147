//! YAML with positions: the tree that a profile is checked and read from.
//!
//! Values are what `kubectl apply` would send for the same text, so that a snippet means the same
//! in a profile and in a manifest. Where that reading surprises (`yes` is a boolean, a second
//! `env` replaces the first), the tree keeps the surprise or the parser refuses it.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{Position, Problem};

mod parse;
mod scalar;
mod size;
#[cfg(test)]
mod tests;

pub(super) use parse::ambiguous;

/// Most bytes of text in one file. A `ConfigMap` carries 1 MiB; this leaves room for JSON.
pub const MAX_BYTES: usize = 4 << 20;
/// Most maps and lists inside one another. A pod template needs about 12, and every reader of
/// the tree recurses.
pub const MAX_DEPTH: usize = 64;
/// Most nodes in one file, those that aliases repeat included.
pub const MAX_NODES: usize = 200_000;
/// Most bytes of text in one file that anchors and aliases repeat: a few aliases of one long
/// string would get past [`MAX_NODES`].
pub const MAX_ALIASED_BYTES: usize = 1 << 20;

/// Parses the documents of `text`; empty ones are left out. JSON is YAML.
///
/// `file` is how the user named the file, for the problems.
///
/// # Errors
///
/// All problems, in the order of the text; after a syntax error the next document is tried.
pub fn documents(file: &str, text: &str) -> Result<Vec<Node>, Vec<Problem>> {
    match parse::documents(file, text)? {
        (documents, repeated) if repeated.is_empty() => Ok(documents),
        (_, repeated) => Err(repeated),
    }
}

/// [`documents`] as Helm reads them: of a key that a map has twice, the last one counts. Each such key
/// is a problem beside the documents.
///
/// # Errors
///
/// As [`documents`], but for repeated keys.
pub fn documents_of_helm(
    file: &str,
    text: &str,
) -> Result<(Vec<Node>, Vec<Problem>), Vec<Problem>> {
    parse::documents(file, text)
}

/// What to say about a tree that is too deep.
pub(super) fn too_deep() -> String {
    format!("maps and lists nest deeper than {MAX_DEPTH} levels")
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where the value starts; for an alias, where the alias is.
    pub at: Position,
    /// The value.
    pub value: NodeValue,
    /// A boolean or number as the file writes it (`0644`, `1.10`, `True`): what quotes would keep.
    pub raw: Option<Box<str>>,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeValue {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer, in any of YAML's notations.
    Int(i64),
    /// Any other number; always finite.
    Float(f64),
    /// A string.
    String(String),
    /// A word without quotes that is a boolean to kubectl and a string to most people: `yes`,
    /// `no`, `on`, `off`, `y`, `n`.
    Ambiguous(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the text; no key twice.
    Map(Vec<Entry>),
}

/// One key of a map and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key is.
    pub at: Position,
    /// The value.
    pub value: Node,
}

/// One step down a tree.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Segment {
    /// Into a map.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

/// `spec.template.spec.containers[0].env[0].name`; a key that would not read well after a dot
/// prints as `nodeSelector["a.b/c"]`.
pub fn path_text(path: &[Segment]) -> String {
    let mut text = String::new();
    for segment in path {
        // Writing to a String cannot fail.
        let _ = match segment {
            Segment::Index(index) => write!(text, "[{index}]"),
            Segment::Key(key) if !is_simple(key) => write!(text, "[{}]", quoted(key)),
            Segment::Key(key) if text.is_empty() => write!(text, "{key}"),
            Segment::Key(key) => write!(text, ".{key}"),
        };
    }
    text
}

fn is_simple(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

/// `text` as JSON, and as YAML, would quote it.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

impl Node {
    /// A node that does not come from a number or boolean of a file.
    pub fn new(at: Position, value: NodeValue) -> Self {
        Self { at, value, raw: None }
    }

    /// A map without places.
    pub(super) fn map<'k>(entries: impl IntoIterator<Item = (&'k str, Self)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| Entry {
            key: key.to_owned(),
            at: Position::default(),
            value,
        });
        Self::new(Position::default(), NodeValue::Map(entries.collect()))
    }

    /// A text without a place.
    pub(super) fn text(text: &str) -> Self {
        Self::new(Position::default(), NodeValue::String(text.to_owned()))
    }

    /// The tree of a JSON value, without places; `None` where it nests deeper than [`MAX_DEPTH`].
    pub fn from_json(value: &Value) -> Option<Self> {
        Self::from_json_within(value, MAX_DEPTH)
    }

    fn from_json_within(value: &Value, levels: usize) -> Option<Self> {
        let below = || levels.checked_sub(1);
        let value = match value {
            Value::Null => NodeValue::Null,
            Value::Bool(flag) => NodeValue::Bool(*flag),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => NodeValue::Int(number),
                (None, number) => NodeValue::Float(number.unwrap_or_default()),
            },
            Value::String(text) => NodeValue::String(text.clone()),
            Value::Array(items) => {
                let below = below()?;
                let items = items.iter().map(|item| Self::from_json_within(item, below));
                NodeValue::List(items.collect::<Option<_>>()?)
            }
            Value::Object(members) => {
                let below = below()?;
                let mut entries = Vec::new();
                for (key, value) in members {
                    let (key, at) = (key.clone(), Position::default());
                    entries.push(Entry { key, at, value: Self::from_json_within(value, below)? });
                }
                NodeValue::Map(entries)
            }
        };
        Some(Self::new(Position::default(), value))
    }

    /// The value as the JSON that kubectl would send: an [`NodeValue::Ambiguous`] word is the
    /// boolean, and a number without a fraction is an integer.
    pub fn to_json(&self) -> Value {
        match &self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Bool(flag) => Value::from(*flag),
            NodeValue::Int(number) => Value::from(*number),
            NodeValue::Float(number) => {
                whole(*number).map_or_else(|| Value::from(*number), Value::from)
            }
            NodeValue::String(text) => Value::from(text.as_str()),
            NodeValue::Ambiguous(word) => Value::from(scalar::is_affirmative(word)),
            NodeValue::List(items) => items.iter().map(Self::to_json).collect(),
            NodeValue::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// The value of `key`, when this is a map that has it; a `null` is a value.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The keys, when this is a map.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let entries = match &self.value {
            NodeValue::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(|entry| entry.key.as_str())
    }

    /// Where `path` is, or its deepest ancestor that exists: a map entry is at its key.
    pub fn locate(&self, path: &[Segment]) -> Position {
        let mut node = self;
        let mut at = self.at;
        for segment in path {
            node = match segment {
                Segment::Key(key) => match node.entry(key) {
                    Some(entry) => {
                        at = entry.at;
                        &entry.value
                    }
                    None => break,
                },
                Segment::Index(index) => match &node.value {
                    NodeValue::List(items) => match items.get(*index) {
                        Some(item) => {
                            at = item.at;
                            item
                        }
                        None => break,
                    },
                    _ => break,
                },
            };
        }
        at
    }

    /// What is at `path`.
    pub(super) fn at_mut(&mut self, path: &[Segment]) -> Option<&mut Self> {
        path.iter().try_fold(self, |node, segment| match (segment, &mut node.value) {
            (Segment::Key(key), NodeValue::Map(entries)) => {
                entries.iter_mut().find(|entry| entry.key == *key).map(|entry| &mut entry.value)
            }
            (Segment::Index(index), NodeValue::List(items)) => items.get_mut(*index),
            _ => None,
        })
    }

    /// Gives the key at the end of `path` another name.
    pub(super) fn rename(&mut self, path: &[Segment], name: &str) {
        let Some((Segment::Key(key), parent)) = path.split_last() else { return };
        if let Some(NodeValue::Map(entries)) = self.at_mut(parent).map(|node| &mut node.value)
            && let Some(entry) = entries.iter_mut().find(|entry| entry.key == *key)
        {
            name.clone_into(&mut entry.key);
        }
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            NodeValue::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }
}

/// `number` as an integer, when it is one of 64 bits.
pub(super) fn whole(number: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0; // 2^63
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^63 just before")]
    (number.fract() == 0.0 && number.abs() < LIMIT).then_some(number as i64)
}
