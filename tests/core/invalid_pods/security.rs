//! Users, privileges, user namespaces.

use arc_rocm::inject::Config;
use serde_json::{Value, json};

use super::{
    answer, answer_runner, assert_warned, dind, merge, named, over, over_template, runner,
};
use crate::{
    support::{ask_twice, review, with_pod},
    validity::problems,
};

#[test]
fn dind_alone_runs_as_root() {
    let implied = json!({"privileged": true, "allowPrivilegeEscalation": true,
        "readOnlyRootFilesystem": false, "runAsNonRoot": false});
    for (context, root) in [
        (json!({"runAsUser": 1001}), json!({"runAsUser": 0})),
        (json!({"runAsNonRoot": true}), json!({"runAsUser": 0})),
        (
            json!({"runAsNonRoot": true, "runAsUser": 1001, "runAsGroup": 1001}),
            json!({"runAsUser": 0, "runAsGroup": 0}),
        ),
    ] {
        let mut own = implied.clone();
        merge(&mut own, root);
        let answered = answer(&Config::default(), |pod| {
            pod["spec"]["securityContext"] = context.clone();
        });
        assert_eq!(dind(&answered)["securityContext"], own);
        let pods = &answered.pod["spec"]["securityContext"];
        for (field, value) in context.as_object().unwrap() {
            assert_eq!(&pods[field], value);
        }
        assert_warned(
            &answered,
            &["arc-rocm: spec.securityContext: dockerd must be root, so dind alone runs as user 0"],
        );
    }
}

#[test]
fn user_conflicting_with_non_root_is_left_out() {
    let root = json!({"runAsUser": 0});
    let non_root = json!({"runAsNonRoot": true});
    for (profiles, own, field, why) in [
        (&non_root, &root, "runAsNonRoot", "runAsUser: 0"),
        (&root, &non_root, "runAsUser", "runAsNonRoot: true"),
    ] {
        let over_pod = over_template(&json!({"securityContext": profiles}));
        let answered = answer_runner(&over_pod, json!({"securityContext": own}));
        assert_eq!(answered.pod["spec"]["securityContext"].get(field), None);
        assert!(answered.warnings().contains(&format!(
            "arc-rocm: spec.securityContext.{field}: left out, because the pod says {why} of a \
             container"
        )));

        let over_runner = over_template(&json!({"containers":
            [{"name": "runner", "securityContext": profiles}]}));
        let answered = answer(&over_runner, |pod| {
            pod["spec"]["securityContext"] = own.clone();
        });
        assert_eq!(runner(&answered)["securityContext"].get(field), None);
        assert!(answered.warnings().contains(&format!(
            "arc-rocm: spec.containers[runner].securityContext.{field}: left out, because the pod \
             says spec.securityContext.{why}"
        )));
    }
}

/// Found by the property tests: only the second pass added the pod's user, because the first one
/// did not see the user that it gave to the container.
#[test]
fn user_of_pod_goes_beside_added_container_user() {
    let config = over_template(&json!({"securityContext": {"runAsUser": 0},
        "containers": [{"name": "runner", "securityContext": {"runAsUser": 1001}}]}));
    let answered = answer_runner(&config, json!({"securityContext": {"runAsNonRoot": true}}));
    assert_eq!(answered.pod["spec"]["securityContext"]["runAsUser"], 0);
    let own = json!({"runAsNonRoot": true, "runAsUser": 1001});
    assert_eq!(runner(&answered)["securityContext"], own);
    assert_warned(&answered, &[]);
}

#[test]
fn escalation_forbidden_leaves_privileged_out() {
    let config = over_template(&json!({"containers":
        [{"name": "runner", "securityContext": {"privileged": true}}]}));
    let answered =
        answer_runner(&config, json!({"securityContext": {"allowPrivilegeEscalation": false}}));
    assert_eq!(runner(&answered)["securityContext"], json!({"allowPrivilegeEscalation": false}));
    assert_warned(
        &answered,
        &["arc-rocm: spec.containers[runner].securityContext.privileged: left out, because the \
           pod says allowPrivilegeEscalation: false"],
    );
}

