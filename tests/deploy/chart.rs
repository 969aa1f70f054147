//! What holds for every installation, read from the chart's committed renders. `deploy/check` keeps the
//! renders equal to the chart.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    process::{Command, Stdio},
};

use arc_rocm::{
    podspec::Quantity,
    server::limits::{
        HARD_STOP, HEAVY_REVIEWS, LARGE_BODIES, MAX_CONNECTIONS, MAX_NEW_CONNECTIONS,
        SHUTDOWN_GRACE, SMALL_BODY,
    },
};
use k8s_openapi::{
    api::{
        admissionregistration::v1::{
            MutatingWebhookConfiguration, ValidatingAdmissionPolicy,
            ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
        },
        apps::v1::Deployment,
        core::v1::{ConfigMap, Namespace, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    },
    serde::{Serialize, de::DeserializeOwned},
};
use serde_json::{Value, json};

use crate::{ARC_ROCM, IMAGE, read, root};

/// The default values, for `kubectl apply`.
const INSTALL: &str = "deploy/install.yaml";
const CERT_MANAGER: &str = "deploy/helm/tests/golden/cert-manager.yaml";
const EVERYTHING: &str = "deploy/helm/tests/golden/everything.yaml";
const NO_API_SERVER: &str = "deploy/helm/tests/golden/no-api-server.yaml";
const RENDERS: [&str; 4] = [INSTALL, CERT_MANAGER, EVERYTHING, NO_API_SERVER];

fn objects(render: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(render)).unwrap()
}

fn of_kind<'o>(objects: &'o [Value], kind: &str) -> &'o Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap()
}

fn pod_spec(objects: &[Value]) -> &Value {
    &of_kind(objects, "Deployment")["spec"]["template"]["spec"]
}

fn args(objects: &[Value]) -> Vec<String> {
    let args = pod_spec(objects)["containers"][0]["args"].clone();
    serde_json::from_value(args).unwrap()
}

