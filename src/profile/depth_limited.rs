//! JSON of any depth. The API server takes objects of up to 10,000 levels where a schema leaves a
//! place open (apimachinery's JSON decoder). `serde_json` refuses a text of more than 127 levels,
//! and with one deep object all else that is in the text.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// Maps and lists inside one another that are kept. More than a profile may have
/// ([`MAX_DEPTH`](super::source::MAX_DEPTH)), so that the compiler refuses what was cut. With what
/// is around it in a list, less than what `serde_json` takes.
const MAX_LEVELS: usize = 100;

/// A value in which what is too deep is `null`. To skip it takes no stack.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct DepthLimited(pub Value);

impl<'de> Deserialize<'de> for DepthLimited {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        LevelsLeft(MAX_LEVELS).deserialize(deserializer).map(Self)
    }
}

/// Reads a value with at most this many levels.
#[derive(Clone, Copy)]
struct LevelsLeft(usize);

impl<'de> DeserializeSeed<'de> for LevelsLeft {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LevelsLeft {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let Some(levels) = self.0.checked_sub(1) else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        };
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self(levels))? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let Some(levels) = self.0.checked_sub(1) else {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        };
        let mut map = Map::new();
        while let Some(key) = members.next_key()? {
            map.insert(key, members.next_value_seed(Self(levels))?);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        let DepthLimited(value) = serde_json::from_str(text).unwrap();
        value
    }

    #[test]
    fn shallow_json_is_kept() {
        let text = r#"{"a":[null,true,-1,18446744073709551615,1.5,"é\n",{}],"b":{"c":[]}}"#;
        assert_eq!(read(text), serde_json::from_str::<Value>(text).unwrap());
        for broken in ["", "{", "[1,]", "{\"a\":}"] {
            serde_json::from_str::<DepthLimited>(broken).unwrap_err();
        }
    }

    #[test]
    fn deep_json_is_cut_without_its_neighbour() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for depth in [MAX_LEVELS, MAX_LEVELS + 1, 10_000] {
                let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                let value = read(&deep);
                let mut inner = &value;
                let mut levels = 0;
                while let Some(next) = inner.get(0).or_else(|| inner.get("a")) {
                    (inner, levels) = (next, levels + 1);
                }
                let bottom = if depth > MAX_LEVELS { Value::Null } else { 1.into() };
                assert_eq!((levels, inner), (MAX_LEVELS, &bottom));

                let list = format!(r#"{{"items": [{{"spec": {deep}}}, {{"spec": {{"b": 1}}}}]}}"#);
                assert_eq!(read(&list)["items"][1], serde_json::json!({"spec": {"b": 1}}));
            }
        }
    }
}
