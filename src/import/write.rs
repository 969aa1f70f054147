//! YAML as people write profiles: fields in a fixed order, and what fits one line on one line.

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap as _, SerializeSeq as _},
};
use serde_json::Value;
use serde_saphyr::{FlowMap, FlowSeq};

/// Most bytes of a map or list on one line.
const LINE: usize = 90;
/// Fields that come before all others, in this order.
const FIRST: [&str; 33] = [
    "scaleSet",
    "namespace",
    "file",
    "expect",
    "profile",
    "apiVersion",
    "kind",
    "metadata",
    "extends",
    "match",
    "priority",
    "groups",
    "gpu",
    "runner",
    "dind",
    "start",
    "sharedVolumes",
    "template",
    "name",
    "count",
    "resource",
    "perGpu",
    "byCount",
    "total",
    "image",
    "imagePullPolicy",
    "command",
    "args",
    "key",
    "operator",
    "mountPath",
    "requests",
    "limits",
];
/// Fields whose values are never on their line.
const OPEN: [&str; 2] = ["spec", "metadata"];

/// A value as YAML, in the style of a profile.
pub(super) fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(&Styled { value, style: Style::Open }).unwrap_or_default()
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    /// Never on one line.
    Open,
    /// On one line if it fits.
    Fitting,
    /// In a map or list that is on one line.
    Inside,
}

struct Styled<'v> {
    value: &'v Value,
    style: Style,
}

/// The members of a map in their order, and the style of each.
struct Ordered<'v>(Vec<(&'v String, &'v Value)>, Style);

impl Serialize for Styled<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { value, style } = *self;
        let begins_line = style == Style::Fitting && is_line(value);
        let is_inside = begins_line || style == Style::Inside;
        let below = if is_inside { Style::Inside } else { Style::Fitting };
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by_key(|(key, _)| rank(key));
                let members = Ordered(members, below);
                if begins_line {
                    FlowMap(members).serialize(serializer)
                } else {
                    members.serialize(serializer)
                }
            }
            Value::Array(items) if begins_line => {
                FlowSeq(Items(items, below)).serialize(serializer)
            }
            Value::Array(items) => Items(items, below).serialize(serializer),
            value => value.serialize(serializer),
        }
    }
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            let style = if OPEN.contains(&key.as_str()) { Style::Open } else { self.1 };
            map.serialize_entry(key, &Styled { value, style })?;
        }
        map.end()
    }
}

/// The items of a list, and the style of each.
struct Items<'v>(&'v [Value], Style);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for value in self.0 {
            list.serialize_element(&Styled { value, style: self.1 })?;
        }
        list.end()
    }
}

fn rank(key: &str) -> usize {
    FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len())
}

/// Whether a value reads well on one line.
fn is_line(value: &Value) -> bool {
    fn is_short(value: &Value) -> bool {
        match value {
            Value::String(text) => !text.contains('\n'),
            Value::Array(items) => items.iter().all(is_short),
            Value::Object(members) => {
                members.iter().all(|(key, value)| !OPEN.contains(&key.as_str()) && is_short(value))
            }
            _ => true,
        }
    }
    is_short(value) && value.to_string().len() <= LINE
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_is_short_and_in_order() {
        let profile = json!({
            "spec": {
                "template": {"spec": {"nodeSelector": {"pool": "mi300"}}},
                "match": {"scaleSets": ["linux.rocm.gpu.mi300.{gpus}"]},
                "gpu": {"total": {"cpu": "1"}, "perGpu": {"memory": "1Gi"}},
                "extends": "base",
            },
            "metadata": {"name": "mi300"},
            "kind": "RunnerProfile",
        });
        assert_eq!(
            yaml(&profile),
            "kind: RunnerProfile\nmetadata:\n  name: mi300\nspec:\n  extends: base\n  match: {scaleSets: \
             [\"linux.rocm.gpu.mi300.{gpus}\"]}\n  gpu: {perGpu: {memory: 1Gi}, total: {cpu: \"1\"}}\n  \
             template:\n    spec:\n      nodeSelector: {pool: mi300}\n"
        );
    }

    proptest! {
        /// Texts that YAML would take for something else among them.
        #[test]
        fn yaml_reads_as_the_same_value(
            texts in prop::collection::vec(prop_oneof![
                prop::sample::select(vec!["yes", "1", "0755", "1e3", "null", "", "- a", "a: b", "#x", "{gpus}", "*",
                    "true", "a\nb\n", "a\n", "$(X)", "1_000", "=", "<<", "@a", "`a", "%a", "a, b", "[a", "0x1F"])
                    .prop_map(str::to_owned),
                "[ -~\n]{0,120}",
            ], 1..6),
        ) {
            let value = json!({"spec": {"a": texts, "b": {"c": texts[0], "d": [{"name": texts[0]}]}}});
            let text = yaml(&value);
            let nodes = crate::profile::source::documents("f", &text);
            let read = nodes.map(|nodes| nodes.iter().map(crate::profile::source::Node::to_json).collect::<Vec<_>>());
            prop_assert_eq!(read, Ok(vec![value]), "{}", text);
        }
    }
}