fn names(list: &Value) -> BTreeSet<&str> {
    list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

/// Through the type and back: what is lost is a field that the API server does not know.
fn assert_known<T: DeserializeOwned + Serialize>(object: &Value) {
    let typed: T = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(&serde_json::to_value(&typed).unwrap(), object);
}

#[test]
fn renders_have_only_known_fields() {
    for render in RENDERS {
        for object in &objects(render) {
            match object["kind"].as_str().unwrap() {
                "ClusterRole" => assert_known::<ClusterRole>(object),
                "ClusterRoleBinding" => assert_known::<ClusterRoleBinding>(object),
                "ConfigMap" => assert_known::<ConfigMap>(object),
                "Deployment" => assert_known::<Deployment>(object),
                "MutatingWebhookConfiguration" => {
                    assert_known::<MutatingWebhookConfiguration>(object);
                }
                "Namespace" => assert_known::<Namespace>(object),
                "NetworkPolicy" => assert_known::<NetworkPolicy>(object),
                "PodDisruptionBudget" => assert_known::<PodDisruptionBudget>(object),
                "Role" => assert_known::<Role>(object),
                "RoleBinding" => assert_known::<RoleBinding>(object),
                "Service" => assert_known::<Service>(object),
                "ServiceAccount" => assert_known::<ServiceAccount>(object),
                "ValidatingAdmissionPolicy" => assert_known::<ValidatingAdmissionPolicy>(object),
                "ValidatingAdmissionPolicyBinding" => {
                    assert_known::<ValidatingAdmissionPolicyBinding>(object);
                }
                "ValidatingWebhookConfiguration" => {
                    assert_known::<ValidatingWebhookConfiguration>(object);
                }
                // The API server of deploy/check-cluster knows their definitions.
                "Certificate" | "CustomResourceDefinition" | "Issuer" | "ServiceMonitor" => {}
                other => panic!("{render}: {other} is not covered"),
            }
        }
    }
}

#[test]
fn renders_have_no_secret_and_no_private_key() {
    for render in RENDERS {
        assert!(!read(render).contains("PRIVATE KEY"), "{render}");
        assert!(objects(render).iter().all(|object| object["kind"] != "Secret"), "{render}");
    }
}

/// The webhook's registration is applied last, so that no runner pod waits for a webhook that is not there.
#[test]
fn install_ends_with_the_registrations() {
    let objects = objects(INSTALL);
    let kinds: Vec<&str> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert!(
        kinds.ends_with(&["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]),
        "{kinds:?}"
    );
    assert_eq!(pod_spec(&objects)["containers"][0]["image"], IMAGE);
}

/// `vault-helm#580`, `gatekeeper#1045`: an upgrade that applies a `caBundle` undoes a rotation.
#[test]
fn ca_bundle_is_rendered_only_with_mode_secret() {
    for render in RENDERS {
        let objects = objects(render);
        for object in objects.iter().filter(|object| object["webhooks"].is_array()) {
            let client = object["webhooks"][0]["clientConfig"].as_object().unwrap();
            assert_eq!(client.contains_key("caBundle"), render == NO_API_SERVER, "{render}");
        }
    }
}

#[test]
fn token_is_mounted_only_if_a_feature_needs_it() {
    for render in RENDERS {
        let objects = objects(render);
        let has_kind = |kind: &str| objects.iter().any(|object| object["kind"] == kind);
        let calls = render != NO_API_SERVER;
        assert_eq!(pod_spec(&objects)["automountServiceAccountToken"], calls, "{render}");
        assert_eq!(of_kind(&objects, "ServiceAccount")["automountServiceAccountToken"], false);
        assert_eq!(has_kind("ClusterRole"), calls, "{render}");
        assert_eq!(has_kind("Role"), render == INSTALL, "{render}");
        if !calls {
            assert_eq!(of_kind(&objects, "NetworkPolicy")["spec"]["egress"], json!([]));
        }
    }
}

#[test]
fn account_may_write_only_its_own_objects() {
    for render in RENDERS {
        let objects = objects(render);
        let name = &of_kind(&objects, "Deployment")["metadata"]["name"];
        let rules = objects.iter().filter_map(|object| object["rules"].as_array()).flatten();
        for rule in rules {
            let by_name = match rule["resources"][0].as_str().unwrap() {
                // RBAC cannot limit `create` by name.
                "secrets" if rule["verbs"] == json!(["create"]) => Value::Null,
                "secrets" => json!(["arc-rocm-tls"]),
                "mutatingwebhookconfigurations" | "validatingwebhookconfigurations" => {
                    json!([name])
                }
                "runnerprofiles" => {
                    assert_eq!(rule["verbs"], json!(["list", "watch"]));
                    Value::Null
                }
                "runnerprofiles/status" => {
                    assert_eq!(rule["verbs"], json!(["patch"]));
                    Value::Null
                }
                "events" => {
                    assert_eq!(rule["verbs"], json!(["create"]));
                    Value::Null
                }
                other => panic!("{other} is not covered"),
            };
            assert_eq!(rule["resourceNames"], by_name, "{rule}");
            for verb in rule["verbs"].as_array().unwrap() {
                assert!(!["*", "delete", "deletecollection"].contains(&verb.as_str().unwrap()));
            }
            // Only a webhook that issues its certificate writes its registrations.
            let patches = rule["verbs"].as_array().unwrap().contains(&json!("patch"));
            let is_registration = rule["apiGroups"][0] == "admissionregistration.k8s.io";
            assert!(!(patches && is_registration) || render == INSTALL, "{render}: {rule}");
        }
    }
}

#[test]
fn names_and_selectors_match() {
    for render in RENDERS {
        let objects = objects(render);
        let deployment = of_kind(&objects, "Deployment");
        let name = &deployment["metadata"]["name"];
        let pod = &deployment["spec"]["template"];
        let labels = pod["metadata"]["labels"].as_object().unwrap();
        let service = of_kind(&objects, "Service");
        let spread = &pod["spec"]["topologySpreadConstraints"][0]["labelSelector"];
        let mut selectors = vec![
            &service["spec"]["selector"],
            &deployment["spec"]["selector"]["matchLabels"],
            &of_kind(&objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
            &spread["matchLabels"],
        ];
        let policy = objects.iter().find(|object| object["kind"] == "NetworkPolicy");
        selectors.extend(policy.map(|policy| &policy["spec"]["podSelector"]["matchLabels"]));
        for selector in selectors {
            let own =
                json!({"app.kubernetes.io/instance": name, "app.kubernetes.io/name": "arc-rocm"});
            assert_eq!(selector, &own, "{render}");
            assert!(own.as_object().unwrap().iter().all(|(key, value)| labels[key] == *value));
        }

        let container = &pod["spec"]["containers"][0];
        let ports = names(&container["ports"]);
        for port in [
            &service["spec"]["ports"][0]["targetPort"],
            &service["spec"]["ports"][1]["targetPort"],
            &container["readinessProbe"]["httpGet"]["port"],
            &container["livenessProbe"]["httpGet"]["port"],
        ] {
            assert!(ports.contains(port.as_str().unwrap()), "{render}: {port}");
        }
        let volumes = &pod["spec"]["volumes"];
        assert_eq!(names(&container["volumeMounts"]), names(volumes), "{render}");
        assert_eq!(&pod["spec"]["serviceAccountName"], name, "{render}");

        for registration in objects.iter().filter(|object| object["webhooks"].is_array()) {
            let target = &registration["webhooks"][0]["clientConfig"]["service"];
            assert_eq!(&target["name"], name, "{render}");
            assert_eq!(target["namespace"], service["metadata"]["namespace"], "{render}");
            assert_eq!(target["port"], service["spec"]["ports"][0]["port"], "{render}");
        }
    }
}

/// tektoncd/pipeline#3654: with `minAvailable: 1` a single replica blocks a drain for ever.
#[test]
fn disruption_budget_never_blocks_a_drain() {
    assert_eq!(of_kind(&objects(CERT_MANAGER), "Deployment")["spec"]["replicas"], 1);
    for render in RENDERS {
        let objects = objects(render);
        let budget = &of_kind(&objects, "PodDisruptionBudget")["spec"];
        assert_eq!(budget["maxUnavailable"], 1, "{render}");
        assert!(budget.get("minAvailable").is_none(), "{render}");
    }
}

/// The labels decide which pods the API server calls the webhook for.
#[test]
fn selector_matches_captured_runners() {
    let objects = objects(INSTALL);
    let webhook = &of_kind(&objects, "MutatingWebhookConfiguration")["webhooks"][0];
    let selector = &webhook["objectSelector"];
    for (name, is_runner) in [
        ("plain", true),
        ("experimental-plain", true),
        ("dind", true),
        ("listener", false),
        ("workflow", false),
    ] {
        let text = read(&format!("tests/fixtures/arc/{name}.pod.json"));
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

/// Azure/AKS#1771, aws-observability/helm-charts#350: AKS writes its own expressions into the
/// namespaceSelector of each registration without this mark, and the next server-side apply conflicts.
#[test]
fn registrations_opt_out_of_the_aks_enforcer() {
    for render in RENDERS {
        let objects = objects(render);
        let registrations: Vec<&Value> =
            objects.iter().filter(|object| object["webhooks"].is_array()).collect();
        assert_eq!(registrations.len(), if render == NO_API_SERVER { 1 } else { 2 }, "{render}");
        for registration in registrations {
            for list in ["labels", "annotations"] {
                let value = &registration["metadata"][list]["admissions.enforcer/disabled"];
                assert_eq!(value, "true", "{render}: {list}");
            }
        }
        // What the enforcer is for: an outage of the webhook affects no pod of the system.
        let webhook = &of_kind(&objects, "MutatingWebhookConfiguration")["webhooks"][0];
        let excluded = &webhook["namespaceSelector"]["matchExpressions"][0];
        assert_eq!(excluded["operator"], "NotIn", "{render}");
        let excluded = excluded["values"].as_array().unwrap();
        assert!(excluded.starts_with(&[json!("arc-rocm"), json!("kube-system")]), "{excluded:?}");
    }
}

/// cert-manager#3113, gatekeeper#1091: with an overlay network on EKS, the API server reaches only the
/// network of the nodes, where the ports have other users.
#[test]
fn host_network_has_dns_and_free_ports() {
    let everything = objects(EVERYTHING);
    let spec = pod_spec(&everything);
    assert_eq!(spec["hostNetwork"], true);
    assert_eq!(spec["dnsPolicy"], "ClusterFirstWithHostNet");
    let container = &spec["containers"][0];
    for (name, port, flag) in
        [("webhook", 18443, "--bind=[::]:18443"), ("admin", 18080, "--admin-bind=[::]:18080")]
    {
        let ports = container["ports"].as_array().unwrap();
        let found = ports.iter().find(|port| port["name"] == name).unwrap();
        assert_eq!(found["containerPort"], port);
        assert!(args(&everything).iter().any(|arg| arg == flag), "no {flag}");
    }
    // The nodes may have no port left for one more pod.
    let strategy = |objects: &[Value]| {
        of_kind(objects, "Deployment")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"]
            .clone()
    };
    assert_eq!(strategy(&everything), 1);
    let default = objects(INSTALL);
    assert_eq!(strategy(&default), 0);
    assert!(pod_spec(&default).get("hostNetwork").is_none());
}

/// nginx/nginx-gateway-fabric#3765: in an IPv6-only cluster an IPv4 address is never reached. The
/// Service gets the cluster's own family, and the program listens on both.
#[test]
fn renders_name_no_address_family() {
    for render in RENDERS {
        let objects = objects(render);
        for arg in args(&objects) {
            assert!(!arg.contains("0.0.0.0") && !arg.contains("127.0.0.1"), "{render}: {arg}");
        }
        let service = &of_kind(&objects, "Service")["spec"];
        for field in ["ipFamilies", "ipFamilyPolicy", "clusterIP"] {
            assert!(service.get(field).is_none(), "{render}: {field}");
        }
    }
}

/// goharbor/harbor-helm#874, renovatebot/helm-charts#1701: `OpenShift` chooses user and group from a
/// range of the namespace, and refuses others.
#[test]
fn pods_leave_the_user_to_image_and_platform() {
    for render in [INSTALL, CERT_MANAGER, NO_API_SERVER] {
        let objects = objects(render);
        let spec = pod_spec(&objects);
        let container = &spec["containers"][0];
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{render}");
        for context in [&spec["securityContext"], &container["securityContext"]] {
            for field in ["runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"] {
                assert!(context.get(field).is_none(), "{render}: {field}");
            }
        }
        // Without fsGroup the files have to be readable for any user: the default mode.
        for volume in spec["volumes"].as_array().unwrap() {
            for source in ["secret", "configMap"] {
                assert!(volume[source].get("defaultMode").is_none(), "{render}: {volume}");
            }
        }
    }
    // `null` takes a default away.
    let everything = objects(EVERYTHING);
    let spec = pod_spec(&everything);
    assert_eq!(spec["securityContext"], json!({"runAsNonRoot": true, "runAsUser": 1000}));
    assert!(spec["containers"][0].get("securityContext").is_none());
}

#[test]
fn common_labels_are_on_every_object() {
    let objects = objects(EVERYTHING);
    assert!(objects.len() > 12, "{}", objects.len());
    let pod = &of_kind(&objects, "Deployment")["spec"]["template"];
    for object in objects.iter().chain([pod]) {
        let metadata = &object["metadata"];
        assert_eq!(metadata["labels"]["team"], "ci", "{}", object["kind"]);
        assert_eq!(metadata["annotations"]["note"], "on: off", "{}", object["kind"]);
        // A common label does not replace one of a selector.
        assert_eq!(metadata["labels"]["app.kubernetes.io/name"], "arc-rocm");
    }
}

#[test]
fn arguments_parse_and_pods_have_time_to_drain() {
    for render in RENDERS {
        let objects = objects(render);
        // Without a cluster and without files, a correct command line gets as far as those.
        let mut command = Command::new(ARC_ROCM);
        command.args(args(&objects)).env_clear().env("KUBECONFIG", "/nowhere");
        let output = command.stdin(Stdio::null()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{render}: {stderr}");
        for usage in ["unexpected argument", "invalid value", "cannot be used with", "required"] {
            assert!(!stderr.contains(usage), "{render}: {stderr}");
        }
        assert!(stderr.contains("/etc/arc-rocm/") || stderr.contains("cluster"), "{stderr}");
        let grace = pod_spec(&objects)["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(grace > (SHUTDOWN_GRACE + HARD_STOP).as_secs(), "{render}: {grace}");
    }
}

#[test]
fn memory_limit_covers_the_servers_limits() {
    // The sizes are those of limits.rs, with 16 MiB for the process itself.
    let connections = MAX_CONNECTIONS * (30 * 1024 + SMALL_BODY) + MAX_NEW_CONNECTIONS * 10 * 1024;
    let bodies = LARGE_BODIES * 2 + HEAVY_REVIEWS * (30 << 20);
    let needed = connections + bodies + (16 << 20);
    let objects = objects(INSTALL);
    let limit = &pod_spec(&objects)["containers"][0]["resources"]["limits"]["memory"];
    let limit = limit.as_str().unwrap().parse::<Quantity>().unwrap().whole().unwrap();
    assert!(limit >= needed as u64, "{limit} < {needed}");
}

/// What the kubelet mounts: nothing without the ConfigMap, and with it links into a hidden folder.
#[test]
fn profiles_volume_is_read_as_mounted() {
    let directory = tempfile::tempdir().unwrap();
    let explained = || {
        let output = Command::new(ARC_ROCM)
            .args(["explain", "--scale-set", "any-rocm", "--profiles"])
            .arg(directory.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(explained().contains("  profile    rocm (built-in): "));

    let everything = objects(EVERYTHING);
    let profiles = &of_kind(&everything, "ConfigMap")["data"];
    let data = directory.path().join("..2026_01_01");
    fs::create_dir(&data).unwrap();
    symlink("..2026_01_01", directory.path().join("..data")).unwrap();
    for (file, text) in profiles.as_object().unwrap() {
        let text = text.as_str().unwrap().replace("linux.rocm.gpu.*.{gpus}", "any-*");
        fs::write(data.join(file), text).unwrap();
        symlink(format!("..data/{file}"), directory.path().join(file)).unwrap();
    }
    assert!(explained().contains("  profile    pytorch ("), "{}", explained());
}

#[test]
fn release_has_every_file_that_the_readme_names() {
    let page = read("deploy/README.md");
    let mut files: Vec<&str> = page
        .split("/releases/latest/download/")
        .skip(1)
        .map(|rest| rest.split_whitespace().next().unwrap())
        .collect();
    files.sort_unstable();
    assert_eq!(files, ["install.yaml", "runnerprofiles.arc-rocm.dev.yaml"]);
    let bundle = read("deploy/release/bundle");
    for source in [INSTALL, "deploy/helm/arc-rocm/crds/runnerprofiles.arc-rocm.dev.yaml"] {
        assert!(root().join(source).is_file() && bundle.contains(source), "{source}");
    }
}
