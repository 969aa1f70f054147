//! Requests, limits, GPUs.

use serde_json::json;

use super::{answer, answer_runner, assert_warned, dind, merge, named, over, runner};
use crate::support::{ask_twice, review};
use arc_rocm::inject::Config;

const RUNNER: &str = "arc-rocm: spec.containers[runner]";

#[test]
fn request_above_own_limit_is_left_out() {
    let answered = answer_runner(
        &Config::default(),
        json!({"resources": {"limits": {"memory": "8Gi"}, "requests": {"memory": "8Gi"}}}),
    );
    let resources = &runner(&answered)["resources"];
    assert_eq!(resources["requests"]["memory"], "8Gi");
    assert_eq!(resources["limits"]["memory"], "8Gi");
    assert_eq!(resources["requests"]["cpu"], "40000m", "another resource is not concerned");
    assert_warned(
        &answered,
        &[&format!(
            "{RUNNER}.resources.requests[memory]: the pod's own value is kept, profile rocm differs"
        )],
    );
}

/// The API server refuses the pod for the runner, and a second pass finds nothing more.
#[test]
fn own_limit_below_own_request_changes_once() {
    let resources = json!({"limits": {"cpu": "0"}, "requests": {"cpu": "96"}});
    let mut review = review("plain");
    review["request"]["object"]["spec"]["containers"][0]["resources"] = resources;
    ask_twice(&review, &Config::default());
}

#[test]
fn limit_own_alone_is_the_request() {
    let answered =
        answer_runner(&Config::default(), json!({"resources": {"limits": {"memory": "8Gi"}}}));
    assert_eq!(runner(&answered)["resources"]["requests"].get("memory"), None);
}

#[test]
fn limit_below_own_request_is_left_out() {
    let config = over(&json!({"gpu": {"total": {"cpu": "40"}},
        "runner": {"resources": {"limits": {"cpu": "48"}}}}));
    let answered = answer_runner(&config, json!({"resources": {"requests": {"cpu": "64"}}}));
    let resources = &runner(&answered)["resources"];
    assert_eq!(resources["requests"]["cpu"], "64");
    assert_eq!(resources["limits"].get("cpu"), None);
    assert_warned(
        &answered,
        &[
            &format!(
                "{RUNNER}.resources.requests[cpu]: the pod's own value is kept, profile test differs"
            ),
            &format!(
                "{RUNNER}.resources.limits[cpu]: the profile's limit is left out, because the \
                 pod's own request is above it"
            ),
        ],
    );
}

#[test]
fn request_above_pod_level_is_left_out() {
    let answered = answer(&Config::default(), |pod| {
        pod["spec"]["resources"] = json!({"requests": {"cpu": "8"}, "limits": {"cpu": "8"}});
    });
    let resources = &runner(&answered)["resources"];
    assert_eq!(resources["requests"].get("cpu"), None);
    assert_eq!(resources["requests"]["memory"], "450000Mi");
    assert_warned(
        &answered,
        &[&format!(
            "{RUNNER}.resources.requests[cpu]: the profile's request is left out, because it is \
             above spec.resources"
        )],
    );
}

#[test]
fn limit_above_pod_level_is_left_out() {
    let config = over(&json!({"gpu": {"total": {"cpu": "40"}},
        "runner": {"resources": {"limits": {"cpu": "96"}}}}));
    let answered = answer(&config, |pod| {
        pod["spec"]["resources"] = json!({"requests": {"cpu": "64"}, "limits": {"cpu": "64"}});
    });
    let resources = &runner(&answered)["resources"];
    assert_eq!(resources["requests"]["cpu"], "40");
    assert_eq!(resources["limits"].get("cpu"), None);
    assert_warned(
        &answered,
        &[&format!(
            "{RUNNER}.resources.limits[cpu]: the profile's limit is left out, because it is above \
             spec.resources"
        )],
    );
}

#[test]
fn request_sum_stays_within_pod_level() {
    let config = over(&json!({"dind": {"resources": {"requests": {"cpu": "4", "memory": "1Gi"}}}}));
    let answered = answer(&config, |pod| {
        pod["spec"]["resources"] = json!({"requests": {"cpu": "42"}});
    });
    assert_eq!(runner(&answered)["resources"]["requests"]["cpu"], "40000m");
    assert_eq!(dind(&answered)["resources"]["requests"], json!({"memory": "1Gi"}));
    assert_warned(
        &answered,
        &["arc-rocm: spec[dind].resources[cpu]: the profile's request is left out, because it is \
           above spec.resources"],
    );
}

