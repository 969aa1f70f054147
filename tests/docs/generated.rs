//! What is made of the code and committed. `ARC_ROCM_UPDATE=1 cargo test --test docs` writes it anew.

use std::{env, fmt::Write as _, fs};

use arc_rocm::profile::spec_schema;
use serde_json::Value;

use crate::root;

const REFERENCE: &str = "docs/profile-reference.md";
const UPDATE: &str = "ARC_ROCM_UPDATE";

const HEAD: &str = "# Reference of RunnerProfile

Every field, from the types that profiles are read with. This page is generated; [Profiles](profiles.md)
explains how the fields work together.

`apiVersion` is `arc-rocm.dev/v1alpha1`, `kind` is `RunnerProfile`. `null` is an absent value; `remove` takes
an inherited one away. A type with a capital is Kubernetes' own, with [the fields that profiles
have](profiles.md#the-template).

| field | type | default | meaning |
|---|---|---|---|
";

/// A file of the repository is `text`, or becomes it.
fn assert_is(path: &str, text: &str) {
    let whole = root().join(path);
    if env::var_os(UPDATE).is_some() {
        fs::write(&whole, text).unwrap();
    }
    let there = fs::read_to_string(&whole).unwrap_or_default();
    assert!(there == text, "{path} is not up to date: {UPDATE}=1 cargo test --test docs writes it");
}

#[test]
fn the_reference_has_every_field_as_the_types_have_it() {
    let document = serde_json::to_value(spec_schema()).unwrap();
    let mut text = HEAD.to_owned();
    let mut rows = 0;
    fields(&document, &document, "", &mut text, &mut rows);
    assert!(rows > 60, "only {rows} fields");
    assert_is(REFERENCE, &text);
}

/// A row for each field of an object's schema, and for the fields of our own types inside it.
fn fields(document: &Value, schema: &Value, prefix: &str, text: &mut String, rows: &mut usize) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, field) in schema["properties"].as_object().unwrap() {
        let path = format!("{prefix}{name}");
        let said = field["description"].as_str().unwrap_or_default().replace('\n', " ");
        assert!(!said.is_empty(), "nothing is said of {path}");
        let (said, default) = split(&said);
        let default = if required.contains(&Value::from(name.as_str())) {
            "required".to_owned()
        } else {
            default
        };
        let (kind, inner) = kind(document, field);
        writeln!(text, "| `{path}` | {kind} | {default} | {said} |").unwrap();
        *rows += 1;
        if let Some(inner) = inner {
            let list = if kind.starts_with("list") { "[]" } else { "" };
            fields(document, inner, &format!("{path}{list}."), text, rows);
        }
    }
}

/// The text without its sentence on the default, and the default.
fn split(said: &str) -> (String, String) {
    let Some((before, rest)) = said.split_once("Default") else {
        return (said.to_owned(), String::new());
    };
    // A full stop ends the sentence where a space or nothing follows.
    let (default, after) =
        rest.split_once(". ").unwrap_or_else(|| (rest.trim_end_matches('.'), ""));
    let default = default.trim_start_matches(':').trim().to_owned();
    (format!("{before}{after}").trim().to_owned(), default)
}

/// A field's type in words, and the schema of our own type in it.
fn kind<'d>(document: &'d Value, field: &'d Value) -> (String, Option<&'d Value>) {
    if let Some(reference) = field["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        if let Some((_, short)) =
            name.rsplit_once("io.k8s.").map(|(_, path)| path.rsplit_once('.').unwrap())
        {
            return (short.to_owned(), None);
        }
        let own = document["$defs"].get(name).unwrap();
        if let Some(words) = own["oneOf"].as_array() {
            let words: Vec<String> =
                words.iter().map(|word| format!("`{}`", word["const"].as_str().unwrap())).collect();
            return (words.join(" or "), None);
        }
        return ("object".to_owned(), Some(own));
    }
    if let Some(branch) = field["anyOf"].as_array().and_then(|all| all.first()) {
        return kind(document, branch);
    }
    let name = match &field["type"] {
        Value::Array(types) => types.first().and_then(Value::as_str).unwrap(),
        other => other.as_str().unwrap(),
    };
    match name {
        "array" => {
            let (item, inner) = kind(document, &field["items"]);
            (format!("list of {item}"), inner)
        }
        "integer" => {
            let range = [&field["minimum"], &field["maximum"]];
            match range.map(Value::as_i64) {
                [Some(low), Some(high)] => (format!("integer, {low} to {high}"), None),
                [Some(low), None] => (format!("integer, from {low}"), None),
                _ => ("integer".to_owned(), None),
            }
        }
        other => (other.to_owned(), None),
    }
}

#[test]
fn crd_command_prints_the_definition_of_the_chart() {
    let chart = "deploy/helm/arc-rocm/crds/runnerprofiles.arc-rocm.dev.yaml";
    let printed =
        std::process::Command::new(env!("CARGO_BIN_EXE_arc-rocm")).arg("crd").output().unwrap();
    assert_eq!(
        String::from_utf8(printed.stdout).unwrap(),
        fs::read_to_string(root().join(chart)).unwrap()
    );
}
