//! What to say about a value that a schema does not allow.

use serde_json::Value;

use super::target::{Kind, Target};
use crate::profile::source::{Node, NodeValue, ambiguous, quoted, whole};

/// Most characters of a value that a message repeats.
const MAX_SHOWN: usize = 60;

/// What to say about a field that Kubernetes has and profiles do not.
pub(super) const ELSEWHERE: &str =
    "is not a field of profiles; write it in the scale set's own template";

/// How a message begins about a field that Kubernetes does not have.
pub(super) const UNKNOWN_OF: &str = "unknown field of ";

/// `near` is the field that was probably meant, `elsewhere` where else a profile has it.
pub(super) fn unknown_field(
    target: &Target<'_>,
    near: Option<&str>,
    elsewhere: Option<&str>,
) -> String {
    let mut message = match target.short_name() {
        Some(name) if target.is_kubernetes() => {
            format!("{UNKNOWN_OF}{name} (the API server would drop it silently)")
        }
        _ => "unknown field".to_owned(),
    };
    if let Some(near) = near {
        message.push_str(", did you mean ");
        message.push_str(&quoted(near));
        message.push('?');
    } else if let Some(elsewhere) = elsewhere {
        message.push_str("; ");
        message.push_str(elsewhere);
    }
    message
}

/// The field of `target` that `key` was probably meant to be.
pub(super) fn near_field<'s>(key: &str, target: &Target<'s>) -> Option<&'s str> {
    let fields = || target.properties().into_iter().flat_map(|fields| fields.keys());
    // `args` is near `extraArgs`.
    let ends =
        |field: &&String| key.len() > 3 && field.to_lowercase().ends_with(&key.to_lowercase());
    nearest(key, fields().map(String::as_str)).or_else(|| fields().find(ends).map(String::as_str))
}

pub(super) fn wrong_constant(node: &Node, allowed: &[&Value]) -> String {
    let list: Vec<_> = allowed.iter().map(ToString::to_string).collect();
    let got = match &node.value {
        NodeValue::List(_) | NodeValue::Map(_) => kind_of(node).to_owned(),
        NodeValue::String(text) => quoted(&shortened(text)),
        NodeValue::Ambiguous(word) => word.clone(),
        _ => as_written(node).unwrap_or_default(),
    };
    format!("expected {}, got {got}", or(&list))
}

/// `item_fields` are those of the items, when a list of maps was expected.
pub(super) fn wrong_type(node: &Node, kinds: &[Kind], item_fields: &[&str]) -> String {
    if let NodeValue::Ambiguous(word) = &node.value
        && kinds.contains(&Kind::String)
    {
        return ambiguous(word);
    }
    let expected: Vec<_> = kinds
        .iter()
        .map(|kind| match kind {
            Kind::String => "a string",
            Kind::Integer => "an integer",
            Kind::Number => "a number",
            Kind::Boolean => "true or false",
            Kind::List => "a list",
            Kind::Map => "a map",
        })
        .map(str::to_owned)
        .collect();
    let got = match &node.value {
        NodeValue::Float(_) if kinds.contains(&Kind::Integer) => {
            as_written(node).unwrap_or_default()
        }
        _ => kind_of(node).to_owned(),
    };
    let mut message = format!("expected {}, got {got}", or(&expected));
    if let Some(fix) = fix(node, kinds, item_fields) {
        message.push_str("; ");
        message.push_str(fix);
    }
    message
}

pub(super) fn out_of_range(number: i64, low: i64, high: i64) -> String {
    if high == i64::MAX {
        format!("expected at least {low}, got {number}")
    } else {
        format!("expected a number from {low} to {high}, got {number}")
    }
}

/// What to do instead, for the mistakes that people make. The value may be a secret and is not
/// repeated.
fn fix(node: &Node, kinds: &[Kind], item_fields: &[&str]) -> Option<&'static str> {
    let is_number = |text: &str| text.parse::<i64>().is_ok();
    let is_flag = |text: &str| matches!(text, "true" | "false");
    match (kinds, &node.value) {
        ([Kind::String], NodeValue::Bool(_) | NodeValue::Int(_) | NodeValue::Float(_)) => {
            Some("put it in quotes")
        }
        ([Kind::Boolean], NodeValue::String(text)) if is_flag(text) => {
            Some("write it without quotes")
        }
        ([Kind::Integer | Kind::Number], NodeValue::String(text)) if is_number(text) => {
            Some("write it without quotes")
        }
        ([Kind::List], NodeValue::String(_)) if item_fields.is_empty() => Some("put it in a list"),
        ([Kind::List], NodeValue::Map(entries)) if !entries.is_empty() => {
            if entries.iter().all(|entry| item_fields.contains(&entry.key.as_str())) {
                Some("put \"- \" before each item")
            } else if item_fields.contains(&"name") && item_fields.contains(&"value") {
                Some("write each as - {name: ..., value: ...}")
            } else {
                None
            }
        }
        _ => None,
    }
}

/// A boolean or number in the file's own words.
fn as_written(node: &Node) -> Option<String> {
    let text = match &node.value {
        NodeValue::Bool(flag) => flag.to_string(),
        NodeValue::Int(number) => number.to_string(),
        NodeValue::Float(number) => {
            whole(*number).map_or_else(|| number.to_string(), |number| number.to_string())
        }
        _ => return None,
    };
    Some(node.raw.as_deref().map_or(text, shortened))
}

fn kind_of(node: &Node) -> &'static str {
    match &node.value {
        NodeValue::Null => "null",
        NodeValue::Bool(_) | NodeValue::Ambiguous(_) => "a boolean",
        NodeValue::Int(_) | NodeValue::Float(_) => "a number",
        NodeValue::String(_) => "a string",
        NodeValue::List(_) => "a list",
        NodeValue::Map(_) => "a map",
    }
}

/// The candidate that `key` was probably meant to be: the same but for case, or at most a third
/// of the letters away.
fn nearest<'c>(key: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    // Beyond this no field is near, and the distance is quadratic.
    if key.len() > MAX_SHOWN {
        return None;
    }
    let key = key.to_lowercase();
    let letters = key.chars().count();
    candidates
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let other = lower.chars().count();
            let most = letters.max(other) / 3;
            (letters.abs_diff(other) <= most)
                .then(|| (strsim::osa_distance(&key, &lower), most, candidate))
        })
        .filter(|(distance, most, _)| distance <= most)
        .min_by_key(|(distance, ..)| *distance)
        .map(|(.., candidate)| candidate)
}

/// `a`, `a or b`, `a, b or c`.
fn or(words: &[String]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
