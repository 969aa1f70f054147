//! The start wrapper's options and environment variables from a profile's `start`.

use arc_rocm::scripts;
use serde_json::{Value, json};

use crate::{
    support::{Answered, ask_twice, config, review, with_pod, wrapped},
    validity::problems,
};

/// The plain runner's answer to a profile that extends the built-in one by `spec`.
fn answered(spec: &str, change: impl FnOnce(&mut Value)) -> Answered {
    let text = format!(
        "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: test}}\n\
         spec: {{extends: rocm, match: {{}}, {spec}}}\n"
    );
    let mut review = review("plain");
    change(review.pointer_mut("/request/object/spec/containers/0").unwrap());
    ask_twice(&review, &config(&text))
}

/// The wrapper's options, which stand between the script and the runner's command.
fn options(spec: &str) -> Vec<String> {
    let answered = answered(spec, |_| {});
    let command = answered.pod["spec"]["containers"][0]["command"].as_array().unwrap();
    let words = wrapped(command).unwrap().iter().map(|word| word.as_str().unwrap().to_owned());
    words.take_while(|word| word != "--").collect()
}

fn variable<'a>(answered: &'a Answered, name: &str) -> &'a Value {
    let env = answered.pod["spec"]["containers"][0]["env"].as_array().unwrap();
    let mut found = env.iter().filter(|variable| variable["name"] == name);
    let first = found.next().unwrap_or(&Value::Null);
    assert_eq!(found.next(), None, "{name} is there twice");
    first
}

#[test]
fn start_groups_are_passed_or_found_on_nodes() {
    for (spec, flags) in [
        ("start: {}", &["--group-add=110"][..]),
        ("groups: [109, 44]", &["--group-add=109", "--group-add=44"]),
        ("start: {groupAdd: [993]}", &["--group-add=993"]),
        ("start: {groupAdd: []}", &[]),
        ("remove: [/groups]", &["--group-add=nodes"]),
        ("remove: [/groups], start: {groupAdd: [993]}", &["--group-add=993"]),
    ] {
        let words = options(spec);
        let found: Vec<_> = words.iter().filter(|word| word.starts_with("--group-add")).collect();
        assert_eq!(found, flags, "{spec}");
    }
}

#[test]
fn start_script_has_the_parts_of_the_profile() {
    for (spec, parts) in [
        ("start: {}", &["docker", "rocr"][..]),
        ("start: {isolation: RocrIndices, cpuset: false}", &["docker", "rocr"]),
        ("start: {isolation: Empty}", &["docker"]),
        ("start: {cpuset: true}", &["cpuset", "docker", "rocr"]),
        ("start: {waitForDockerSeconds: 0}", &["rocr"]),
        ("start: {isolationEnv: {A: b}}", &["docker", "env", "rocr"]),
        ("remove: [/groups]", &["docker", "groups", "rocr"]),
        (
            "dind: {registryCredentials: {secretName: docker-hub}}",
            &["credentials", "docker", "rocr"],
        ),
    ] {
        let answered = answered(spec, |_| {});
        let script = answered.pod["spec"]["containers"][0]["command"][2].as_str().unwrap();
        let parts: Vec<_> = parts.iter().map(|part| (*part, true)).collect();
        assert_eq!(script, scripts::start(&parts), "{spec}");
    }
}

/// A text that has all parts does the same as one that has those of the profile.
#[test]
fn start_options_switch_parts_on() {
    for (spec, words) in [
        ("start: {}", &["--group-add=110", "--rocr", "--wait-for-docker=120"][..]),
        ("start: {isolation: Empty}", &["--group-add=110", "--wait-for-docker=120"]),
        (
            "start: {isolationEnv: {B: c, A: 'x y=z'}}",
            &["--group-add=110", "--rocr", "--env=A=x y=z", "--env=B=c", "--wait-for-docker=120"],
        ),
        (
            "start: {cpuset: true, waitForDockerSeconds: 0}",
            &["--group-add=110", "--cpuset", "--rocr", "--wait-for-docker=0"],
        ),
    ] {
        assert_eq!(options(spec), [&["--gpus=2"], words].concat(), "{spec}");
    }
}

