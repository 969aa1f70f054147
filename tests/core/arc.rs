//! What ARC makes of values and objects, against pods, objects and names that were captured from it.

use arc_rocm::{
    arc::{Release, VERSION, next_runner_pod, runner_pod, scale_set},
    profile::source::documents,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{
    generate::{api_server::stored, list},
    properties::proptest_config,
    support::{fixtures, readable},
};

const CHAINS: [&str; 5] = ["plain", "dind", "kubernetes", "author-overrides", "experimental-plain"];
const VALUES: [&str; 6] = [
    "plain",
    "dind",
    "dind-regular-container",
    "kubernetes",
    "kubernetes-novolume",
    "author-overrides",
];

fn captured(name: &str) -> Value {
    let path = fixtures().join(format!("{name}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn yaml(text: &str) -> Value {
    documents("values.yaml", text).unwrap().remove(0).to_json()
}

/// The scale set of a values file beside the captured pods, with the release of the captured pod.
fn of_values(stem: &str) -> Value {
    let path = fixtures().join(format!("values/{stem}.yaml"));
    let values = yaml(&std::fs::read_to_string(path).unwrap());
    let pod = captured(&format!("{stem}.pod"));
    let name = pod["metadata"]["annotations"]["actions.github.com/runner-scale-set-name"].clone();
    let namespace = pod["metadata"]["namespace"].as_str().unwrap();
    let release = Release { name: name.as_str().unwrap(), namespace, version: "0.14.2" };
    scale_set(&values, &release).unwrap()
}

/// A pod without what ARC and the API server generate: hashes, the ends of names, and what admission
/// plugins add.
fn comparable(mut pod: Value) -> Value {
    stored(&mut pod);
    let metadata = pod["metadata"].as_object_mut().unwrap();
    metadata.remove("managedFields");
    metadata["ownerReferences"][0]["uid"] = json!("uid");
    metadata["labels"].as_object_mut().unwrap().remove("pod-template-hash");
    let annotations = metadata["annotations"].as_object_mut().unwrap();
    for generated in ["runner-spec-hash", "patch-id"] {
        annotations.remove(&format!("actions.github.com/{generated}"));
    }
    let spec = &mut pod["spec"];
    for field in ["containers", "initContainers"] {
        for container in list(spec, field) {
            list(container, "volumeMounts").retain(|mount| !is_token(mount));
            if container["startupProbe"]["initialDelaySeconds"] == 0 {
                let probe = container["startupProbe"].as_object_mut().unwrap();
                probe.remove("initialDelaySeconds");
            }
        }
    }
    list(spec, "volumes").retain(|volume| !is_token(volume));
    list(spec, "tolerations").retain(|one| one["effect"] != "NoExecute");
    for field in ["serviceAccount", "priority"] {
        spec.as_object_mut().unwrap().remove(field);
    }
    pod.as_object_mut().unwrap().remove("status");
    let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
    let (set, _) = name.split_once("-runner-").unwrap();
    let stem = set.rsplit_once('-').unwrap().0;
    let text = pod.to_string().replace(&name, &format!("{stem}-xxxxx-runner-xxxxx"));
    let proxy = format!("{stem}-xxxxx-xxxxxxxx-runner-proxy");
    let text = text.replace(&format!("{set}-754b578d-runner-proxy"), &proxy);
    let text = text.replace(&format!("{set}-xxxxxxxx-runner-proxy"), &proxy);
    serde_json::from_str(&text).unwrap()
}

fn is_token(item: &Value) -> bool {
    item["name"].as_str().unwrap().starts_with("kube-api-access-")
}

fn assert_same(made: Value, stem: &str, from: &str) {
    let pod = captured(&format!("{stem}.pod"));
    pretty(&comparable(made), &comparable(pod), &format!("{stem} from {from}"));
}

fn pretty(made: &Value, captured: &Value, what: &str) {
    assert!(made == captured, "{what}:\n{made:#}\nis not\n{captured:#}");
}

#[test]
fn arc_objects_give_the_captured_pod() {
    for stem in CHAINS {
        for kind in ["autoscalingrunnerset", "ephemeralrunnerset", "ephemeralrunner"] {
            let object = captured(&format!("objects/{kind}.{stem}"));
            assert_same(runner_pod(&object).unwrap(), stem, kind);
        }
    }
}

#[test]
fn arc_runner_gives_the_captured_name_and_owner() {
    let made = runner_pod(&captured("objects/ephemeralrunner.plain")).unwrap();
    let pod = captured("plain.pod");
    for field in ["name", "namespace", "ownerReferences"] {
        assert_eq!(made["metadata"][field], pod["metadata"][field]);
    }
}

#[test]
fn values_give_the_captured_pod() {
    for stem in VALUES {
        assert_same(next_runner_pod(&of_values(stem)), stem, "values");
    }
}

#[test]
fn values_give_the_captured_scale_set() {
    for stem in VALUES.into_iter().filter(|stem| CHAINS.contains(stem)) {
        let mut set = captured(&format!("objects/autoscalingrunnerset.{stem}"));
        let mut made = of_values(stem);
        for set in [&mut set, &mut made] {
            // ARC's controller reads these two from the URL.
            let labels = set["metadata"]["labels"].as_object_mut().unwrap();
            labels
                .retain(|key, _| !key.ends_with("/organization") && !key.ends_with("/repository"));
            // The API server stores amounts as text.
            let resources = &mut set["spec"]["template"]["spec"]["containers"][0]["resources"];
            if resources["requests"]["cpu"] == 4 {
                resources["requests"]["cpu"] = json!("4");
            } else if resources.is_null() {
                *resources = json!({});
            }
        }
        let parts = |set: &Value| {
            let metadata = &set["metadata"];
            let spec = &set["spec"];
            json!([
                metadata["name"],
                metadata["namespace"],
                metadata["labels"],
                spec["githubConfigUrl"],
                spec["proxy"],
                spec["template"],
            ])
        };
        pretty(&parts(&made), &parts(&set), stem);
    }
}

/// A template with a runner, a sidecar, containers of dind's names, and a volume of each mode's names.
const TEMPLATE: &str = "
githubConfigUrl: https://github.com/enterprises/acme
labels: {tier: gpu, number: 7, app.kubernetes.io/name: other, actions.github.com/other: x}
resourceMeta:
  ephemeralRunner: {labels: {from: runner-meta, team: loses}, annotations: {note: a}}
githubServerTLS:
  certificateFrom: {configMapKeyRef: {name: ca, key: ca.crt}}
  runnerMountPath: /certs//
template:
  metadata: {labels: {team: wins}, annotations: {arc-rocm.dev/gpus: \"2\"}}
  spec:
    restartPolicy: \"\"
    serviceAccountName: own
    initContainers: [{name: prepare, image: busybox}]
    containers:
      - {name: side, image: side:1}
      - {name: dind, image: own-dind:1}
      - name: runner
        image: own-runner:1
        futureField: {deep: [1]}
        env: [{name: DOCKER_HOST, value: tcp://own}, {name: NODE_EXTRA_CA_CERTS, value: /own}]
        volumeMounts: [{name: work, mountPath: /own-work}]
    volumes: [{name: cache, emptyDir: {}}, {name: work, hostPath: {path: /data}}]
";

/// The pod of [`TEMPLATE`] in a mode of the chart.
fn in_mode(mode: &str) -> String {
    let mut values = yaml(TEMPLATE);
    values["containerMode"] = json!({"type": mode});
    let release = Release { name: "my_set", namespace: "runners", version: VERSION };
    readable(&next_runner_pod(&scale_set(&values, &release).unwrap()))
}

macro_rules! modes {
    ($($name:ident: $mode:literal,)+) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(in_mode($mode));
        })+
    };
}

modes! {
    values_without_mode_keep_the_template: "",
    values_in_dind_mode_are_merged: "dind",
    values_in_kubernetes_mode_are_merged: "kubernetes",
    values_in_kubernetes_novolume_mode_are_merged: "kubernetes-novolume",
}

#[test]
fn values_that_helm_refuses_are_problems_with_their_path() {
    let release = Release { name: "set", namespace: "n", version: VERSION };
    for (text, path) in [
        ("template:\na: 1", "/template"),
        ("template: {spec: }", "/template/spec"),
        ("template: {spec: {containers: {name: a}}}", "/template/spec/containers"),
        ("template: {spec: {containers: [a]}}", "/template/spec/containers"),
        (
            "template: {spec: {containers: [{name: runner, env: {A: b}}]}}",
            "/template/spec/containers/0/env",
        ),
        ("template: {spec: {volumes: a}}", "/template/spec/volumes"),
        ("template: []", "/template"),
        ("containerMode: dind", "/containerMode"),
        (
            "githubServerTLS: {runnerMountPath: /a}",
            "/githubServerTLS/certificateFrom/configMapKeyRef/name",
        ),
        ("labels: [a]", "/labels"),
        ("resourceMeta: {autoscalingRunnerSet: a}", "/resourceMeta/autoscalingRunnerSet"),
        ("runnerScaleSetName: Upper", "/runnerScaleSetName"),
        (
            "runnerScaleSetName: a-name-of-forty-six-characters-is-one-too-many",
            "/runnerScaleSetName",
        ),
    ] {
        let problem = scale_set(&yaml(text), &release).expect_err(text);
        assert_eq!(problem.path, path, "{text}: {}", problem.message);
    }
    let longest = yaml("runnerScaleSetName: a_name_of_forty-five-characters-is-just-short");
    assert_eq!(longest["runnerScaleSetName"].as_str().unwrap().len(), 45);
    scale_set(&longest, &release).unwrap();
}

#[test]
fn values_null_takes_the_default_away() {
    let release = Release { name: "set", namespace: "n", version: VERSION };
    let set = scale_set(&yaml("template: {spec: {containers: }}"), &release).unwrap();
    assert_eq!(set["spec"]["template"]["spec"].get("containers"), None);
    let set = scale_set(&yaml("template: {spec: {nodeSelector: {a: b}}}"), &release).unwrap();
    assert_eq!(set["spec"]["template"]["spec"]["containers"][0]["name"], "runner");
}

#[test]
fn variables_of_the_controller_follow_its_version() {
    for (version, count) in [("0.12.1", 2), ("0.13.1", 2), ("0.14.0", 3), ("0.15.0", 3)] {
        let release = Release { name: "set", namespace: "n", version };
        let pod = next_runner_pod(&scale_set(&json!({}), &release).unwrap());
        let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
        assert_eq!(env.len(), count, "{version}");
        assert_eq!(env[1]["value"], format!("actions-runner-controller/{version}"));
    }
}

/// JSON with the chart's words, so that every branch is met with values of the wrong type too.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "runner",
        "dind",
        "work",
        "kubernetes",
        "template",
        "spec",
        "containers",
        "volumes",
        "initContainers",
        "env",
        "name",
        "volumeMounts",
        "containerMode",
        "type",
        "metadata",
        "labels",
        "githubServerTLS",
        "runnerMountPath",
        "resourceMeta",
        "proxy",
        "image",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        let member = (word.clone().prop_map(str::to_owned), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            prop::collection::vec(member, 0..6)
                .prop_map(|all| Value::Object(all.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A name and a value that the chart does not know.
fn own_fields() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![
        any::<i64>().prop_map(Value::from),
        "[a-z]{0,8}".prop_map(Value::from),
        prop::collection::vec("[a-z]{1,4}", 1..3).prop_map(|all| json!({"deep": all})),
    ];
    prop::collection::btree_map("own[A-Z][a-z]{1,6}", value, 0..4)
        .prop_map(|all| all.into_iter().collect())
}

proptest! {
    #![proptest_config(proptest_config())]

    #[test]
    fn values_of_any_shape_give_a_pod_or_a_problem(values in any_json(), name in ".{0,8}") {
        let release = Release { name: &name, namespace: "n", version: VERSION };
        if let Ok(set) = scale_set(&values, &release) {
            prop_assert_eq!(&next_runner_pod(&set)["kind"], "Pod");
        }
        runner_pod(&json!({"kind": "EphemeralRunner", "spec": values, "metadata": values}));
        runner_pod(&json!({"kind": "AutoscalingRunnerSet", "spec": values, "metadata": values}));
    }

    #[test]
    fn values_keep_every_field_of_the_template(
        pod in own_fields(),
        runner in own_fields(),
        side in own_fields(),
        mode in prop::sample::select(vec!["", "dind", "kubernetes", "kubernetes-novolume"]),
    ) {
        let container = |name: &str, fields: &Map<String, Value>| {
            let mut container = fields.clone();
            container.insert("name".to_owned(), json!(name));
            container
        };
        let containers = [container("side", &side), container("runner", &runner)];
        let mut spec = pod.clone();
        spec.insert("containers".to_owned(), json!(containers));
        spec.insert("initContainers".to_owned(), json!([containers[0]]));
        spec.insert("volumes".to_owned(), json!([containers[0]]));
        let values = json!({"containerMode": {"type": mode}, "template": {"spec": spec}});
        let release = Release { name: "set", namespace: "n", version: VERSION };
        let made = next_runner_pod(&scale_set(&values, &release).unwrap());
        let has = |there: &Value, fields: &Map<String, Value>| {
            fields.iter().all(|(key, value)| &there[key] == value)
        };
        prop_assert!(has(&made["spec"], &pod), "{made:#}");
        for (list, fields) in [
            ("containers", &containers[0]),
            ("containers", &containers[1]),
            ("initContainers", &containers[0]),
            ("volumes", &containers[0]),
        ] {
            let items = made["spec"][list].as_array().unwrap();
            let one = items.iter().filter(|item| item["name"] == fields["name"]);
            prop_assert!(one.clone().count() == 1 && one.clone().all(|one| has(one, fields)), "{made:#}");
        }
    }
}
