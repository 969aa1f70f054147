use k8s_openapi::api::core::v1::PodTemplateSpec;
use proptest::prelude::*;
use schemars::{json_schema, schema_for};

use super::*;
use crate::profile::source::documents;

mod own;

use own::Own;

/// The problems of `text` under `schema`, as the user sees them without the file.
fn check_text(text: &str, schema: &Schema) -> Vec<String> {
    let trees = documents("p", text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let problems = trees.iter().flat_map(|tree| check("p", tree, schema, &[]).problems);
    problems.map(|problem| problem.to_string().trim_start_matches("p:").to_owned()).collect()
}

fn check_template(text: &str) -> Vec<String> {
    check_text(text, &schema_for!(PodTemplateSpec))
}

const NOTHING: [&str; 0] = [];

#[test]
fn schema_accepts_a_real_overlay() {
    assert_eq!(
        check_template(
            r#"
metadata:
  labels: {a.b/c: "1"}
  annotations: {x: y-z}
spec:
  nodeSelector: {pytorch: "yes"}
  hostNetwork: false
  terminationGracePeriodSeconds: 30
  runtimeClassName: null
  tolerations: [{key: amd-ci, operator: Equal, value: reserved, effect: NoSchedule}]
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In, values: [b]}]}]
  securityContext: {fsGroup: 1001, supplementalGroups: [44, 109]}
  containers:
    - name: runner
      args:
      env:
        - {name: HF_TOKEN, valueFrom: {secretKeyRef: {name: hf, key: token, optional: yes}}}
        - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
      resources: {limits: {cpu: 10, memory: 200000Mi, amd.com/gpu: "1"}, requests: {cpu: 0.5}}
      livenessProbe: {httpGet: {port: http, path: /}, initialDelaySeconds: 1.0}
      readinessProbe: {tcpSocket: {port: 8080}}
      volumeMounts: [{name: v, mountPath: /v, subPathExpr: $(POD)-docker}]
  volumes:
    - {name: v, emptyDir: {sizeLimit: 1Gi}}
    - {name: c, configMap: {name: c, defaultMode: 0644, items: []}}
    - {name: p, projected: {sources: [{serviceAccountToken: {path: token}}]}}
"#
        ),
        NOTHING
    );
}

#[test]
fn schema_accepts_null_and_absent_fields() {
    for text in ["{}", "spec:", "spec: {containers: ~}", "spec: {containers: [{name: a, env: ~}]}"]
    {
        assert_eq!(check_template(text), NOTHING, "{text}");
    }
}

#[test]
fn unknown_kubernetes_field_names_type_and_suggestion() {
    assert_eq!(
        check_template(
            "
spec:
  containers:
    - name: runner
      env:
        - name: A
          valueFrom:
            secretRef: {name: a}
      imagepullpolicy: Always
      resource: {}
      frobnicate: 1
  nodeselector: {}
mtadata: {}
"
        ),
        [
            "8:13: spec.containers[0].env[0].valueFrom.secretRef: unknown field of EnvVarSource \
             (the API server would drop it silently), did you mean \"secretKeyRef\"?",
            "8:13: spec.containers[0].env[0].valueFrom.secretRef.key: this field is required",
            "9:7: spec.containers[0].imagepullpolicy: unknown field of Container (the API server \
             would drop it silently), did you mean \"imagePullPolicy\"?",
            "10:7: spec.containers[0].resource: unknown field of Container (the API server would \
             drop it silently), did you mean \"resources\"?",
            "11:7: spec.containers[0].frobnicate: unknown field of Container (the API server \
             would drop it silently)",
            "12:3: spec.nodeselector: unknown field of PodSpec (the API server would drop it \
             silently), did you mean \"nodeSelector\"?",
            "13:1: mtadata: unknown field of PodTemplateSpec (the API server would drop it \
             silently), did you mean \"metadata\"?",
        ]
    );
}

