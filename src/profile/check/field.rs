//! A value of a template with the way to it.

use serde_json::Value;

use crate::profile::{normal::text_of, report::Part};

/// A value of a template with the way to it. A member that is null counts as absent.
#[derive(Clone, Debug)]
pub(super) struct Field<'v> {
    pub(super) value: &'v Value,
    pub(super) path: Vec<Part>,
}

impl<'v> Field<'v> {
    /// The path of a member, whether it is there or not.
    pub(super) fn path_to(&self, key: &str) -> Vec<Part> {
        self.path_with(Part::from(key))
    }

    fn path_with(&self, part: Part) -> Vec<Part> {
        let mut path = self.path.clone();
        path.push(part);
        path
    }

    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(Self { value, path: self.path_to(key) })
    }

    pub(super) fn text(&self, key: &str) -> Option<&'v str> {
        self.value.get(key)?.as_str()
    }

    pub(super) fn number(&self, key: &str) -> Option<i64> {
        self.value.get(key)?.as_i64()
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.value.get(key)?.as_bool()
    }

    /// The member `name` of each item, or the empty text.
    pub(super) fn name(&self) -> &'v str {
        self.text("name").unwrap_or_default()
    }

    /// The items of the list `key`, addressed by their member `by`.
    pub(super) fn keyed(&self, key: &str, by: &'static str) -> Vec<Self> {
        self.items(key, |index, item| match item.get(by).and_then(text_of) {
            Some(value) => Part::Item(by, value),
            None => Part::Index(index),
        })
    }

    /// The items of the list `key`.
    pub(super) fn list(&self, key: &str) -> Vec<Self> {
        self.items(key, |index, _| Part::Index(index))
    }

    fn items(&self, key: &str, part: impl Fn(usize, &Value) -> Part) -> Vec<Self> {
        let Some(list) = self.get(key) else { return Vec::new() };
        let items = list.value.as_array().map(Vec::as_slice).unwrap_or_default();
        items
            .iter()
            .enumerate()
            .map(|(index, value)| Self { value, path: list.path_with(part(index, value)) })
            .collect()
    }

    /// The members of the object.
    pub(super) fn members(&self) -> Vec<(&'v str, Self)> {
        let members = self.value.as_object().into_iter().flatten();
        members
            .map(|(key, value)| (key.as_str(), Self { value, path: self.path_to(key) }))
            .collect()
    }

    /// The texts of the list `key`.
    pub(super) fn texts(&self, key: &str) -> Vec<&'v str> {
        let items = self.value.get(key).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).collect()
    }
}