#[test]
fn gpu_own_request_alone_gets_its_limit() {
    let answered =
        answer_runner(&Config::default(), json!({"resources": {"requests": {"amd.com/gpu": "4"}}}));
    let resources = &runner(&answered)["resources"];
    assert_eq!(resources["requests"]["amd.com/gpu"], "4");
    assert_eq!(resources["limits"]["amd.com/gpu"], "4");
    assert_eq!(runner(&answered)["command"][4], "--gpus=4");
    assert_warned(
        &answered,
        &[
            &format!(
                "{RUNNER}.resources: the pod's own number of GPUs is kept, profile rocm gives 2"
            ),
            &format!(
                "{RUNNER}.resources.limits[amd.com/gpu]: an extended resource needs a limit equal \
                 to its request, so it was added"
            ),
        ],
    );
}

#[test]
fn extended_request_alone_gets_its_limit() {
    let answered = answer(&Config::default(), |pod| {
        let new = json!({"name": "net", "image": "net:1",
            "resources": {"requests": {"example.com/nic": "1"}}});
        merge(&mut pod["spec"]["containers"], json!([new]));
    });
    let net = named(&answered.pod["spec"]["containers"], "net");
    assert_eq!(net["resources"]["limits"], json!({"example.com/nic": "1"}));
    assert_eq!(runner(&answered)["resources"]["limits"]["amd.com/gpu"], "2");
}

#[test]
fn extended_request_below_limit_becomes_the_limit() {
    for (resource, gpus) in [("amd.com/gpu", 4), ("example.com/nic", 2)] {
        let own = json!({"requests": {resource: "2"}, "limits": {resource: "4"}});
        let answered = answer_runner(&Config::default(), json!({"resources": own}));
        let resources = &runner(&answered)["resources"];
        assert_eq!(resources["requests"][resource], "4");
        assert_eq!(resources["limits"][resource], "4");
        assert_eq!(runner(&answered)["command"][4], format!("--gpus={gpus}"));
        let adjusted = format!(
            "{RUNNER}.resources.requests[{resource}]: an extended resource needs a request equal \
             to its limit, so it was set to the limit"
        );
        assert!(answered.warnings().contains(&adjusted), "{:?}", answered.warnings());
    }
}

#[test]
fn gpu_partitions_with_zero_limit_count_as_none() {
    let own = json!({"requests": {"amd.com/cpx_nps4": "1"}, "limits": {"amd.com/cpx_nps4": "0"}});
    let answered = answer_runner(&Config::default(), json!({"resources": own}));
    assert_eq!(runner(&answered)["resources"]["requests"]["amd.com/cpx_nps4"], "0");
    assert_eq!(runner(&answered)["resources"]["limits"]["amd.com/gpu"], "2");
}

#[test]
fn gpu_in_init_container_keeps_runner_gpus() {
    let gpus = json!({"amd.com/gpu": "2"});
    let answered = answer(&Config::default(), |pod| {
        let new = json!({"name": "check", "image": "check:1",
            "resources": {"requests": gpus, "limits": gpus}});
        pod["spec"]["initContainers"] = json!([new]);
    });
    assert_eq!(runner(&answered)["resources"]["limits"]["amd.com/gpu"], "2");
    assert_eq!(runner(&answered)["command"][4], "--gpus=2");
    assert_warned(&answered, &[]);
}

#[test]
fn gpu_own_limit_alone_is_kept() {
    let answered =
        answer_runner(&Config::default(), json!({"resources": {"limits": {"amd.com/gpu": "4"}}}));
    let resources = &runner(&answered)["resources"];
    assert_eq!(resources["limits"]["amd.com/gpu"], "4");
    assert_eq!(resources["requests"].get("amd.com/gpu"), None, "the API server fills it in");
    assert_eq!(runner(&answered)["command"][4], "--gpus=4");
    assert_warned(
        &answered,
        &[&format!(
            "{RUNNER}.resources: the pod's own number of GPUs is kept, profile rocm gives 2"
        )],
    );
}

#[test]
fn gpu_own_count_zero_waits_for_none() {
    let none = json!({"amd.com/gpu": "0"});
    let answered =
        answer_runner(&Config::default(), json!({"resources": {"limits": none, "requests": none}}));
    assert_eq!(runner(&answered)["resources"]["limits"]["amd.com/gpu"], "0");
    assert_eq!(runner(&answered)["command"][4], "--gpus=0");
}

#[test]
fn gpu_in_another_container_stays_there() {
    let gpus = json!({"amd.com/gpu": "2"});
    let answered = answer(&Config::default(), |pod| {
        let new = json!({"name": "bench", "image": "bench:1",
            "resources": {"requests": gpus, "limits": gpus}});
        merge(&mut pod["spec"]["containers"], json!([new]));
    });
    assert_eq!(runner(&answered)["resources"]["limits"].get("amd.com/gpu"), None);
    assert_eq!(runner(&answered)["command"][4], "--gpus=0");
    let bench = named(&answered.pod["spec"]["containers"], "bench");
    assert_eq!(bench["resources"]["limits"], json!({"amd.com/gpu": "2"}));
    assert_warned(
        &answered,
        &[
            "arc-rocm: spec.containers[bench].resources[amd.com/gpu]: the pod asks for GPUs itself, \
           so amd.com/gpu is not added to the runner",
        ],
    );
}