#[test]
fn wrong_type_says_what_to_write() {
    assert_eq!(
        check_template(
            r#"
spec:
  hostNetwork: "true"
  terminationGracePeriodSeconds: "30"
  nodeSelector: {a: yes, b: 1.10, c: true, d: 0644}
  tolerations: {key: a}
  volumes: [a]
  containers:
    - name: 1
      command: sleep
      args: [60, on]
      env: {FOO: bar}
      ports: [{containerPort: 80.5}]
      stdin: 1
      workingDir: [a]
      lifecycle: x
"#
        ),
        [
            "3:16: spec.hostNetwork: expected true or false, got a string; write it without \
             quotes",
            "4:34: spec.terminationGracePeriodSeconds: expected an integer, got a string; write \
             it without quotes",
            "5:21: spec.nodeSelector.a: yes without quotes is a boolean to kubectl; write \"yes\"",
            "5:29: spec.nodeSelector.b: expected a string, got a number; put it in quotes",
            "5:38: spec.nodeSelector.c: expected a string, got a boolean; put it in quotes",
            "5:47: spec.nodeSelector.d: expected a string, got a number; put it in quotes",
            "6:16: spec.tolerations: expected a list, got a map; put \"- \" before each item",
            "7:13: spec.volumes[0]: expected a map, got a string",
            "9:13: spec.containers[0].name: expected a string, got a number; put it in quotes",
            "10:16: spec.containers[0].command: expected a list, got a string; put it in a list",
            "11:14: spec.containers[0].args[0]: expected a string, got a number; put it in quotes",
            "11:18: spec.containers[0].args[1]: on without quotes is a boolean to kubectl; write \
             \"on\"",
            "12:12: spec.containers[0].env: expected a list, got a map; write each as - {name: \
             ..., value: ...}",
            "13:31: spec.containers[0].ports[0].containerPort: expected an integer, got 80.5",
            "14:14: spec.containers[0].stdin: expected true or false, got a number",
            "15:19: spec.containers[0].workingDir: expected a string, got a list",
            "16:18: spec.containers[0].lifecycle: expected a map, got a string",
        ]
    );
}

#[test]
fn quantities_and_ports_take_strings_and_numbers() {
    let quantity = |text| {
        check_template(&format!(
            "spec: {{containers: [{{name: a, resources: {{limits: {{cpu: {text}}}}}}}]}}"
        ))
    };
    for text in ["1", "0.5", "500m", "\"1\"", "1e3", "~"] {
        assert_eq!(quantity(text), NOTHING, "{text}");
    }
    let path = "spec.containers[0].resources.limits.cpu";
    assert_eq!(
        quantity("true"),
        [format!("1:57: {path}: expected a number or a string, got a boolean")]
    );
    assert_eq!(
        quantity("[]"),
        [format!("1:57: {path}: expected a number or a string, got a list")]
    );
    let port = |text| {
        check_template(&format!(
            "spec: {{containers: [{{name: a, livenessProbe: {{tcpSocket: {{port: {text}}}}}}}]}}"
        ))
    };
    for text in ["80", "http", "\"80\""] {
        assert_eq!(port(text), NOTHING, "{text}");
    }
    assert_eq!(
        port("1.5"),
        ["1:65: spec.containers[0].livenessProbe.tcpSocket.port: expected an integer or a \
             string, got 1.5"]
    );
}

#[test]
fn integer_outside_its_format_is_refused() {
    assert_eq!(
        check_template(
            "
spec:
  priority: 3000000000
  terminationGracePeriodSeconds: 3000000000
  containers: [{name: a, ports: [{containerPort: -3000000000}]}]
"
        ),
        [
            "3:13: spec.priority: expected a number from -2147483648 to 2147483647, got 3000000000",
            "5:50: spec.containers[0].ports[0].containerPort: expected a number from -2147483648 \
             to 2147483647, got -3000000000",
        ]
    );
}