#[test]
fn start_adds_cpu_request_but_no_gpu_variable() {
    let answered = answered("start: {}", |_| {});
    let reference = json!({"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1"}});
    assert_eq!(
        variable(&answered, "KUBE_CPU_REQUEST"),
        &json!({"name": "KUBE_CPU_REQUEST", "valueFrom": reference})
    );
    assert_eq!(variable(&answered, "ROCR_VISIBLE_DEVICES"), &Value::Null);
    assert_eq!(answered.warnings(), [""; 0]);
}

#[test]
fn start_disabled_adds_no_cpu_variable() {
    let answered = answered("start: {enabled: false}", |_| {});
    assert_eq!(variable(&answered, "KUBE_CPU_REQUEST"), &Value::Null);
    assert_ne!(variable(&answered, "POD_NAME"), &Value::Null);
}

#[test]
fn start_variables_of_pod_are_kept() {
    let own = json!([
        {"name": "KUBE_CPU_REQUEST", "value": "11.5"},
        {"name": "POD_NAME", "value": "mine"},
        {"name": "NODE_NAME", "value": "mine"},
    ]);
    let answered = answered("start: {}", |runner| runner["env"] = own.clone());
    for own in own.as_array().unwrap() {
        assert_eq!(variable(&answered, own["name"].as_str().unwrap()), own);
    }
    assert_eq!(answered.warnings().len(), 3, "{:?}", answered.warnings());
    for name in ["KUBE_CPU_REQUEST", "POD_NAME", "NODE_NAME"] {
        let warned = format!("arc-rocm: spec.containers[runner].env[{name}]: the pod's own value");
        assert!(answered.warnings().iter().any(|warning| warning.starts_with(&warned)), "{name}");
    }
}

#[test]
fn start_variable_of_profile_replaces_the_default() {
    let answered = answered("runner: {env: [{name: KUBE_CPU_REQUEST, value: '8'}]}", |_| {});
    assert_eq!(
        variable(&answered, "KUBE_CPU_REQUEST"),
        &json!({"name": "KUBE_CPU_REQUEST", "value": "8"})
    );
}

/// Found by the property tests: the first pass made the pod's init container a sidecar, and only
/// the second pass waited for its Docker.
#[test]
fn start_waits_for_docker_in_profile_sidecar() {
    let text = "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {name: test}\n\
                spec:\n  match: {}\n  start: {waitForDockerSeconds: 90}\n  template:\n    spec:\n      \
                initContainers:\n      - {name: logger, image: logger, restartPolicy: Always}\n";
    let mut review = review("plain");
    review["request"]["object"]["spec"]["initContainers"] =
        json!([{"name": "logger", "image": "docker:dind"}]);
    let answered = ask_twice(&review, &config(text));
    let pod = &answered.pod;
    assert_eq!(pod["spec"]["initContainers"][0]["restartPolicy"], "Always");
    let command = pod["spec"]["containers"][0]["command"].as_array().unwrap();
    assert!(command.contains(&json!("--wait-for-docker=90")), "{command:?}");
}

/// The condition that dind has a startup probe, for the runner pod with `change`.
fn has_probe(spec: &str, change: impl FnOnce(&mut Value)) -> bool {
    let text = format!(
        "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: test}}\n\
         spec: {{extends: rocm, match: {{}}, {spec}}}\n"
    );
    let mut review = review("plain");
    change(&mut review["request"]["object"]["spec"]);
    let answered = ask_twice(&review, &config(&text));
    assert_eq!(problems(&answered.pod), [""; 0]);
    let init = answered.pod["spec"]["initContainers"].as_array().unwrap();
    let probe = &init.iter().find(|one| one["name"] == "dind").unwrap()["startupProbe"];
    if !probe.is_null() && !spec.contains("startupProbe") {
        assert_eq!(probe["exec"]["command"][0], "/bin/sh");
        assert_eq!(probe["failureThreshold"], 15);
    }
    !probe.is_null()
}

