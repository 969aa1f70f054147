//! The JSON tree that pods and templates are read as.
//!
//! The plan reads a pod and answers with patch operations, so the pod itself is never written
//! back: strings stay where the request's body has them, objects keep their order, and unknown
//! fields cost nothing and survive because nothing touches them.

use std::{borrow::Cow, cell::Cell, fmt, sync::Arc};

use serde::{
    Serialize, Serializer,
    de::{
        self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
    },
};
use serde_json::{
    Number, Value,
    value::{RawValue, to_raw_value},
};

/// Most values in one tree. A pod that etcd can hold (1.5 MiB) has fewer than half as many; the
/// limit bounds the memory of a body made of nothing but brackets to some 30 MB.
pub const MAX_VALUES: usize = 200_000;

/// The key under which the API server keeps field ownership: often a third of a pod's bytes and
/// never of interest here, so it reads as `null`.
const MANAGED_FIELDS: &str = "managedFields";

/// From so many bytes on, a string of a profile is kept with its JSON text. Scripts are: escaping
/// them in each answer would take as long as all the rest of it.
const SCRIPT_LENGTH: usize = 256;

/// A JSON value that borrows from the text that it was parsed from.
#[derive(Clone, Debug, Default)]
pub enum Json<'a> {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// Any number, as `serde_json` reads it.
    Number(Number),
    /// A string; borrowed unless it had escapes.
    String(Cow<'a, str>),
    /// A long string of a profile.
    Script(Arc<Script>),
    /// A list.
    Array(Vec<Self>),
    /// An object, in the order of the text. A later duplicate key is never looked at.
    Object(Vec<(Cow<'a, str>, Self)>),
}

/// A string with its JSON text.
#[derive(Debug)]
pub struct Script {
    text: String,
    json: Box<RawValue>,
}

/// A tree; `None` for JSON of more than [`MAX_VALUES`] values, which is read to its end and dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounded<'a>(pub Option<Json<'a>>);

impl<'a> Json<'a> {
    /// The same value, with strings that borrow from this one.
    #[must_use]
    pub fn borrowed(&'a self) -> Self {
        match self {
            Self::Null => Self::Null,
            Self::Bool(flag) => Self::Bool(*flag),
            Self::Number(number) => Self::Number(number.clone()),
            Self::String(text) => Self::String(Cow::Borrowed(text)),
            Self::Script(script) => Self::Script(Arc::clone(script)),
            Self::Array(items) => Self::Array(items.iter().map(Self::borrowed).collect()),
            Self::Object(members) => {
                let borrowed = |(key, value): &'a (Cow<'a, str>, Self)| {
                    (Cow::Borrowed(key.as_ref()), value.borrowed())
                };
                Self::Object(members.iter().map(borrowed).collect())
            }
        }
    }

    /// The tree of a `serde_json` value, with strings that borrow from it.
    pub fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::String(Cow::Borrowed(text)),
            Value::Array(items) => Self::Array(items.iter().map(Self::of).collect()),
            Value::Object(members) => {
                let of = |(key, value): (&'a String, &'a Value)| {
                    (Cow::Borrowed(key.as_str()), Self::of(value))
                };
                Self::Object(members.iter().map(of).collect())
            }
        }
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
            Self::Script(script) => Some(&script.text),
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

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The string member `key`, empty when there is none.
    pub fn text(&self, key: &str) -> &str {
        self.get(key).and_then(Self::as_str).unwrap_or_default()
    }

    /// The items of the list member `key`; none when there is no such list.
    pub fn list(&self, key: &str) -> &[Self] {
        self.get(key).map(Self::items).unwrap_or_default()
    }

    /// Sets the member `key` of an object.
    pub fn set(&mut self, key: &'a str, value: Self) {
        let Self::Object(members) = self else { return };
        match members.iter_mut().find(|(name, _)| name == key) {
            Some((_, place)) => *place = value,
            None => members.push((Cow::Borrowed(key), value)),
        }
    }

    /// Takes the member `key` out of an object.
    pub fn take(&mut self, key: &str) -> Option<Self> {
        let Self::Object(members) = self else { return None };
        let place = members.iter().position(|(name, _)| name == key)?;
        Some(members.remove(place).1)
    }

    /// The items of the list member `key`, made where it is missing; `None` when this is no object
    /// or the member is no list.
    pub fn list_mut(&mut self, key: &'a str) -> Option<&mut Vec<Self>> {
        match self.member_mut(key, || Self::Array(Vec::new()))? {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The member `key`, made where it is missing; `None` when this is no object.
    pub fn member_mut(&mut self, key: &'a str, make: fn() -> Self) -> Option<&mut Self> {
        let Self::Object(members) = self else { return None };
        let place = members.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
            members.push((Cow::Borrowed(key), make()));
            members.len() - 1
        });
        members.get_mut(place).map(|(_, value)| value)
    }
}

impl PartialEq for Json<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Object(a), Self::Object(b)) => a == b,
            (a, b) => a.as_str().is_some() && a.as_str() == b.as_str(),
        }
    }
}

impl<'a> From<&'a str> for Json<'a> {
    fn from(text: &'a str) -> Self {
        Self::String(Cow::Borrowed(text))
    }
}

