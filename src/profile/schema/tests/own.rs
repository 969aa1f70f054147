//! Types like those of a profile, with every form that serde and schemars produce.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use super::{NOTHING, check_text};

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
    per_gpu: BTreeMap<String, Amount>,
    by_index: Option<BTreeMap<u32, bool>>,
    small: Option<u8>,
    count: Option<u32>,
    big: Option<u64>,
    ratio: Option<f64>,
    /// A list of items.
    #[serde(default)]
    list: Vec<Item>,
    inner: Option<Box<Self>>,
    template: Option<PodTemplateSpec>,
    tagged: Option<Tagged>,
    variant: Option<Variant>,
    anything: Option<Value>,
    pair: Option<(String, u8)>,
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
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Amount {
    Number(i64),
    Text(String),
    Full(Item),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Item {
    name: String,
    mount_path: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
enum Tagged {
    Disk { path: String },
    Memory { size: u32 },
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
enum Variant {
    None,
    HostPath(Item),
    Empty { size: u32 },
}

fn check_own(text: &str) -> Vec<String> {
    check_text(&format!("apiVersion: v1\n{text}"), &schema_for!(Own))
}

#[test]
fn own_types_accept_every_form() {
    assert_eq!(
        check_own(
            r#"
mode: keepUser
level: Low
perGpu: {cpu: "10", memory: 5, disk: {name: x, mountPath: /x}}
byIndex: {0: true, "1": false}
small: 255
count: 0
big: 9223372036854775807
ratio: 1
list: [{name: a}]
inner: {apiVersion: v2, inner: ~}
template: {spec: {containers: []}}
tagged: {kind: disk, path: /}
variant: none
anything: [{a: yes}]
pair: [a, 1]
"#
        ),
        NOTHING
    );
    assert_eq!(check_own("variant: {hostPath: {name: a}}\nratio: 0.5"), NOTHING);
    assert_eq!(check_own("mode: ~\nlevel: ~\nperGpu: ~\nlist: ~\ntagged: ~\nsmall: ~"), NOTHING);
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
        check_own("small: 256\ncount: -1\nbig: -1\nratio: x\npair: [1, 2]"),
        [
            "2:8: small: expected a number from 0 to 255, got 256",
            "3:8: count: expected a number from 0 to 4294967295, got -1",
            "4:6: big: expected at least 0, got -1",
            "5:8: ratio: expected a number, got a string",
        ]
    );
}

#[test]
fn union_reports_the_best_matching_branch() {
    assert_eq!(
        check_own(
            "perGpu: {a: {nam: x}, b: [], c: true, d: 1.5}\ntagged: {kind: memory, path: /}\ninner: {apiVersion: v1, variant: {hostPath: {}}}"
        ),
        [
            "2:14: perGpu.a.nam: unknown field, did you mean \"name\"?",
            "2:26: perGpu.b: expected an integer, a string or a map, got a list",
            "2:33: perGpu.c: expected an integer, a string or a map, got a boolean",
            "2:42: perGpu.d: expected an integer, a string or a map, got 1.5",
            "3:1: tagged.size: this field is required",
            "3:24: tagged.path: unknown field",
            "4:35: inner.variant.hostPath.name: this field is required",
        ]
    );
}

#[test]
fn union_wrong_word_lists_allowed_words() {
    assert_eq!(check_own("variant: nome"), ["2:10: variant: expected \"none\", got \"nome\""]);
}

#[test]
fn message_shortens_long_values() {
    let text = format!("mode: {}", "é".repeat(1000));
    let expected =
        format!("2:7: mode: expected \"keepUser\" or \"off\", got \"{}...\"", "é".repeat(60));
    assert_eq!(check_own(&text), [expected]);
    assert_eq!(check_own(&format!("{}: 1", "x".repeat(500))).len(), 1);
}