#[test]
fn dind_has_no_probe_where_only_the_wrapper_waits() {
    assert!(!has_probe("start: {}", |_| {}));
    let own = |spec: &mut Value| {
        spec["initContainers"] = json!([{"name": "prepare", "image": "a:1"}]);
        spec["containers"][0]["command"] = json!(["sh", "-c", "exec /home/runner/run.sh"]);
        spec["containers"].as_array_mut().unwrap().push(json!({"name": "logs", "image": "a:1",
            "volumeMounts": [{"name": "work", "mountPath": "/work"}]}));
    };
    assert!(!has_probe("start: {waitForDockerSeconds: 5}", own));
}

#[test]
fn dind_has_a_probe_where_the_wrapper_does_not_wait() {
    assert!(has_probe("start: {enabled: false}", |_| {}));
    assert!(has_probe("start: {waitForDockerSeconds: 0}", |_| {}));
    // Without a command the image's entrypoint runs, and no wrapper.
    assert!(has_probe("start: {}", |spec| {
        spec["containers"][0]["image"] = "example.com/own:1".into();
        spec["containers"][0].as_object_mut().unwrap().remove("command");
    }));
}

#[test]
fn dind_has_a_probe_where_other_containers_use_docker() {
    let socket = json!({"name": "pull", "image": "docker:29-cli",
        "volumeMounts": [{"name": "dind-sock", "mountPath": "/run"}]});
    let variable = json!({"name": "pull", "image": "docker:29-cli",
        "env": [{"name": "DOCKER_HOST", "value": "tcp://localhost:2375"}]});
    for list in ["initContainers", "containers"] {
        for one in [&socket, &variable] {
            assert!(has_probe("start: {}", |spec| {
                let all = spec.as_object_mut().unwrap().entry(list).or_insert(json!([]));
                all.as_array_mut().unwrap().push(one.clone());
            }));
            let profile = format!("template: {{spec: {{{list}: [{one}]}}}}");
            assert!(has_probe(&profile, |_| {}), "{profile}");
        }
    }
    // The directory of the socket is a volume of the pod's own.
    assert!(has_probe("start: {}", |spec| {
        spec["volumes"] = json!([{"name": "run", "emptyDir": {}}]);
        spec["containers"][0]["volumeMounts"] = json!([{"name": "run", "mountPath": "/var/run"}]);
        spec["initContainers"] = json!([{"name": "pull", "image": "docker:29-cli",
            "volumeMounts": [{"name": "run", "mountPath": "/var/run"}]}]);
    }));
}

#[test]
fn dind_probe_of_profile_is_used() {
    let probe = "startupProbe: {tcpSocket: {port: 2375}}";
    assert!(has_probe(
        &format!("template: {{spec: {{initContainers: [{{name: dind, {probe}}}]}}}}"),
        |_| {}
    ));
}

/// Another webhook adds a container that uses Docker between two calls.
#[test]
fn dind_gets_a_probe_on_reinvocation() {
    let config = config(
        "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {name: test}\n\
         spec: {extends: rocm, match: {}}\n",
    );
    let review = review("plain");
    let mut pod = ask_twice(&review, &config).pod;
    let dind = |pod: &Value| {
        let init = pod["spec"]["initContainers"].as_array().unwrap();
        init.iter().find(|one| one["name"] == "dind").unwrap().clone()
    };
    assert_eq!(dind(&pod)["startupProbe"], Value::Null);
    pod["spec"]["initContainers"].as_array_mut().unwrap().push(json!({"name": "pull",
        "image": "docker:29-cli", "volumeMounts": [{"name": "dind-sock", "mountPath": "/run"}]}));
    let again = ask_twice(&with_pod(&review, pod), &config).pod;
    assert_eq!(dind(&again)["startupProbe"]["periodSeconds"], 1);
}