#[test]
fn required_field_missing_is_reported_at_map() {
    assert_eq!(
        check_template(
            "
spec:
  containers:
    - image: x
    - name: b
      env:
        - value: x
      volumeMounts: [{name: v}]
      livenessProbe:
        tcpSocket: {}
"
        ),
        [
            "4:7: spec.containers[0].name: this field is required",
            "7:11: spec.containers[1].env[0].name: this field is required",
            "8:22: spec.containers[1].volumeMounts[0].mountPath: this field is required",
            "10:9: spec.containers[1].livenessProbe.tcpSocket.port: this field is required",
        ]
    );
}

#[test]
fn problem_in_part_has_whole_path() {
    let tree = &documents("f.yaml", "spec: {template: {spec: {x: 1}}}").unwrap()[0];
    let template = tree.get("spec").unwrap().get("template").unwrap();
    let prefix = ["spec", "template"].map(|key| Segment::Key(key.to_owned()));
    let problems = check("f.yaml", template, &schema_for!(PodTemplateSpec), &prefix).problems;
    assert_eq!(
        problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["f.yaml:1:26: spec.template.spec.x: unknown field of PodSpec (the API server would \
             drop it silently)"]
    );
}

#[test]
fn schema_without_keywords_accepts_anything() {
    for schema in [
        json_schema!({}),
        json_schema!(true),
        json_schema!({"$ref": "#/$defs/missing"}),
        json_schema!({"type": "object"}),
        json_schema!({"type": ["object", "null"], "additionalProperties": true}),
        json_schema!({"type": "nonsense", "enum": 1, "items": 2, "required": 3, "properties": 4, "anyOf": 5}),
    ] {
        assert_eq!(check_text("a: [1, {b: x}]", &schema), NOTHING, "{schema:?}");
    }
}

#[test]
fn kubernetes_definitions_all_resolve() {
    let schema = schema_for!(PodTemplateSpec);
    let document = schema.as_value();
    let mut pending = vec![document];
    let mut seen = 0;
    while let Some(value) = pending.pop() {
        if value.get("$ref").is_some_and(Value::is_string) {
            let target = Target::resolve(document, value).unwrap();
            assert!(target.is_kubernetes(), "{value}");
            seen += 1;
        }
        match value {
            Value::Array(values) => pending.extend(values),
            Value::Object(fields) => pending.extend(fields.values()),
            _ => {}
        }
    }
    assert!(seen > 150, "{seen}");
}

proptest! {
    #[test]
    fn schema_check_of_any_text_never_panics(text in any::<String>()) {
        never_panics(&text);
    }

    #[test]
    fn schema_check_of_yaml_like_text_never_panics(
        pieces in prop::collection::vec(
            prop_oneof![
                "[ \n]{1,3}",
                Just("\n  ".to_owned()),
                Just("\n    - ".to_owned()),
                prop::sample::select(vec![
                    ": ", "- ", "? ", "{", "}", "[", "]", ", ", "&a ", "*a ", "<<: ", "!!str ", "!x ",
                    "|\n", ">-\n", "\"", "'", "#", "---\n", "...\n", "%YAML 1.2\n", "\t", "\r\n",
                    "spec", "containers", "name", "env", "value", "resources", "limits", "volumes",
                    "metadata", "yes", "~", "0644", "1.5", ".inf", "true", "\u{feff}", "é",
                ]).prop_map(str::to_owned),
            ],
            0..60,
        ),
    ) {
        never_panics(&pieces.concat());
    }
}

fn never_panics(text: &str) {
    thread_local! {
        static SCHEMAS: [Schema; 2] = [schema_for!(PodTemplateSpec), schema_for!(Own)];
    }
    for tree in documents("p", text).unwrap_or_default() {
        SCHEMAS.with(|schemas| {
            for schema in schemas {
                for problem in check("p", &tree, schema, &[]).problems {
                    assert!(problem.at.line > 0 && problem.at.column > 0, "{problem}");
                }
            }
        });
    }
}
