//! Fields of the pod itself.

use arc_rocm::inject::Config;
use serde_json::{Value, json};

use super::{answer, assert_warned, merge, over, over_template, runner};

#[test]
fn windows_pod_is_skipped_with_warning() {
    let answered = answer(&Config::default(), |pod| pod["spec"]["os"] = json!({"name": "windows"}));
    assert_eq!(answered.patch, json!([]));
    assert_eq!(answered.review["response"]["auditAnnotations"]["reason"], "windows");
    assert_eq!(answered.warnings().len(), 1, "{:?}", answered.warnings());
}

#[test]
fn priority_class_clears_the_computed_priority() {
    let answered = answer(&over_template(&json!({"priorityClassName": "high"})), |_| {});
    let spec = &answered.pod["spec"];
    assert_eq!(spec["priorityClassName"], "high");
    assert_eq!(spec["priority"], Value::Null);
    assert_eq!(spec["preemptionPolicy"], Value::Null);
    assert_warned(&answered, &[]);
}

#[test]
fn priority_class_own_keeps_its_priority() {
    let template = json!({"priorityClassName": "high"});
    let answered = answer(&over_template(&template), |pod| {
        pod["spec"]["priorityClassName"] = "batch".into();
        pod["spec"]["priority"] = 100.into();
    });
    let spec = &answered.pod["spec"];
    assert_eq!(spec["priorityClassName"], "batch");
    assert_eq!(spec["priority"], 100);
    assert_eq!(spec["preemptionPolicy"], "PreemptLowerPriority");
    assert_eq!(answered.warnings().len(), 1);
}

#[test]
fn service_account_sets_both_fields() {
    let config = over_template(&json!({"serviceAccountName": "rocm"}));
    let answered = answer(&config, |_| {});
    assert_eq!(answered.pod["spec"]["serviceAccountName"], "rocm");
    assert_eq!(answered.pod["spec"]["serviceAccount"], "rocm");
    assert_warned(&answered, &[]);

    let answered = answer(&config, |pod| {
        pod["spec"]["serviceAccountName"] = "own".into();
        pod["spec"]["serviceAccount"] = "own".into();
    });
    assert_eq!(answered.pod["spec"]["serviceAccountName"], "own");
    assert_eq!(answered.pod["spec"]["serviceAccount"], "own");
    assert_eq!(answered.warnings().len(), 1);
}

#[test]
fn nameservers_stop_at_the_pod_limit() {
    let config = over_template(&json!({"dnsConfig": {"nameservers": ["10.0.0.3", "10.0.0.4"]}}));
    let answered = answer(&config, |pod| {
        pod["spec"]["dnsConfig"] = json!({"nameservers": ["10.0.0.1", "10.0.0.2"]});
    });
    assert_eq!(
        answered.pod["spec"]["dnsConfig"]["nameservers"],
        json!(["10.0.0.1", "10.0.0.2", "10.0.0.3"])
    );
    assert_warned(
        &answered,
        &[
            "arc-rocm: spec.dnsConfig.nameservers: the pod's own value is kept, profile test differs",
        ],
    );
}

#[test]
fn node_selector_value_never_counts_as_default() {
    let keys =
        json!({"example.com/gpu": "", "restartPolicy": "Always", "dnsPolicy": "ClusterFirst"});
    let wanted = json!({"example.com/gpu": "on", "restartPolicy": "x", "dnsPolicy": "x"});
    let answered = answer(&over_template(&json!({"nodeSelector": wanted})), |pod| {
        pod["spec"]["nodeSelector"] = keys.clone();
    });
    for (key, value) in keys.as_object().unwrap() {
        assert_eq!(&answered.pod["spec"]["nodeSelector"][key], value);
    }
    assert_eq!(answered.warnings().len(), 3);
}

#[test]
fn override_named_in_annotation_gives_no_warning() {
    let config = over(&json!({}));
    let own = json!({"resources": {"requests": {"memory": "8Gi", "cpu": "1"}}});
    let memory = "spec.containers[runner].resources.requests[memory]";
    let warned = |overrides: Option<&str>| {
        let answered = answer(&config, |pod| {
            merge(&mut pod["spec"]["containers"][0], own.clone());
            if let Some(overrides) = overrides {
                pod["metadata"]["annotations"]["arc-rocm.dev/overrides"] = overrides.into();
            }
        });
        assert_eq!(runner(&answered)["resources"]["requests"]["memory"], "8Gi");
        answered.warnings().into_iter().filter(|one| one.contains("resources")).count()
    };
    assert_eq!(warned(None), 2);
    assert_eq!(warned(Some(memory)), 1);
    assert_eq!(warned(Some(&format!(" {memory} ,spec.nodeSelector"))), 1);
    assert_eq!(warned(Some("spec.containers[runner].resources")), 0);
    assert_eq!(warned(Some("spec.containers[dind]")), 2);
}
