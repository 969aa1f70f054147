//! Fields of the pod itself.

use arc_rocm::inject::Config;
use serde_json::{Value, json};

use super::{answer, assert_warned, over_template};

#[test]
fn a_windows_pod_is_left_alone_with_a_warning() {
    let answered = answer(&Config::default(), |pod| pod["spec"]["os"] = json!({"name": "windows"}));
    assert_eq!(answered.patch, json!([]));
    assert_eq!(answered.review["response"]["auditAnnotations"]["reason"], "windows");
    assert_eq!(answered.warnings().len(), 1, "{:?}", answered.warnings());
}

#[test]
fn a_priority_class_has_its_priority_computed_anew() {
    let answered = answer(&over_template(&json!({"priorityClassName": "high"})), |_| {});
    let spec = &answered.pod["spec"];
    assert_eq!(spec["priorityClassName"], "high");
    assert_eq!(spec["priority"], Value::Null);
    assert_eq!(spec["preemptionPolicy"], Value::Null);
    assert_warned(&answered, &[]);
}

#[test]
fn a_preemption_policy_goes_in_with_its_class() {
    let template = json!({"priorityClassName": "high", "preemptionPolicy": "Never"});
    let answered = answer(&over_template(&template), |_| {});
    let spec = &answered.pod["spec"];
    assert_eq!(spec["priority"], Value::Null);
    assert_eq!(spec["preemptionPolicy"], "Never");
    assert_warned(&answered, &[]);
}

#[test]
fn an_authors_priority_class_is_kept_with_its_priority() {
    let template = json!({"priorityClassName": "high", "preemptionPolicy": "Never"});
    let answered = answer(&over_template(&template), |pod| {
        pod["spec"]["priorityClassName"] = "batch".into();
        pod["spec"]["priority"] = 100.into();
    });
    let spec = &answered.pod["spec"];
    assert_eq!(spec["priorityClassName"], "batch");
    assert_eq!(spec["priority"], 100);
    assert_eq!(spec["preemptionPolicy"], "PreemptLowerPriority");
    assert_eq!(answered.warnings().len(), 2);
}

#[test]
fn a_service_account_goes_in_under_both_of_its_names() {
    let rules = over_template(&json!({"serviceAccountName": "rocm"}));
    let answered = answer(&rules, |_| {});
    assert_eq!(answered.pod["spec"]["serviceAccountName"], "rocm");
    assert_eq!(answered.pod["spec"]["serviceAccount"], "rocm");
    assert_warned(&answered, &[]);

    let answered = answer(&rules, |pod| {
        pod["spec"]["serviceAccountName"] = "own".into();
        pod["spec"]["serviceAccount"] = "own".into();
    });
    assert_eq!(answered.pod["spec"]["serviceAccountName"], "own");
    assert_eq!(answered.pod["spec"]["serviceAccount"], "own");
    assert_eq!(answered.warnings().len(), 1);
}

#[test]
fn no_more_nameservers_than_a_pod_may_have() {
    let rules = over_template(&json!({"dnsConfig": {"nameservers": ["10.0.0.3", "10.0.0.4"]}}));
    let answered = answer(&rules, |pod| {
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
fn a_node_selectors_value_is_never_a_default() {
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