#[test]
fn escalation_forbidden_leaves_cap_sys_admin_out() {
    let config = over_template(&json!({"containers": [{"name": "runner",
        "securityContext": {"capabilities": {"add": ["CAP_SYS_ADMIN"]}}}]}));
    let answered =
        answer_runner(&config, json!({"securityContext": {"allowPrivilegeEscalation": false}}));
    assert_eq!(runner(&answered)["securityContext"], json!({"allowPrivilegeEscalation": false}));
    assert_warned(
        &answered,
        &["arc-rocm: spec.containers[runner].securityContext.capabilities: left out, because the \
           pod says allowPrivilegeEscalation: false"],
    );
}

#[test]
fn privileged_runner_keeps_escalation_allowed() {
    let config = over_template(&json!({"containers":
        [{"name": "runner", "securityContext": {"allowPrivilegeEscalation": false}}]}));
    let answered = answer_runner(&config, json!({"securityContext": {"privileged": true}}));
    assert_eq!(runner(&answered)["securityContext"], json!({"privileged": true}));
    assert_warned(
        &answered,
        &["arc-rocm: spec.containers[runner].securityContext.allowPrivilegeEscalation: left out, \
           because the pod says privileged: true"],
    );
}

#[test]
fn dind_in_user_namespace_is_left_out() {
    let answered = answer(&Config::default(), |pod| pod["spec"]["hostUsers"] = false.into());
    assert_eq!(answered.pod["spec"].get("initContainers"), None);
    assert_eq!(runner(&answered)["resources"]["limits"]["amd.com/gpu"], "2", "GPUs stay");
    assert_warned(
        &answered,
        &[
            "arc-rocm: spec.hostUsers: dockerd cannot run in a user namespace (hostUsers false), so \
           no Docker-in-Docker is added",
        ],
    );
}

/// kubescape/kubescape#976, nirmata/kyverno-policies#103, defenseunicorns/uds-core#698: policies
/// that fill in what is unset, between the two calls.
#[test]
fn dind_filled_by_policy_is_corrected() {
    let config = over(&json!({"dind": {"resources": {"requests": {"memory": "4Gi"}}}}));
    let first = answer(&config, |_| {});
    let expected = dind(&first).clone();
    let mut filled = first.pod.clone();
    let containers = filled["spec"]["initContainers"].as_array_mut().unwrap();
    for container in containers.iter_mut().filter(|one| one["name"] == "dind") {
        container["securityContext"] = json!({"privileged": true, "allowPrivilegeEscalation": false,
            "runAsNonRoot": true, "runAsUser": 1001, "runAsGroup": 1001,
            "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
        container["resources"]["limits"] = json!({"memory": "512Mi", "cpu": "500m"});
    }
    let again = ask_twice(&with_pod(&review("plain"), filled), &config);
    assert_eq!(problems(&again.pod), [""; 0]);
    let context = &dind(&again)["securityContext"];
    for (field, value) in expected["securityContext"].as_object().unwrap() {
        assert_eq!(&context[field], value, "{field}");
    }
    assert_eq!([&context["runAsUser"], &context["runAsGroup"]], [0, 0]);
    // A privileged container has all of them.
    assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}), "{context}");
    assert_eq!(dind(&again)["resources"]["limits"], json!({"memory": "4Gi", "cpu": "500m"}));
    assert_warned(&again, &[]);
}

