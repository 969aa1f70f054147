//! What `arc-rocm manifests` prints: all of it for people to read, and that it fits together.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy knows test functions, not their helpers"
)]

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    process::{Command, Output, Stdio},
};

use k8s_openapi::{
    api::{
        admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
        apps::v1::Deployment,
        core::v1::{Namespace, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    },
    serde::{Serialize, de::DeserializeOwned},
};
use serde_json::{Value, json};

const CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/ca.crt");

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_arc-rocm"))
        .arg("manifests")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn manifests(arguments: &[&str]) -> String {
    let output = run(arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert_eq!(told, "");
    String::from_utf8(output.stdout).unwrap()
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

fn of<'d>(documents: &'d [Value], kind: &str) -> &'d Value {
    documents.iter().find(|document| document["kind"] == kind).unwrap()
}

/// The text without our version, which changes with every release.
fn stable(text: &str) -> String {
    text.replace(&format!(":{}", arc_rocm::VERSION), ":VERSION")
}

#[test]
fn manifests_for_a_cluster() {
    insta::assert_snapshot!(stable(&manifests(&[])));
}

#[test]
fn manifests_with_certificates_from_files() {
    insta::assert_snapshot!(stable(&manifests(&["--ca", CA])));
}

/// The image that both name is of the program's version, so that neither installs another's.
#[test]
fn kustomization_is_the_default_render() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kustomize/arc-rocm.yaml");
    let committed = fs::read_to_string(path).unwrap();
    let (_, committed) = committed.split_once('\n').unwrap();
    assert_eq!(committed, manifests(&[]), "deploy/render was not run");
}

#[test]
fn manifests_with_a_url() {
    let url = "https://ci.example:8443/mutate";
    let arguments = ["--ca", CA, "--url", url, "--failure-policy", "Ignore"];
    insta::assert_snapshot!(manifests(&arguments));
}

/// What needs no API server gets no token, and what has one has it for a reason.
#[test]
fn service_account_token_is_mounted_only_if_needed() {
    for (arguments, mounted) in [(&[][..], true), (&["--ca", CA], false)] {
        let documents = documents(&manifests(arguments));
        let spec = &of(&documents, "Deployment")["spec"]["template"]["spec"];
        assert_eq!(spec["automountServiceAccountToken"], mounted);
        assert_eq!(of(&documents, "ServiceAccount")["automountServiceAccountToken"], false);
        let is_there = |kind: &str| documents.iter().any(|document| document["kind"] == kind);
        assert_eq!(is_there("Role"), mounted);
        assert_eq!(is_there("ClusterRole"), mounted);
    }
}

/// `vault-helm#580`, `gatekeeper#1045`: a caBundle that is applied anew undoes a rotation.
#[test]
fn ca_bundle_is_not_applied_with_own_certificates() {
    let documents = documents(&manifests(&[]));
    let webhook = &of(&documents, "MutatingWebhookConfiguration")["webhooks"][0];
    let client = webhook["clientConfig"].as_object().unwrap();
    assert_eq!(client.keys().collect::<Vec<_>>(), ["service"]);
}

#[test]
fn service_account_may_write_only_its_own_objects() {
    let documents = documents(&manifests(&["--name", "rocm-two", "--tls-secret", "pair"]));
    let rules = |kind: &str| of(&documents, kind)["rules"].as_array().unwrap().clone();
    for rule in rules("Role").into_iter().chain(rules("ClusterRole")) {
        let names = match rule["resources"][0].as_str().unwrap() {
            // It cannot be limited by name.
            "secrets" if rule["verbs"] == json!(["create"]) => Value::Null,
            "secrets" => json!(["pair"]),
            "mutatingwebhookconfigurations" | "validatingwebhookconfigurations" => {
                json!(["rocm-two"])
            }
            "runnerprofiles" => {
                assert_eq!(rule["verbs"], json!(["list", "watch"]));
                Value::Null
            }
            "runnerprofiles/status" => Value::Null,
            "events" => {
                assert_eq!(rule["verbs"], json!(["create"]));
                Value::Null
            }
            other => panic!("{other} is not covered"),
        };
        assert_eq!(rule["resourceNames"], names, "{rule}");
        for verb in rule["verbs"].as_array().unwrap() {
            assert!(!["*", "delete", "deletecollection"].contains(&verb.as_str().unwrap()));
        }
    }
}

#[test]
fn manifests_are_reproducible() {
    assert_eq!(manifests(&[]), manifests(&[]));
    assert_eq!(manifests(&["-o", "json"]), manifests(&["-o", "json"]));
}

#[test]
fn list_has_all_documents() {
    let list: Value = serde_json::from_str(&manifests(&["-o", "json"])).unwrap();
    assert_eq!(list["kind"], "List");
    assert_eq!(list["items"], json!(documents(&manifests(&[]))));
}

