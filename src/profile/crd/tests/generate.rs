//! Makes the definition of the types that files are read with.

use schemars::{Schema, schema_for};
use serde_json::{Map, Value, json};

use crate::profile::{
    ProfileSet,
    schema::{
        self,
        target::{Kind, Target},
    },
    spec::{API_VERSION, GROUP, KIND, PLURAL},
    status::{ACCEPTED, RunnerProfileStatus},
};

/// The longest DNS subdomain, as names of objects are.
const NAME_LENGTH: usize = 253;
/// Most patterns of one list, and most shared volumes of one profile. Many times what a fleet has;
/// the API server wants to know how much a validation rule can cost.
const MOST_ITEMS: usize = 256;
/// The longest pattern: names of scale sets have at most 45 characters on GitHub and those of
/// objects at most 253.
const PATTERN_LENGTH: usize = 253;
/// The pattern of a DNS subdomain (apimachinery, `validation.IsDNS1123Subdomain`).
const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// The CustomResourceDefinition, as JSON.
pub(super) fn crd() -> Value {
    let name = format!("{PLURAL}.{GROUP}");
    let version = API_VERSION.rsplit_once('/').map_or(API_VERSION, |(_, version)| version);
    let condition = |field| format!(".status.conditions[?(@.type==\"{ACCEPTED}\")].{field}");
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": format!("{KIND}List"),
                "plural": PLURAL,
                "singular": KIND.to_lowercase(),
                "shortNames": ["rp"],
                "categories": ["arc-rocm"],
            },
            "scope": "Cluster",
            "versions": [{
                "name": version,
                "served": true,
                "storage": true,
                "additionalPrinterColumns": [
                    column("Priority", "integer", ".spec.priority"),
                    column("Extends", "string", ".spec.extends"),
                    column("Accepted", "string", &condition("status")),
                    column("Age", "date", ".metadata.creationTimestamp"),
                    wide(column("Message", "string", &condition("message"))),
                ],
                "schema": {"openAPIV3Schema": root()},
                "subresources": {"status": {}},
            }],
        },
    })
}

fn column(name: &str, kind: &str, path: &str) -> Value {
    json!({"name": name, "type": kind, "jsonPath": path})
}

/// A column of `kubectl get -o wide` alone.
fn wide(mut column: Value) -> Value {
    if let Value::Object(column) = &mut column {
        column.insert("priority".to_owned(), 1.into());
    }
    column
}

fn root() -> Value {
    let builtin = ProfileSet::builtin();
    let builtin: Vec<&str> = builtin.iter().map(|profile| profile.name.as_str()).collect();
    json!({
        "type": "object",
        "description": "What runner pods of some scale sets get.",
        "required": ["spec"],
        "properties": {
            "spec": spec(),
            "status": status(),
        },
        "x-kubernetes-validations": [
            rule(
                &format!("!(self.metadata.name in {builtin:?})").replace('"', "'"),
                "base and rocm are built-in profiles; give yours another name",
            ),
            rule(
                "!has(self.spec.extends) || self.spec.extends != self.metadata.name",
                "a profile cannot extend itself",
            ),
        ],
    })
}

fn rule(rule: &str, message: &str) -> Value {
    json!({"rule": rule, "message": message})
}

fn spec() -> Value {
    let mut spec = structural(schema::spec());
    let names = json!({"maxLength": NAME_LENGTH, "minLength": 1, "pattern": SUBDOMAIN});
    add(&mut spec, &["extends"], &names);
    add(&mut spec, &["priority"], &json!({"default": 0}));
    let patterns = ["scaleSets", "namespaces", "organizations", "repositories", "enterprises"];
    for list in patterns {
        let path = ["match", list];
        add(&mut spec, &path, &json!({"minItems": 1, "maxItems": MOST_ITEMS}));
        add(&mut spec, &["match", list, "items"], &json!({"maxLength": PATTERN_LENGTH}));
    }
    add(&mut spec, &["sharedVolumes"], &json!({"maxItems": MOST_ITEMS}));
    let sources = [
        "hostPath",
        "emptyDir",
        "persistentVolumeClaim",
        "ephemeral",
        "nfs",
        "csi",
        "configMap",
        "secret",
    ];
    let message = "a shared volume has one source";
    add(&mut spec, &["sharedVolumes", "items"], &at_most_one(&sources, message));
    let sources = ["emptyDir", "hostPath", "persistentVolumeClaim", "ephemeral"];
    let message = "a data root has at most one volume source";
    add(&mut spec, &["dind", "dataRoot"], &at_most_one(&sources, message));
    spec
}

