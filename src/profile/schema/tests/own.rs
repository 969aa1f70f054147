//! Types like those of a profile, with every form that they have.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use super::{NOTHING, check_text};
use crate::profile::schema::spec;

/// A type of this crate.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct Own {
    /// A field with a description.
    api_version: String,
    mode: Option<Mode>,
    level: Option<Described>,
    #[serde(default)]
    per_gpu: BTreeMap<String, Item>,
    small: Option<u8>,
    count: Option<u32>,
    big: Option<u64>,
    ratio: Option<f64>,
    /// A list of items.
    #[serde(default)]
    list: Vec<Item>,
    inner: Option<Box<Self>>,
    template: Option<PodTemplateSpec>,
    anything: Option<Value>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Mode {
    KeepUser,
    Off,
}

#[derive(Deserialize, JsonSchema)]
enum Described {
    /// The lowest.
    Low,
    /// The highest.
    High,
    Other,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Item {
    name: String,
    mount_path: Option<String>,
}

fn check_own(text: &str) -> Vec<String> {
    check_text(&format!("apiVersion: v1\n{text}"), &schema_for!(Own))
}

#[test]
fn own_types_accept_every_form() {
    assert_eq!(
        check_own(
            "
mode: keepUser
level: Low
perGpu: {disk: {name: x, mountPath: /x}}
small: 255
count: 0
big: 9223372036854775807
ratio: 1
list: [{name: a}]
inner: {apiVersion: v2, inner: ~}
template: {spec: {containers: []}}
anything: [{a: yes}]
"
        ),
        NOTHING
    );
    assert_eq!(check_own("ratio: 0.5"), NOTHING);
    assert_eq!(check_own("mode: ~\nlevel: ~\nperGpu: ~\nlist: ~\nsmall: ~"), NOTHING);
}

#[test]
fn own_type_unknown_field_is_reported() {
    assert_eq!(
        check_own(
            "pergpu: {}\nlist: [{name: a, mountpath: b}]\nspec: 1\ninner: {apiVersion: a, modes: off}"
        ),
        [
            "2:1: pergpu: unknown field, did you mean \"perGpu\"?",
            "3:18: list[0].mountpath: unknown field, did you mean \"mountPath\"?",
            "4:1: spec: unknown field",
            "5:24: inner.modes: unknown field, did you mean \"mode\"?",
        ]
    );
}

#[test]
fn kubernetes_type_inside_own_type_is_named() {
    assert_eq!(
        check_own("template: {spec: {volumez: []}}"),
        ["2:19: template.spec.volumez: unknown field of PodSpec (the API server would drop it \
             silently), did you mean \"volumes\"?"]
    );
}

#[test]
fn enum_wrong_value_lists_allowed_values() {
    assert_eq!(
        check_own("mode: keep\nlevel: low\ninner: {apiVersion: v1, mode: off, level: 1}"),
        [
            "2:7: mode: expected \"keepUser\" or \"off\", got \"keep\"",
            "3:8: level: expected \"Other\", \"Low\" or \"High\", got \"low\"",
            "4:31: inner.mode: off without quotes is a boolean to kubectl; write \"off\"",
            "4:43: inner.level: expected \"Other\", \"Low\" or \"High\", got 1",
        ]
    );
}

#[test]
fn number_outside_range_is_refused() {
    assert_eq!(
        check_own("small: 256\ncount: -1\nbig: -1\nratio: x"),
        [
            "2:8: small: expected a number from 0 to 255, got 256",
            "3:8: count: expected a number from 0 to 4294967295, got -1",
            "4:6: big: expected at least 0, got -1",
            "5:8: ratio: expected a number, got a string",
        ]
    );
}

/// Another keyword would be ignored.
#[test]
fn schema_of_profiles_has_only_keywords_in_use() {
    const KEYWORDS: [&str; 18] = [
        "$defs",
        "$ref",
        "$schema",
        "additionalProperties",
        "const",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maximum",
        "minimum",
        "properties",
        "required",
        "title",
        "type",
        "x-elsewhere",
        "x-kubernetes-int-or-string",
    ];
    let mut pending = vec![spec().as_value()];
    while let Some(schema) = pending.pop() {
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            match (keyword.as_str(), value) {
                ("$defs" | "properties", Value::Object(fields)) => pending.extend(fields.values()),
                ("items", one) | ("additionalProperties", one @ Value::Object(_)) => {
                    pending.push(one);
                }
                ("additionalProperties", Value::Bool(false)) => {}
                // A type or null, and the words of an enum.
                ("anyOf" | "oneOf", Value::Array(all)) => {
                    let is_null = |one: &&Value| one["type"] == "null";
                    let is_word =
                        |one: &&Value| one.get("const").is_some() || one.get("enum").is_some();
                    let others = all.iter().filter(|one| !is_null(one));
                    assert!(
                        others.clone().count() == 1 || others.clone().all(|one| is_word(&one)),
                        "{schema}"
                    );
                    pending.extend(others);
                }
                (known, _) => assert!(KEYWORDS.contains(&known), "{known} in {schema}"),
            }
        }
    }
}

#[test]
fn message_shortens_long_values() {
    let text = format!("mode: {}", "é".repeat(1000));
    let expected =
        format!("2:7: mode: expected \"keepUser\" or \"off\", got \"{}...\"", "é".repeat(60));
    assert_eq!(check_own(&text), [expected]);
    assert_eq!(check_own(&format!("{}: 1", "x".repeat(500))).len(), 1);
}