/// Through the type and back: what is lost is a field that the API server would not know.
fn same<T: DeserializeOwned + Serialize>(document: &Value) {
    let typed: T = serde_json::from_value(document.clone()).unwrap();
    assert_eq!(&serde_json::to_value(&typed).unwrap(), document);
}

#[test]
fn manifests_have_only_known_fields() {
    let arguments = ["--arc-controller-user", "system:serviceaccount:arc:yes"];
    for (arguments, count) in [(&arguments[..], 12), (&["--ca", CA], 7)] {
        let mut documents = documents(&manifests(arguments));
        // Its own types have their own tests.
        documents.retain(|document| document["kind"] != "CustomResourceDefinition");
        for document in &documents {
            match document["kind"].as_str().unwrap() {
                "Namespace" => same::<Namespace>(document),
                "NetworkPolicy" => same::<NetworkPolicy>(document),
                "ServiceAccount" => same::<ServiceAccount>(document),
                "Role" => same::<Role>(document),
                "RoleBinding" => same::<RoleBinding>(document),
                "ClusterRole" => same::<ClusterRole>(document),
                "ClusterRoleBinding" => same::<ClusterRoleBinding>(document),
                "Deployment" => same::<Deployment>(document),
                "Service" => same::<Service>(document),
                "PodDisruptionBudget" => same::<PodDisruptionBudget>(document),
                "MutatingWebhookConfiguration" => same::<MutatingWebhookConfiguration>(document),
                "ValidatingWebhookConfiguration" => {
                    same::<ValidatingWebhookConfiguration>(document);
                }
                other => panic!("{other} is not covered"),
            }
        }
        assert_eq!(documents.len(), count);
    }
}

#[test]
fn names_and_selectors_match() {
    let arguments =
        ["--ca", CA, "--name", "rocm-two", "--namespace", "infra", "--tls-secret", "pair"];
    let documents = documents(&manifests(&arguments));
    let deployment = of(&documents, "Deployment");
    let pod = &deployment["spec"]["template"];
    let labels = &pod["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/instance"], "rocm-two");
    let service = of(&documents, "Service");
    let budget = of(&documents, "PodDisruptionBudget");
    let spread = &pod["spec"]["topologySpreadConstraints"][0]["labelSelector"];
    for selector in [
        &service["spec"]["selector"],
        &deployment["spec"]["selector"]["matchLabels"],
        &budget["spec"]["selector"]["matchLabels"],
        &spread["matchLabels"],
    ] {
        assert_eq!(selector, labels);
    }

    let container = &pod["spec"]["containers"][0];
    let ports: BTreeSet<&str> = container["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["name"].as_str().unwrap())
        .collect();
    for port in [
        &service["spec"]["ports"][0]["targetPort"],
        &container["readinessProbe"]["httpGet"]["port"],
        &container["livenessProbe"]["httpGet"]["port"],
    ] {
        assert!(ports.contains(port.as_str().unwrap()), "{port}");
    }
    let names = |list: &Value| -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|item| item["name"].to_string()).collect()
    };
    let volumes = &pod["spec"]["volumes"];
    assert_eq!(names(&container["volumeMounts"]), names(volumes));
    assert_eq!(volumes[0]["secret"]["secretName"], "pair");

    let webhook = &of(&documents, "MutatingWebhookConfiguration")["webhooks"][0];
    let target = &webhook["clientConfig"]["service"];
    assert_eq!(target["name"], service["metadata"]["name"]);
    assert_eq!(target["port"], service["spec"]["ports"][0]["port"]);
    let excluded = &webhook["namespaceSelector"]["matchExpressions"][0]["values"];
    assert_eq!(excluded, &json!(["infra", "kube-system"]));
    let account = &of(&documents, "ServiceAccount")["metadata"]["name"];
    assert_eq!(&pod["spec"]["serviceAccountName"], account);
    let policy = of(&documents, "NetworkPolicy");
    assert_eq!(&policy["spec"]["podSelector"]["matchLabels"], labels);
    assert_eq!(policy["spec"]["egress"], json!([]), "nothing is called");
    for document in &documents {
        let metadata = &document["metadata"];
        match document["kind"].as_str().unwrap() {
            "Namespace" => assert_eq!(metadata["name"], "infra"),
            "MutatingWebhookConfiguration" => assert_eq!(metadata["name"], "rocm-two"),
            _ => assert_eq!(
                (&metadata["name"], &metadata["namespace"]),
                (&json!("rocm-two"), &json!("infra"))
            ),
        }
    }
}