#[test]
fn gpu_partitions_keep_their_resource_name() {
    let parts = json!({"amd.com/cpx_nps4": "8"});
    let answered = answer_runner(
        &Config::default(),
        json!({"resources": {"requests": parts, "limits": parts}}),
    );
    assert_eq!(runner(&answered)["resources"]["limits"].get("amd.com/gpu"), None);
    assert_eq!(runner(&answered)["command"][4], "--gpus=8");
    assert_warned(
        &answered,
        &[&format!(
            "{RUNNER}.resources[amd.com/cpx_nps4]: the pod asks for GPUs itself, so amd.com/gpu \
             is not added to the runner"
        )],
    );
}

#[test]
fn limit_ranger_values_are_replaced() {
    let answered = answer(&Config::default(), |pod| {
        pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"] =
            "LimitRanger plugin set: cpu, memory request for container runner; cpu limit for \
             container runner"
                .into();
        pod["spec"]["containers"][0]["resources"] = json!({
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "1"},
        });
    });
    let resources = &runner(&answered)["resources"];
    assert_eq!(resources["requests"]["cpu"], "40000m");
    assert_eq!(resources["limits"]["cpu"], "40000m", "its limit of 1 would be below the request");
    assert_eq!(resources["requests"]["memory"], "450000Mi");
    assert_eq!(resources["limits"].get("memory"), None);
    assert_warned(&answered, &[]);
}

#[test]
fn limit_ranger_beside_own_limit_changes_nothing() {
    let answered = answer(&Config::default(), |pod| {
        pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"] =
            "LimitRanger plugin set: cpu request for container runner; cpu limit for container \
             other"
                .into();
        pod["spec"]["containers"][0]["resources"] = json!({
            "requests": {"cpu": "100m"},
            "limits": {"cpu": "1"},
        });
    });
    let resources = &runner(&answered)["resources"];
    assert_eq!(resources["limits"]["cpu"], "1");
    assert_eq!(resources["requests"]["cpu"], "100m");
}

/// A profile that says nothing of GPUs neither gives any nor has a word about the pod's own.
#[test]
fn profile_without_gpus_leaves_the_number_to_the_pod() {
    let profile = json!({"apiVersion": "arc-rocm.dev/v1alpha1", "kind": "RunnerProfile",
        "metadata": {"name": "test"},
        "spec": {"extends": "base", "match": {"scaleSets": ["*"]}}});
    let config = crate::support::config(&profile.to_string());
    let own = answer(&config, |_| {});
    assert_eq!(runner(&own)["resources"].get("limits"), None);
    assert!(runner(&own)["command"].to_string().contains("--gpus=0"));
    assert_eq!(own.warnings(), [""; 0]);
    let asks = answer_runner(&config, json!({"resources": {"limits": {"amd.com/gpu": "4"}}}));
    assert!(runner(&asks)["command"].to_string().contains("--gpus=4"));
    assert_eq!(asks.warnings(), [""; 0]);
}

/// A quota refuses a pod with a container that requests nothing of a counted resource.
#[test]
fn quota_on_requests_finds_them_in_each_container() {
    let config = over(&json!({"jobHooks": {}}));
    let limits = json!({"memory": "8Gi"});
    let answered =
        answer_runner(&config, json!({"resources": {"limits": limits, "requests": limits}}));
    let of = |name: &str| &named(&answered.pod["spec"]["initContainers"], name)["resources"];
    for name in ["init-job-hooks", "init-dind-externals"] {
        let runners = &runner(&answered)["resources"];
        for resource in ["cpu", "memory"] {
            assert_eq!(of(name)["requests"][resource], runners["requests"][resource], "{name}");
        }
        assert_eq!(of(name)["limits"]["memory"], "8Gi", "{name}");
        assert_eq!(of(name)["limits"].get("amd.com/gpu"), None, "{name}");
    }
    assert_eq!(
        of("dind"),
        &json!({"requests": {"cpu": "1m", "memory": "1Mi", "ephemeral-storage": "1Mi"}})
    );
}

#[test]
fn runner_without_requests_keeps_best_effort_class() {
    let config = over(&json!({"remove": ["/gpu"]}));
    let answered = answer(&config, |_| {});
    for container in answered.pod["spec"]["initContainers"].as_array().unwrap() {
        assert_eq!(container.get("resources"), None);
    }
}
