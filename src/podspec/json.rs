//! A borrowed JSON tree.
//!
//! The plan reads a pod and answers with patch operations, so the pod itself is never written
//! back: strings stay where the request's body has them, objects keep their order, and unknown
//! fields cost nothing and survive because nothing touches them.

use std::{borrow::Cow, fmt};

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value, value::RawValue};

/// The key under which the API server keeps field ownership: often a third of a pod's bytes and
/// never of interest here, so its list is skipped while parsing.
const MANAGED_FIELDS: &str = "managedFields";

/// A JSON value that borrows from the text that it was parsed from.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// Any number, as `serde_json` reads it.
    Number(Number),
    /// A string; borrowed unless it had escapes.
    String(Cow<'a, str>),
    /// A list.
    Array(Vec<Self>),
    /// An object, in the order of the text. A later duplicate key is never looked at.
    Object(Vec<(Cow<'a, str>, Self)>),
    /// A value that was not looked into: its text.
    Skipped(&'a str),
}

impl<'a> Json<'a> {
    /// Parses `text`.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The member `key`, when this is an object that has it and it is not `null`: the API server
    /// treats `null` and absent alike.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value)
                .filter(|value| !matches!(value, Json::Null)),
            _ => None,
        }
    }

    /// The member at the end of `keys`, each looked up with [`Json::get`].
    pub fn at(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |json, key| json.get(key))
    }

    /// The string, when this is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean, when this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The integer, when this is one.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// The items, when this is a list; none otherwise.
    pub fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }

    /// The members, when this is an object; none otherwise.
    pub fn members(&self) -> &[(Cow<'a, str>, Self)] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    /// The string member `key`, empty when there is none.
    pub fn text(&self, key: &str) -> &str {
        self.get(key).and_then(Self::as_str).unwrap_or_default()
    }

    /// The items of the list member `key`; none when there is no such list.
    pub fn list(&self, key: &str) -> &[Self] {
        self.get(key).map(Self::items).unwrap_or_default()
    }

    /// An owned copy, for a patch operation that repeats what the pod says elsewhere.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::Number(number.clone()),
            Self::String(text) => Value::String(text.to_string()),
            Self::Array(items) => items.iter().map(Self::to_value).collect(),
            Self::Object(members) => Value::Object(
                members.iter().map(|(key, value)| (key.to_string(), value.to_value())).collect(),
            ),
            // It was read as JSON before, so it is.
            Self::Skipped(text) => serde_json::from_str(text).unwrap_or_default(),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Tree { skip_list: false }.deserialize(deserializer)
    }
}

/// Builds the tree. `skip_list` does not look into the items of a list.
#[derive(Clone, Copy)]
struct Tree {
    skip_list: bool,
}

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Json<'de>, E> {
        Number::from_f64(number).map(Json::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json<'de>, A::Error> {
        let mut items = Vec::new();
        if self.skip_list {
            while let Some(item) = list.next_element::<&'de RawValue>()? {
                items.push(Json::Skipped(item.get()));
            }
        } else {
            while let Some(item) = list.next_element_seed(self)? {
                items.push(item);
            }
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(Text(key)) = map.next_key()? {
            let seed = Self { skip_list: key == MANAGED_FIELDS };
            members.push((key, map.next_value_seed(seed)?));
        }
        Ok(Json::Object(members))
    }
}

/// A string that borrows where it can; serde's own `Option<Cow<str>>` and map keys always copy.
/// `null` reads as empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text<'a>(Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }
            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_without_escapes_are_borrowed() {
        let text = r#"{"name":"runner","note":"a\nb"}"#;
        let json = Json::parse(text).unwrap();
        assert!(matches!(json.get("name"), Some(Json::String(Cow::Borrowed("runner")))));
        assert_eq!(json.text("note"), "a\nb");
    }

    #[test]
    fn null_reads_as_absent() {
        let json = Json::parse(r#"{"volumes":null}"#).unwrap();
        assert!(json.get("volumes").is_none());
    }

    #[test]
    fn field_ownership_is_skipped_but_a_label_of_that_name_is_not() {
        let text = r#"{"managedFields":[{"a":[1]}],"labels":{"managedFields":"x"}}"#;
        let json = Json::parse(text).unwrap();
        assert_eq!(json.list("managedFields"), [Json::Skipped(r#"{"a":[1]}"#)]);
        assert_eq!(json.at(&["labels", "managedFields"]).and_then(Json::as_str), Some("x"));
    }

    #[test]
    fn a_copy_equals_what_serde_json_reads() {
        let text = r#"{"a":[1,-2,3.5,true,null,"x\u00e9"],"b":{"c":{}}}"#;
        let copy = Json::parse(text).unwrap().to_value();
        assert_eq!(copy, serde_json::from_str::<Value>(text).unwrap());
    }
}