impl From<String> for Json<'_> {
    fn from(text: String) -> Self {
        Self::String(Cow::Owned(text))
    }
}

impl From<Vec<Self>> for Json<'_> {
    fn from(items: Vec<Self>) -> Self {
        Self::Array(items)
    }
}

impl From<i64> for Json<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Json<'_> {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

/// The value of a profile.
impl From<Value> for Json<'static> {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Number(number) => Self::Number(number),
            Value::String(text) if text.len() < SCRIPT_LENGTH => text.into(),
            Value::String(text) => match to_raw_value(&text) {
                Ok(json) => Self::Script(Arc::new(Script { text, json })),
                Err(_) => text.into(),
            },
            Value::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Value::Object(members) => {
                let from = |(key, value): (String, Value)| (Cow::Owned(key), value.into());
                Self::Object(members.into_iter().map(from).collect())
            }
        }
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Script(script) => script.json.serialize(serializer),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(members) => {
                serializer.collect_map(members.iter().map(|(key, value)| (key, value)))
            }
        }
    }
}

impl Default for Bounded<'_> {
    fn default() -> Self {
        Self(Some(Json::Null))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bounded<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let left = Cell::new(MAX_VALUES);
        let tree = Tree { left: &left }.deserialize(deserializer)?;
        Ok(Self((left.get() > 0).then_some(tree)))
    }
}

/// Builds the tree, and counts down to the limit. At 0 it reads on and keeps nothing.
#[derive(Clone, Copy)]
struct Tree<'c> {
    left: &'c Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        self.left.set(self.left.get().saturating_sub(1));
        if self.left.get() == 0 {
            return IgnoredAny::deserialize(deserializer).map(|_| Json::Null);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
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
        while let Some(item) = list.next_element_seed(self)? {
            if self.left.get() > 0 {
                items.push(item);
            }
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(Text(key)) = map.next_key()? {
            let value = if key == MANAGED_FIELDS {
                map.next_value::<IgnoredAny>()?;
                Json::Null
            } else {
                map.next_value_seed(self)?
            };
            if self.left.get() > 0 {
                members.push((key, value));
            }
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

    fn bounded(text: &str) -> Bounded<'_> {
        serde_json::from_str(text).unwrap()
    }

    fn parse(text: &str) -> Json<'_> {
        bounded(text).0.unwrap()
    }

    #[test]
    fn json_strings_without_escapes_are_borrowed() {
        let text = r#"{"name":"runner","note":"a\nb"}"#;
        let json = parse(text);
        assert!(matches!(json.get("name"), Some(Json::String(Cow::Borrowed("runner")))));
        assert_eq!(json.text("note"), "a\nb");
    }

    #[test]
    fn json_null_reads_as_absent() {
        let json = parse(r#"{"volumes":null}"#);
        assert!(json.get("volumes").is_none());
    }

    /// A label of that name cannot be: its value is a string, and nothing reads it.
    #[test]
    fn json_managed_fields_are_dropped() {
        let json = parse(r#"{"managedFields":[{"a":[1]}],"labels":{"a":"x"}}"#);
        assert!(json.get("managedFields").is_none());
        assert_eq!(json.at(&["labels", "a"]).and_then(Json::as_str), Some("x"));
    }

    #[test]
    fn json_serialises_to_its_source() {
        let text = r#"{"a":[1,-2,3.5,true,null,"xé"],"b":{"c":{}}}"#;
        let json = parse(text);
        assert_eq!(serde_json::to_string(&json).unwrap(), text);
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(Json::of(&value), json);
        assert_eq!(Json::from(value), json.borrowed());
    }

    #[test]
    fn json_script_is_string_with_its_text() {
        let text = "echo \"a\\b\"\n".repeat(SCRIPT_LENGTH);
        let (script, string) = (Json::from(Value::from(text.clone())), Json::from(text.as_str()));
        assert!(matches!((&script, &string), (Json::Script(_), Json::String(_))));
        assert_eq!(script, string);
        assert_ne!(script, Json::Null);
        assert_ne!(script, Json::from("echo"));
        for json in [&script, &string] {
            assert_eq!(json.as_str(), Some(text.as_str()));
            let written = serde_json::to_string(json).unwrap();
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
            assert_eq!(serde_json::to_value(json).unwrap(), text);
        }
    }

    #[test]
    fn json_values_beyond_limit_are_refused() {
        let list = |item: &str, count: usize| format!("[{}]", vec![item; count].join(","));
        for (item, values) in [("0", 1), (r#"{"":0}"#, 2), ("[]", 1), (r#"{"a":{}}"#, 2)] {
            let most = (MAX_VALUES - 2) / values;
            assert!(bounded(&list(item, most)).0.is_some(), "{item}");
            assert_eq!(bounded(&list(item, most + 2)).0, None, "{item}");
        }
    }

    #[test]
    fn json_syntax_error_is_an_error() {
        for text in ["", "{", "[1,]", "{} x", &"[".repeat(1000)] {
            assert!(serde_json::from_str::<Bounded<'_>>(text).is_err(), "{text}");
        }
    }
}