/// The labels decide who is called for, and the captured pods are what there is to be called for.
#[test]
fn selector_matches_captured_runners() {
    let documents = documents(&manifests(&[]));
    let selector = &of(&documents, "MutatingWebhookConfiguration")["webhooks"][0]["objectSelector"];
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/arc");
    for (name, is_runner) in [
        ("plain", true),
        ("experimental-plain", true),
        ("dind", true),
        ("listener", false),
        ("workflow", false),
    ] {
        let text = fs::read_to_string(format!("{folder}/{name}.pod.json")).unwrap();
        let pod: Value = serde_json::from_str(&text).unwrap();
        let labels = pod["metadata"]["labels"].as_object().unwrap();
        let wanted = selector["matchLabels"].as_object().unwrap();
        let has_all = wanted.iter().all(|(key, value)| labels.get(key) == Some(value));
        assert_eq!(has_all, is_runner, "{name}");
        assert!(!labels.contains_key("arc-rocm.dev/inject"));
    }
    assert_eq!(
        selector["matchExpressions"],
        json!([{"key": "arc-rocm.dev/inject", "operator": "NotIn", "values": ["false"]}])
    );
}

#[test]
fn workload_arguments_parse_and_leave_time_to_drain() {
    let arguments = ["--ca", CA, "--arc-controller-user", "a,b", "--arc-controller-user", "c"];
    let documents = documents(&manifests(&arguments));
    let spec = &of(&documents, "Deployment")["spec"]["template"]["spec"];
    let args: Vec<&str> = spec["containers"][0]["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a.as_str().unwrap())
        .collect();
    assert!(
        args.ends_with(&[
            "--arc-controller-user=a",
            "--arc-controller-user=b",
            "--arc-controller-user=c"
        ]),
        "{args:?}"
    );
    // It gets as far as the certificate, which is not there.
    let output = Command::new(env!("CARGO_BIN_EXE_arc-rocm"))
        .args(&args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("/etc/arc-rocm/"), "{told}");
    let needed = arc_rocm::server::limits::SHUTDOWN_GRACE + arc_rocm::server::limits::HARD_STOP;
    assert!(spec["terminationGracePeriodSeconds"].as_u64().unwrap() > needed.as_secs());
}

/// What the kubelet mounts: nothing without the ConfigMap, and with it links into a hidden folder.
#[test]
fn profiles_volume_is_read_as_mounted() {
    let directory = tempfile::tempdir().unwrap();
    let explained = || {
        let output = Command::new(env!("CARGO_BIN_EXE_arc-rocm"))
            .args(["explain", "--scale-set", "any-rocm", "--profiles"])
            .arg(directory.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(explained().contains("  profile    rocm (built-in): "));

    let data = directory.path().join("..2026_01_01");
    fs::create_dir(&data).unwrap();
    let text = "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {name: ours}\n\
                spec: {extends: rocm, match: {}}\n";
    fs::write(data.join("ours.yaml"), text).unwrap();
    symlink("..2026_01_01", directory.path().join("..data")).unwrap();
    symlink("..data/ours.yaml", directory.path().join("ours.yaml")).unwrap();
    assert!(explained().contains("  profile    ours ("));
}

#[test]
fn private_key_beside_the_certificate_is_not_published() {
    let directory = tempfile::tempdir().unwrap();
    let issued = arc_rocm::certs::issue(&[], 1).unwrap();
    let path = directory.path().join("both.pem");
    fs::write(&path, format!("{}{}", issued.key, issued.ca)).unwrap();
    let output = run(&["--ca", path.to_str().unwrap(), "-o", "json"]);
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let items = list["items"].as_array().unwrap();
    let bundle =
        &of(items, "MutatingWebhookConfiguration")["webhooks"][0]["clientConfig"]["caBundle"];
    let bundle = base64_of(bundle.as_str().unwrap());
    assert_eq!(bundle, issued.ca.replace("\r\n", "\n"));
}

fn base64_of(text: &str) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap()
}

#[test]
fn invalid_arguments_exit_with_2_and_a_reason() {
    let fails = |arguments: &[&str], wanted: &str| {
        let output = run(arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(wanted), "{arguments:?}: {told}");
        assert!(output.stdout.is_empty());
    };
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    fails(&["--url", "https://ci.example/mutate"], "--ca");
    fails(&["--tls-secret", "a_b"], "lower-case");
    fails(&["--profiles-configmap", ""], "lower-case");
    fails(&["--ca", "/nowhere/ca.crt"], "/nowhere/ca.crt");
    fails(&["--ca", manifest], "it has no CERTIFICATE");
    fails(&["--ca", CA, "--url", "http://ci.example/mutate"], "https://");
    fails(&["--ca", CA, "--url", "https://ci.example/mutate?x=1"], "no query");
    fails(&["--ca", CA, "--url", "https://ci.example"], "/mutate");
    fails(&["--ca", CA, "--url", "https://ci.example/mutate", "--replicas", "3"], "--replicas");
    fails(&["--ca", CA, "--timeout", "31"], "1..=30");
    fails(&["--ca", CA, "--replicas", "0"], "--replicas");
    fails(&["--ca", CA, "--name", "Arc.Rocm"], "lower-case");
    fails(&["--ca", CA, "--arc-controller-user", "a{gpus}"], "--arc-controller-user");
}