/// sigstore/model-validation-operator#177, k8tz/k8tz#57: Pod Security `restricted` takes the runner,
/// and so it takes the containers of the webhook.
#[test]
fn init_containers_have_the_runners_security_context() {
    let context = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": true, "runAsUser": 1001, "seccompProfile": {"type": "RuntimeDefault"}});
    let config = over(&json!({"jobHooks": {}}));
    let answered = answer_runner(&config, json!({"securityContext": context}));
    for name in ["init-job-hooks", "init-dind-externals"] {
        let container = named(&answered.pod["spec"]["initContainers"], name);
        assert_eq!(container["securityContext"], context, "{name}");
    }
    let of_profile = over(&json!({"jobHooks": {}, "template": {"spec": {"containers":
        [{"name": "runner", "securityContext": {"runAsUser": 1000}}]}}}));
    let answered = answer(&of_profile, |_| {});
    let container = named(&answered.pod["spec"]["initContainers"], "init-job-hooks");
    assert_eq!(container["securityContext"], json!({"runAsUser": 1000}));
}

/// A policy for init containers alone finds nothing in them that it can contradict.
#[test]
fn init_containers_of_privileged_runner_say_what_that_implies() {
    let config = over(&json!({"jobHooks": {}}));
    let answered = answer_runner(&config, json!({"securityContext": {"privileged": true}}));
    for name in ["init-job-hooks", "init-dind-externals"] {
        let context = &named(&answered.pod["spec"]["initContainers"], name)["securityContext"];
        assert_eq!(context["privileged"], true, "{name}");
        assert_eq!(context["allowPrivilegeEscalation"], true, "{name}");
    }
    assert_eq!(
        runner(&answered)["securityContext"],
        json!({"privileged": true}),
        "the author's own"
    );
}

/// nestybox/sysbox#936: a pod for Sysbox has its runtime class, and with CRI-O the annotation.
#[test]
fn dind_under_sysbox_or_crio_user_namespace_is_left_out() {
    let cases = [
        (
            json!({"spec": {"runtimeClassName": "sysbox-runc"}}),
            "spec.runtimeClassName",
            "Sysbox runs no privileged container, and the runner can run its own dockerd",
        ),
        (
            json!({"metadata": {"annotations": {"io.kubernetes.cri-o.userns-mode": "auto"}}}),
            "metadata.annotations[io.kubernetes.cri-o.userns-mode]",
            "dockerd cannot run in a user namespace of CRI-O",
        ),
    ];
    for (own, path, why) in cases {
        let answered = answer(&Config::default(), |pod| merge(pod, own));
        assert_eq!(answered.pod["spec"].get("initContainers"), None);
        let warning = format!("arc-rocm: {path}: {why}, so no Docker-in-Docker is added");
        assert_warned(&answered, &[&warning]);
    }
    let answered = answer(&over_template(&json!({"runtimeClassName": "sysbox-runc"})), |_| {});
    assert_eq!(answered.pod["spec"].get("initContainers"), None, "the profile's class");
}

/// kubernetes/enhancements KEP-3619: with `Strict`, `/etc/group` of the image gives no group.
#[test]
fn strict_group_policy_gets_docker_group() {
    let config = over(&json!({"dind": {"gid": 999}}));
    let groups = |config: &Config, context: Value| {
        let answered = answer(config, |pod| pod["spec"]["securityContext"] = context);
        answered.pod["spec"]["securityContext"]["supplementalGroups"].clone()
    };
    let strict =
        |own: &[i64]| json!({"supplementalGroupsPolicy": "Strict", "supplementalGroups": own});
    assert_eq!(groups(&config, strict(&[])), json!([110, 999]));
    assert_eq!(groups(&config, strict(&[999])), json!([999, 110]), "it is there already");
    let merged = json!({"supplementalGroupsPolicy": "Merge"});
    assert_eq!(groups(&config, merged), json!([110]), "the image's groups hold");
    let without = over(&json!({"dind": {"enabled": false}}));
    assert_eq!(groups(&without, strict(&[])), json!([110]), "there is no socket");
}

#[test]
fn user_namespace_leaves_host_namespaces_out() {
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        let answered = answer(&over_template(&json!({field: true})), |pod| {
            pod["spec"]["hostUsers"] = false.into();
        });
        assert_eq!(answered.pod["spec"].get(field), None);
        assert_eq!(
            answered.warnings()[1],
            format!("arc-rocm: spec.{field}: left out, because the pod says hostUsers: false")
        );
    }
}