/// A rule that only one of `fields` is given; one that is null is not.
fn at_most_one(fields: &[&str], message: &str) -> Value {
    let given: Vec<String> = fields.iter().map(|field| format!("has(self.{field})")).collect();
    let given = given.join(", ");
    json!({
        "x-kubernetes-validations": [
            rule(&format!("[{given}].filter(given, given).size() <= 1"), message),
        ],
    })
}

fn status() -> Value {
    let mut status = structural(&schema_for!(RunnerProfileStatus));
    let keys = json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]});
    add(&mut status, &["conditions"], &keys);
    status
}

/// Adds keywords to the schema at `path`, of properties and `items`.
fn add(schema: &mut Value, path: &[&str], keywords: &Value) {
    let mut at = schema;
    for step in path {
        let next = match *step {
            "items" => at.get_mut("items"),
            field => at.get_mut("properties").and_then(|fields| fields.get_mut(field)),
        };
        let Some(next) = next else { return };
        at = next;
    }
    if let (Value::Object(at), Value::Object(keywords)) = (at, keywords) {
        at.extend(keywords.clone());
    }
}

/// A schema that schemars made, as a structural one: without references and unions.
fn structural(schema: &Schema) -> Value {
    let document = schema.as_value();
    convert(document, document)
}

fn convert(document: &Value, schema: &Value) -> Value {
    let mut out = Map::new();
    let target = Target::resolve(document, schema);
    // What is said where a type is used comes before what is said of the type.
    let description = schema.get("description").or_else(|| target?.keywords.get("description"));
    if let Some(description) = description.and_then(Value::as_str) {
        out.insert("description".to_owned(), unwrapped(description).into());
    }
    let Some(target) = target else {
        out.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
        return out.into();
    };
    if target.is_int_or_string() {
        // A quantity may be a number with a fraction, which int-or-string would refuse.
        out.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
    } else if target.is_kubernetes() && target.short_name() != Some("Condition") {
        open(&target, &mut out);
    } else if let Some(allowed) = target.allowed() {
        out.insert("type".to_owned(), "string".into());
        out.insert("enum".to_owned(), allowed.into_iter().cloned().collect());
    } else if let Some(fields) = target.properties() {
        let required: Vec<&str> = target.required().collect();
        let fields = fields.iter().map(|(name, schema)| {
            let mut field = convert(document, schema);
            if let Value::Object(field) = &mut field
                && accepts_null(schema)
            {
                field.insert("nullable".to_owned(), true.into());
                // The API server refuses null for an enum, nullable or not and listed or not.
                if let Some(Value::Array(words)) = field.remove("enum") {
                    let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
                    field.insert("pattern".to_owned(), format!("^({})$", words.join("|")).into());
                }
            }
            (name.clone(), field)
        });
        out.insert("type".to_owned(), "object".into());
        out.insert("properties".to_owned(), fields.collect::<Map<_, _>>().into());
        if !required.is_empty() {
            out.insert("required".to_owned(), required.into());
        }
    } else if let Some(items) = target.items() {
        out.insert("type".to_owned(), "array".into());
        out.insert("items".to_owned(), convert(document, items));
    } else {
        scalar(&target, &mut out);
    }
    out.into()
}

/// A type of Kubernetes' own, of which only the kind is said.
fn open(target: &Target<'_>, out: &mut Map<String, Value>) {
    if target.kinds() == [Kind::String] {
        out.insert("type".to_owned(), "string".into());
        // `Time` is the only one.
        out.insert("format".to_owned(), "date-time".into());
    } else {
        out.insert("type".to_owned(), "object".into());
        out.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
    }
}

fn scalar(target: &Target<'_>, out: &mut Map<String, Value>) {
    let kind = match target.kinds().as_slice() {
        [Kind::String] => "string",
        [Kind::Boolean] => "boolean",
        [Kind::Integer] => {
            // The API server knows int32 and int64 alone; a narrower type is a range.
            let (low, high) = target.range();
            out.insert("format".to_owned(), "int64".into());
            if (low, high) != (i64::MIN, i64::MAX) {
                out.insert("minimum".to_owned(), low.into());
                out.insert("maximum".to_owned(), high.into());
            }
            "integer"
        }
        _ => {
            out.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
            return;
        }
    };
    out.insert("type".to_owned(), kind.into());
}

/// Whether a schema of a field names null: in a profile it takes an inherited value away.
fn accepts_null(schema: &Value) -> bool {
    let is_null = |schema: &Value| schema.get("type").and_then(Value::as_str) == Some("null");
    let types = schema.get("type").and_then(Value::as_array);
    let branches = schema.get("anyOf").and_then(Value::as_array);
    types.into_iter().flatten().any(|kind| kind == "null")
        || branches.into_iter().flatten().any(is_null)
}

/// A comment's lines as one.
fn unwrapped(text: &str) -> String {
    text.split('\n').map(str::trim).collect::<Vec<_>>().join(" ")
}
