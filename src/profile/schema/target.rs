//! One schema, with its references followed.

use serde_json::{Map, Value};

use crate::profile::source::{Node, NodeValue, whole};

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
    pub(in crate::profile) keywords: &'s Map<String, Value>,
}

impl<'s> Target<'s> {
    /// Follows `schema` through references, and through the unions with null that `Option` is made
    /// of. `None` accepts anything.
    pub(in crate::profile) fn resolve(document: &'s Value, schema: &'s Value) -> Option<Self> {
        let keywords = schema.as_object()?;
        if let Some(reference) = keywords.get("$ref").and_then(Value::as_str) {
            let target = Self::resolve(document, document.pointer(reference.strip_prefix('#')?)?)?;
            return Some(Self { name: reference.rsplit('/').next(), ..target });
        }
        let this = Self { name: keywords.get("title").and_then(Value::as_str), keywords };
        match this.branches().as_slice() {
            [only] => Self::resolve(document, only),
            _ => Some(this),
        }
    }

    /// The name without its path: `EnvVar`.
    pub(in crate::profile) fn short_name(&self) -> Option<&'s str> {
        self.name.and_then(|name| name.rsplit('.').next())
    }

    pub(in crate::profile) fn is_kubernetes(&self) -> bool {
        self.name.is_some_and(|name| name.starts_with(super::closed::KUBERNETES))
    }

    pub(in crate::profile) fn is_int_or_string(&self) -> bool {
        self.keywords.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true))
    }

    /// The kinds that the schema names, `null` aside; none when it does not care.
    pub(in crate::profile) fn kinds(&self) -> Vec<Kind> {
        match self.keywords.get("type") {
            Some(Value::String(name)) => Kind::from_keyword(name).into_iter().collect(),
            Some(Value::Array(names)) => {
                names.iter().filter_map(Value::as_str).filter_map(Kind::from_keyword).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The values that `const` or `enum` lists, here or in all branches of a union; `null` aside.
    pub(in crate::profile) fn allowed(&self) -> Option<Vec<&'s Value>> {
        let own = |keywords: &'s Map<String, Value>| {
            let values = keywords.get("enum").and_then(Value::as_array).map(Vec::as_slice);
            values.or_else(|| keywords.get("const").map(std::slice::from_ref))
        };
        let branches = self.branches();
        let lists: Option<Vec<_>> = if branches.is_empty() {
            own(self.keywords).map(|values| vec![values])
        } else {
            branches.iter().map(|branch| own(branch.as_object()?)).collect()
        };
        let values = lists?.into_iter().flatten();
        Some(values.filter(|value| !value.is_null()).collect())
    }

    /// The branches of `anyOf` or `oneOf`, `null` aside.
    fn branches(&self) -> Vec<&'s Value> {
        let is_null = |schema: &&Value| schema.get("type").and_then(Value::as_str) == Some("null");
        let unions = ["anyOf", "oneOf"].iter().filter_map(|union| self.keywords.get(*union));
        let branches = unions.filter_map(Value::as_array).flatten();
        branches.filter(|schema| !is_null(schema)).collect()
    }

    pub(in crate::profile) fn properties(&self) -> Option<&'s Map<String, Value>> {
        self.keywords.get("properties").and_then(Value::as_object)
    }

    /// The schema of the field `key`.
    pub(in crate::profile) fn field(&self, key: &str) -> Option<&'s Value> {
        let additional = || self.keywords.get("additionalProperties").filter(|it| it.is_object());
        self.properties().and_then(|fields| fields.get(key)).or_else(additional)
    }

    /// Whether fields without a schema are fine. A type that lists fields is closed: Kubernetes drops
    /// what it does not know, and so does serde.
    pub(in crate::profile) fn takes_any_field(&self) -> bool {
        self.properties().is_none()
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
    pub(in crate::profile) fn range(&self) -> (i64, i64) {
        let (low, high) = match self.keywords.get("format").and_then(Value::as_str) {
            Some("int32") => (i32::MIN.into(), i32::MAX.into()),
            Some("uint32") => (0, u32::MAX.into()),
            // A tree holds nothing beyond these.
            _ => (i64::MIN, i64::MAX),
        };
        let bound = |keyword| self.keywords.get(keyword).and_then(Value::as_i64);
        (
            bound("minimum").map_or(low, |bound| low.max(bound)),
            bound("maximum").map_or(high, |bound| high.min(bound)),
        )
    }
}
