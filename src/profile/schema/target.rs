//! One schema, with its references followed.

use serde_json::{Map, Value};

use crate::profile::source::{Node, NodeValue, whole};

/// Most references and single-branch unions from a schema to the one that says something; a
/// cycle of them says nothing.
const MAX_HOPS: usize = 32;

/// What a value may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::profile) enum Kind {
    String,
    Integer,
    Number,
    Boolean,
    List,
    Map,
}

impl Kind {
    pub(in crate::profile) fn accepts(self, node: &Node) -> bool {
        match &node.value {
            NodeValue::Null => true,
            NodeValue::Bool(_) | NodeValue::Ambiguous(_) => self == Self::Boolean,
            NodeValue::Int(_) => matches!(self, Self::Integer | Self::Number),
            // 1.0 is sent as 1.
            NodeValue::Float(number) => {
                self == Self::Number || (self == Self::Integer && whole(*number).is_some())
            }
            NodeValue::String(_) => self == Self::String,
            NodeValue::List(_) => self == Self::List,
            NodeValue::Map(_) => self == Self::Map,
        }
    }

    fn from_keyword(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "array" => Self::List,
            "object" => Self::Map,
            _ => return None,
        })
    }
}

/// A schema that says something, and the name it has among the definitions.
#[derive(Clone, Copy, Debug)]
pub(in crate::profile) struct Target<'s> {
    pub(in crate::profile) name: Option<&'s str>,
    keywords: &'s Map<String, Value>,
}

impl<'s> Target<'s> {
    /// Follows `schema` through references, and through the unions that `Option` and described
    /// fields are made of. `None` accepts anything.
    pub(in crate::profile) fn resolve(document: &'s Value, schema: &'s Value) -> Option<Self> {
        let mut keywords = schema.as_object()?;
        let mut name = keywords.get("title").and_then(Value::as_str);
        for _ in 0..MAX_HOPS {
            let next = if let Some(reference) = keywords.get("$ref") {
                let pointer = percent_decoded(reference.as_str()?.strip_prefix('#')?)?;
                let next = document.pointer(&pointer)?;
                // Definitions are named; the document has a title, if anything.
                name = match reference.as_str()?.rsplit_once('/') {
                    Some((_, name)) => Some(name),
                    None => next.get("title").and_then(Value::as_str),
                };
                next
            } else if keywords.contains_key("properties") || keywords.contains_key("type") {
                break;
            } else {
                let this = Self { name, keywords };
                let mut unions = this.branches().into_iter().chain(this.parts());
                match (unions.next(), unions.next()) {
                    (Some(only), None) => only,
                    _ => break,
                }
            };
            keywords = next.as_object()?;
        }
        // Still a reference: a cycle.
        (!keywords.contains_key("$ref")).then_some(Self { name, keywords })
    }

