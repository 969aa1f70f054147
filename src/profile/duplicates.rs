//! Lists that name one thing twice: layering would keep one of them without a word.

use serde_json::Value;

use super::{
    inherit,
    layer::{CONTAINER_KEYS, container, is_same},
    source::Segment,
};
use crate::podspec::merge::Merge;

/// An item of a list that is in it already.
pub(super) struct Duplicate {
    /// The item.
    pub(super) item: Vec<Segment>,
    /// The field that says what it is.
    pub(super) key: String,
    pub(super) message: String,
}

/// The duplicates in a spec as it was written.
pub(super) fn of(spec: &Value) -> Vec<Duplicate> {
    let mut finder = Finder { path: vec![Segment::Key("spec".to_owned())], found: Vec::new() };
    finder.value(spec, Merge::Map(inherit::merge));
    finder.found
}

struct Finder {
    path: Vec<Segment>,
    found: Vec<Duplicate>,
}

impl Finder {
    fn value(&mut self, value: &Value, merge: Merge) {
        match (merge, value) {
            (Merge::Map(rule), Value::Object(members)) => {
                for (key, value) in members {
                    self.path.push(Segment::Key(key.clone()));
                    self.value(value, rule(key));
                    self.path.pop();
                }
            }
            (Merge::Keyed(keys), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.path.push(Segment::Index(index));
                    let mut earlier = items.iter().take(index);
                    if !item.is_null() && earlier.any(|other| is_same(other, item, keys)) {
                        self.add(item, keys.first().copied().unwrap_or_default());
                    } else if keys == CONTAINER_KEYS {
                        self.value(item, Merge::Map(container));
                    }
                    self.path.pop();
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, item: &Value, key: &str) {
        let is_shared = self.path.get(1) == Some(&Segment::Key("sharedVolumes".to_owned()));
        let fix = if is_shared { "give one another name" } else { "take one out" };
        let message = match item.get(key) {
            Some(value) => format!("{value} is in this list already; {fix}"),
            None => format!("such an item is in this list already; {fix}"),
        };
        self.found.push(Duplicate { item: self.path.clone(), key: key.to_owned(), message });
    }
}
