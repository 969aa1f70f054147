use super::*;

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

#[test]
fn it_fits_into_the_annotation_of_client_side_apply_prometheus_operator_4367() {
    let size = crd().to_string().len();
    assert!(size < MOST_BYTES, "{size} bytes");
}

#[test]
fn every_part_has_a_type_or_is_open() {
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

#[test]
fn whatever_may_be_absent_may_be_null_because_null_takes_an_inherited_value_away() {
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
fn kubernetes_own_types_stay_open_and_ours_are_closed() {
    assert_eq!(of_spec("/properties/template/x-kubernetes-preserve-unknown-fields"), true);
    assert_eq!(of_spec("/properties/runner/properties/resources/type"), "object");
    let cpu = of_spec("/properties/gpu/properties/perGpu/properties/cpu");
    assert_eq!(cpu.get("type"), None);
    assert_eq!(of_spec("/properties/dind").get("x-kubernetes-preserve-unknown-fields"), None);
}

#[test]
fn ranges_and_words_are_those_of_the_types() {
    let count = of_spec("/properties/gpu/properties/count");
    assert_eq!((&count["minimum"], &count["maximum"]), (&json!(0), &json!(64)));
    let priority = of_spec("/properties/priority");
    assert_eq!((&priority["minimum"], &priority["default"]), (&json!(i32::MIN), &json!(0)));
    assert_eq!(of_spec("/properties/kubernetesMode/pattern"), "^(Skip|Resources)$");
}