    /// The name without its path: `EnvVar`.
    pub(in crate::profile) fn short_name(&self) -> Option<&'s str> {
        self.name.and_then(|name| name.rsplit('.').next())
    }

    /// What is said of it.
    pub(in crate::profile) fn description(&self) -> Option<&'s Value> {
        self.keywords.get("description")
    }

    pub(in crate::profile) fn is_kubernetes(&self) -> bool {
        self.name.is_some_and(|name| name.starts_with(super::closed::KUBERNETES))
    }

    pub(in crate::profile) fn is_int_or_string(&self) -> bool {
        self.keywords.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true))
            || (matches!(self.short_name(), Some("Quantity" | "IntOrString"))
                && !self.keywords.contains_key("type"))
    }

    /// The kinds that the schema names, `null` aside; none when it does not care.
    pub(in crate::profile) fn kinds(&self) -> Vec<Kind> {
        match self.keywords.get("type") {
            Some(Value::String(name)) => Kind::from_keyword(name).into_iter().collect(),
            Some(Value::Array(names)) => {
                names.iter().filter_map(Value::as_str).filter_map(Kind::from_keyword).collect()
            }
            _ if self.properties().is_some() => vec![Kind::Map],
            _ => Vec::new(),
        }
    }

    /// The values that `const` or `enum` lists, here or in all branches of a union; `null` aside.
    pub(in crate::profile) fn allowed(&self, document: &'s Value) -> Option<Vec<&'s Value>> {
        let values = if let Some(value) = self.keywords.get("const") {
            vec![value]
        } else if let Some(Value::Array(values)) = self.keywords.get("enum") {
            values.iter().collect()
        } else {
            let branches = self.branches();
            if branches.is_empty() {
                return None;
            }
            let mut values = Vec::new();
            for branch in branches {
                let keywords = Self::resolve(document, branch)?.keywords;
                match (keywords.get("const"), keywords.get("enum")) {
                    (Some(value), _) => values.push(value),
                    (None, Some(Value::Array(more))) => values.extend(more),
                    _ => return None,
                }
            }
            values
        };
        Some(values.into_iter().filter(|value| !value.is_null()).collect())
    }

    /// The branches of `anyOf` or `oneOf`, `null` aside.
    pub(in crate::profile) fn branches(&self) -> Vec<&'s Value> {
        let is_null = |schema: &&Value| {
            schema.get("type").and_then(Value::as_str) == Some("null")
                || schema.get("const") == Some(&Value::Null)
        };
        ["anyOf", "oneOf"]
            .into_iter()
            .filter_map(|keyword| self.keywords.get(keyword)?.as_array())
            .flatten()
            .filter(|schema| !is_null(schema))
            .collect()
    }

    /// The schemas of `allOf`.
    pub(in crate::profile) fn parts(&self) -> &'s [Value] {
        self.keywords.get("allOf").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(in crate::profile) fn properties(&self) -> Option<&'s Map<String, Value>> {
        self.keywords.get("properties").and_then(Value::as_object)
    }

    /// The schema of the field `key`.
    pub(in crate::profile) fn field(&self, key: &str) -> Option<&'s Value> {
        let additional = || self.keywords.get("additionalProperties").filter(|it| it.is_object());
        // What schemars writes for a map whose keys are numbers.
        let pattern = || self.keywords.get("patternProperties")?.as_object()?.values().next();
        self.properties().and_then(|fields| fields.get(key)).or_else(pattern).or_else(additional)
    }

    /// Whether fields without a schema are fine. A type that lists fields and does not say is
    /// closed: Kubernetes drops what it does not know, and so does serde.
    pub(in crate::profile) fn takes_any_field(&self) -> bool {
        match self.keywords.get("additionalProperties") {
            Some(Value::Bool(flag)) => *flag,
            _ => {
                self.properties().is_none()
                    || self.keywords.get("x-kubernetes-preserve-unknown-fields")
                        == Some(&Value::Bool(true))
            }
        }
    }

    /// Whether Kubernetes has the field `key` and profiles do not.
    pub(in crate::profile) fn is_elsewhere(&self, key: &str) -> bool {
        let fields = self.keywords.get(super::closed::ELSEWHERE).and_then(Value::as_array);
        fields.is_some_and(|fields| fields.iter().any(|field| field == key))
    }

    /// What is in the field `key`.
    pub(in crate::profile) fn child(&self, document: &'s Value, key: &str) -> Option<Self> {
        Self::resolve(document, self.field(key)?)
    }

    /// What is in the list.
    pub(in crate::profile) fn item(&self, document: &'s Value) -> Option<Self> {
        Self::resolve(document, self.items()?)
    }

    pub(in crate::profile) fn required(&self) -> impl Iterator<Item = &'s str> {
        let names = self.keywords.get("required").and_then(Value::as_array);
        names.into_iter().flatten().filter_map(Value::as_str)
    }

    pub(in crate::profile) fn items(&self) -> Option<&'s Value> {
        self.keywords.get("items")
    }

    /// The lowest and highest integer, from `format`, `minimum` and `maximum`.
    pub(in crate::profile) fn range(&self) -> (i128, i128) {
        let format = self.keywords.get("format").and_then(Value::as_str);
        let (low, high) = match format {
            Some("int8") => (i8::MIN.into(), i8::MAX.into()),
            Some("int16") => (i16::MIN.into(), i16::MAX.into()),
            Some("int32") => (i32::MIN.into(), i32::MAX.into()),
            Some("uint8") => (0, u8::MAX.into()),
            Some("uint16") => (0, u16::MAX.into()),
            Some("uint32") => (0, u32::MAX.into()),
            Some("uint" | "uint64") => (0, u64::MAX.into()),
            // A tree holds nothing beyond these.
            _ => (i64::MIN.into(), i64::MAX.into()),
        };
        let bound = |keyword| self.keywords.get(keyword).and_then(integer);
        (
            bound("minimum").map_or(low, |bound| low.max(bound)),
            bound("maximum").map_or(high, |bound| high.min(bound)),
        )
    }
}

fn integer(value: &Value) -> Option<i128> {
    let number = value.as_number()?;
    number.as_i128().or_else(|| number.as_f64().and_then(whole).map(i128::from))
}

/// Undoes what schemars does to a definition's name in a reference, JSON pointer aside.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend(before.as_bytes());
        let (code, after) = after.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        rest = after;
    }
    bytes.extend(rest.as_bytes());
    String::from_utf8(bytes).ok()
}
