mod generate;

use std::{env, fs, path::Path};

use serde_json::{Value, json};

use self::generate::crd;
use super::CRD;

/// Half of what client-side `kubectl apply` can keep in its annotation, which is 262,144 bytes
/// (apimachinery, `TotalAnnotationSizeLimitB`).
const MOST_BYTES: usize = 150_000;

fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"))
}

fn of_spec(pointer: &str) -> Value {
    let crd = crd();
    let spec = at(&crd, "/spec/versions/0/schema/openAPIV3Schema/properties/spec");
    at(spec, pointer).clone()
}

/// Every schema inside `schema`, itself included.
fn all(schema: &Value) -> Vec<&Value> {
    let mut found = vec![schema];
    let fields = schema.get("properties").and_then(Value::as_object);
    for inner in fields.into_iter().flat_map(|fields| fields.values()).chain(schema.get("items")) {
        found.extend(all(inner));
    }
    found
}

/// prometheus-operator/prometheus-operator#4367: a larger one cannot be applied client-side.
#[test]
fn crd_fits_the_client_side_apply_annotation() {
    let size = crd().to_string().len();
    assert!(size < MOST_BYTES, "{size} bytes");
}

#[test]
fn crd_parts_have_type_or_are_open() {
    let crd = crd();
    let root = at(&crd, "/spec/versions/0/schema/openAPIV3Schema");
    let schemas = all(root);
    assert!(schemas.len() > 60, "{}", schemas.len());
    for schema in schemas {
        let is_open = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&true.into());
        assert!(schema.get("type").is_some_and(Value::is_string) || is_open, "{schema}");
        for keyword in ["$ref", "anyOf", "oneOf", "allOf", "const", "additionalProperties"] {
            assert!(schema.get(keyword).is_none(), "{keyword} in {schema}");
        }
    }
}

/// Null takes an inherited value away.
#[test]
fn crd_optional_fields_are_nullable() {
    let spec = of_spec("");
    for schema in all(&spec) {
        let required = schema.get("required").and_then(Value::as_array);
        let required: Vec<&Value> = required.into_iter().flatten().collect();
        let fields = schema.get("properties").and_then(Value::as_object);
        for (name, field) in fields.into_iter().flatten() {
            let is_required = required.contains(&&Value::from(name.as_str()));
            let is_nullable = field.get("nullable") == Some(&true.into());
            assert_ne!(is_required, is_nullable, "{name}");
        }
    }
}

#[test]
fn crd_opens_kubernetes_types_and_closes_own() {
    assert_eq!(of_spec("/properties/template/x-kubernetes-preserve-unknown-fields"), true);
    assert_eq!(of_spec("/properties/runner/properties/resources/type"), "object");
    let cpu = of_spec("/properties/gpu/properties/perGpu/properties/cpu");
    assert_eq!(cpu.get("type"), None);
    assert_eq!(of_spec("/properties/dind").get("x-kubernetes-preserve-unknown-fields"), None);
}

#[test]
fn crd_ranges_and_enums_follow_the_types() {
    let count = of_spec("/properties/gpu/properties/count");
    assert_eq!((&count["minimum"], &count["maximum"]), (&json!(0), &json!(64)));
    let priority = of_spec("/properties/priority");
    assert_eq!((&priority["minimum"], &priority["default"]), (&json!(i32::MIN), &json!(0)));
    assert_eq!(of_spec("/properties/kubernetesMode/pattern"), "^(Skip|Resources)$");
}

#[test]
fn crd_of_the_chart_follows_the_types() {
    let path = "deploy/helm/arc-rocm/crds/runnerprofiles.arc-rocm.dev.yaml";
    let text = serde_saphyr::to_string(&crd()).unwrap().trim_end().to_owned() + "\n";
    if env::var_os("ARC_ROCM_UPDATE").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), &text).unwrap();
    }
    assert!(
        CRD == text,
        "{path} is not up to date: ARC_ROCM_UPDATE=1 cargo test --lib crd writes it"
    );
    let read: Value = serde_saphyr::from_str(CRD).unwrap();
    assert_eq!(read, crd());
}
