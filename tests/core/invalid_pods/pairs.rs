//! Fields of a profile and of a pod that the API server accepts alone and refuses together. They
//! were found by sending generated pairs of fields to a real API server (1.36).

use serde_json::{Value, json};

use super::{answer, answer_runner, dind, over, over_template, runner};
use crate::support::Answered;

/// Checks that the field is left out and that a warning says so.
fn assert_left_out(answered: &Answered, field: &str, by: &str) {
    assert_eq!(answered.pod["spec"].get(field), None, "{field}");
    let warning = format!("arc-rocm: spec.{field}: left out, because the pod says {by}");
    assert!(answered.warnings().contains(&warning), "{:#?}", answered.warnings());
}

#[test]
fn host_ipc_beside_ipc_sysctls_is_left_out() {
    let config = over_template(&json!({"hostIPC": true}));
    for name in ["kernel.shm_rmid_forced", "kernel/sem", "fs.mqueue.msg_max"] {
        let answered = answer(&config, |pod| {
            pod["spec"]["securityContext"] = json!({"sysctls": [{"name": name, "value": "1"}]});
        });
        assert_left_out(&answered, "hostIPC", "sysctls of IPC");
    }
    let other = answer(&config, |pod| {
        pod["spec"]["securityContext"] =
            json!({"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]});
    });
    assert_eq!(other.pod["spec"]["hostIPC"], true);
}

#[test]
fn host_network_beside_conflicting_fields_is_left_out() {
    let config = over_template(&json!({"hostNetwork": true}));
    let sysctls = json!({"securityContext": {"sysctls": [{"name": "net.core.somaxconn",
        "value": "1"}]}});
    let ports = json!({"containers": [{"name": "a", "image": "x:1",
        "ports": [{"containerPort": 9100}]}, {"name": "b", "image": "x:1",
        "ports": [{"containerPort": 9100}]}]});
    for (own, by) in [
        (sysctls, "sysctls of the network"),
        (json!({"hostnameOverride": "ci"}), "hostnameOverride"),
        (ports, "one port for two containers"),
    ] {
        let answered = answer(&config, |pod| super::merge(&mut pod["spec"], own));
        assert_left_out(&answered, "hostNetwork", by);
    }
}

#[test]
fn port_shared_on_host_network_is_left_out() {
    let container =
        |name: &str| json!({"name": name, "image": "x:1", "ports": [{"containerPort": 9100}]});
    let config = over_template(&json!({"containers": [container("a"), container("b")]}));
    let ports = |answered: &Answered| -> Vec<usize> {
        let containers = answered.pod["spec"]["containers"].as_array().unwrap();
        let ports = containers.iter().filter(|one| one["name"] != "runner");
        ports.map(|one| one["ports"].as_array().map_or(0, Vec::len)).collect()
    };
    assert_eq!(ports(&answer(&config, |_| {})), [1, 1]);
    let on_host = answer(&config, |pod| pod["spec"]["hostNetwork"] = true.into());
    assert_eq!(ports(&on_host), [1, 0]);
}

#[test]
fn grace_period_below_sleep_is_left_out() {
    let config = over_template(&json!({"terminationGracePeriodSeconds": 10}));
    let sleep = |seconds: i64| json!({"lifecycle": {"preStop": {"sleep": {"seconds": seconds}}}});
    let answered = answer_runner(&config, sleep(20));
    assert_eq!(answered.pod["spec"]["terminationGracePeriodSeconds"], 30);
    let field = "spec.terminationGracePeriodSeconds";
    let warning = format!("arc-rocm: {field}: left out, because the pod says a preStop.sleep");
    assert!(answered.warnings().iter().any(|one| one.starts_with(&warning)));
    let shorter = answer_runner(&config, sleep(10));
    assert_eq!(shorter.pod["spec"]["terminationGracePeriodSeconds"], 10);
}

/// `metadata.annotations: Too long`.
#[test]
fn annotations_above_size_limit_are_left_out() {
    let config = over(&json!({"template": {"metadata": {"annotations": {"team": "rocm"}}}}));
    let size = |pod: &Value| -> usize {
        let annotations = pod["metadata"]["annotations"].as_object().unwrap();
        annotations.iter().map(|(key, value)| key.len() + value.as_str().unwrap().len()).sum()
    };
    let pad = |pod: &mut Value, bytes: usize| {
        let text = "x".repeat(bytes - size(pod) - 1);
        pod["metadata"]["annotations"]["x"] = text.into();
    };
    let full = |bytes: usize| answer(&config, |pod| pad(pod, bytes));
    let has =
        |answered: &Answered, key: &str| answered.pod["metadata"]["annotations"].get(key).is_some();
    let limit = 256 << 10;
    for (bytes, team, status) in
        [(limit, false, false), (limit - 8, true, false), (limit - 200, true, true)]
    {
        let answered = full(bytes);
        assert_eq!(has(&answered, "team"), team, "{bytes}");
        assert_eq!(has(&answered, "arc-rocm.dev/status"), status, "{bytes}");
        assert!(size(&answered.pod) <= limit, "{}", size(&answered.pod));
        let warnings = answered.warnings();
        let warned = warnings.iter().filter(|one| one.contains("metadata.annotations[")).count();
        assert_eq!(warned, usize::from(!team) + usize::from(!status), "{warnings:#?}");
    }
    // A status of an earlier version that has to stay counts as well.
    let kept = answer(&config, |pod| {
        pod["metadata"]["annotations"]["arc-rocm.dev/status"] = "{}".into();
        pad(pod, limit - 4);
    });
    assert!(!has(&kept, "team") && size(&kept.pod) <= limit, "{}", size(&kept.pod));
}

/// `must not already exist in volumeDevices`.
#[test]
fn volume_as_block_device_is_not_mounted() {
    let shared = json!([{"name": "cache", "mountPath": "/cache", "hostPath": {"path": "/mnt/c"}}]);
    let config = over(&json!({"sharedVolumes": shared}));
    for name in ["cache", "work"] {
        let answered = answer(&config, |pod| {
            let volume = json!({"name": name, "persistentVolumeClaim": {"claimName": "x"}});
            let device = json!([{"name": name, "devicePath": "/dev/xvda"}]);
            pod["spec"]["volumes"].as_array_mut().unwrap().push(volume);
            pod["spec"]["containers"][0]["volumeDevices"] = device;
        });
        let path = if name == "cache" { "/cache" } else { "/home/runner/_work" };
        assert_eq!(super::mounted(runner(&answered), path), &json!(format!("arc-rocm-{name}")));
    }
}

/// A limit beside a request that the LimitRanger filled in: the two must be equal.
#[test]
fn extended_limit_replaces_limit_ranger_request() {
    let limits = json!({"limits": {"example.com/fpga": "4"}});
    let config = over(&json!({"runner": {"resources": limits}}));
    let answered = answer(&config, |pod| {
        pod["spec"]["containers"][0]["resources"] =
            json!({"requests": {"example.com/fpga": "1"}, "limits": {"example.com/fpga": "1"}});
        pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"] = json!(
            "LimitRanger plugin set: example.com/fpga request for container runner; \
             example.com/fpga limit for container runner"
        );
    });
    let resources = &runner(&answered)["resources"];
    let amount = |map: &str| &resources[map]["example.com/fpga"];
    assert_eq!((amount("requests"), amount("limits")), (&json!("4"), &json!("4")));
    assert_eq!(resources.get("claims"), None::<&Value>);
}

/// `Invalid value: "9": must be less than or equal to cpu limit of 8`: the LimitRanger knows nothing
/// of `spec.resources`, and fills its defaults into the containers that the first pass has added.
#[test]
fn limit_range_default_is_cut_to_fit_pod_resources() {
    let config = over(&json!({}));
    let resources = |cpu: &str, limit: &str| {
        let answered = answer(&config, |pod| {
            pod["spec"]["resources"] = json!({"limits": {"cpu": "8"}});
            pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "4"}});
        });
        let again = answer(&config, |pod| {
            *pod = answered.pod;
            let added = pod["spec"]["initContainers"].as_array_mut().unwrap();
            for container in added.iter_mut() {
                container["resources"] =
                    json!({"requests": {"cpu": cpu}, "limits": {"cpu": limit}});
            }
            pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"] = json!(
                "LimitRanger plugin set: cpu request for init container init-dind-externals; \
                 cpu limit for init container init-dind-externals; cpu request for init container \
                 dind; cpu limit for init container dind"
            );
        });
        let resources = &dind(&again)["resources"];
        let amount = |map: &str| resources[map]["cpu"].as_str().unwrap().to_owned();
        let cut = again.warnings().iter().filter(|one| one.contains("LimitRange")).count();
        (amount("requests"), amount("limits"), cut)
    };
    assert_eq!(resources("1", "2"), ("1".to_owned(), "2".to_owned(), 0));
    assert_eq!(resources("5", "6"), ("0".to_owned(), "6".to_owned(), 2));
    assert_eq!(resources("1", "9"), ("1".to_owned(), "8".to_owned(), 2));
}
