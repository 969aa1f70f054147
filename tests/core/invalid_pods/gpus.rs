//! GPUs: which resources are some, where they come from, and what the start wrapper is told.

use super::*;

const RUNNER: &str = "spec.containers[runner]";

/// The runner's amounts of extended resources.
fn extended(answered: &Answered) -> Value {
    let limits = runner(answered)["resources"]["limits"].as_object().cloned().unwrap_or_default();
    limits.into_iter().filter(|(name, _)| name.contains('/')).collect()
}

/// The number of GPUs that the start wrapper is told.
fn told(answered: &Answered) -> &str {
    runner(answered)["command"][4].as_str().unwrap().strip_prefix("--gpus=").unwrap()
}

fn cpus(answered: &Answered) -> &Value {
    &runner(answered)["resources"]["requests"]["cpu"]
}

fn limits(amounts: &Value) -> Value {
    json!({"resources": {"limits": amounts}})
}

fn annotate(pod: &mut Value, key: &str, value: &str) {
    pod["metadata"]["annotations"][key] = value.into();
}

/// Gives the runner a claim of its own.
fn claim(pod: &mut Value) {
    claim_of(pod, "runner");
}

/// Gives the pod a claim that the container `name` uses.
fn claim_of(pod: &mut Value, name: &str) {
    let claim = json!({"name": "own", "resourceClaimTemplateName": "one-gpu"});
    pod["spec"]["resourceClaims"] = json!([claim]);
    for container in pod["spec"]["containers"].as_array_mut().unwrap() {
        if container["name"] == name {
            merge(container, json!({"resources": {"claims": [{"name": "own"}]}}));
        }
    }
}

/// A profile without a number in the scale set's name.
fn plain() -> Config {
    over(&json!({"gpu": {"count": 2}}))
}

/// A profile whose GPUs come by a claim.
fn by_claim() -> Config {
    over(&json!({"gpu": {"count": 2, "resourceClaimTemplateName": "gpu-{gpus}"}}))
}

/// AMD's network cards (ROCm/k8s-network-device-plugin README; ROCm/network-operator
/// `docs/installation/workload.md`), on the scale set or in the profile.
#[test]
fn gpu_network_cards_are_no_gpus() {
    for card in ["amd.com/nic", "amd.com/vnic"] {
        let asks = |amounts| answer_runner(&Config::default(), limits(&amounts));
        let alone = asks(json!({card: "1"}));
        assert_eq!(extended(&alone), json!({card: "1", "amd.com/gpu": "2"}));
        assert_eq!(told(&alone), "2");
        assert_warned(&alone, &[]);
        let beside = asks(json!({card: "1", "amd.com/gpu": "4"}));
        assert_eq!(extended(&beside), json!({card: "1", "amd.com/gpu": "4"}));
        assert_eq!(told(&beside), "4");
        let profile = over(&json!({"runner": {"resources": {"limits": {card: 1}}}}));
        let added = answer(&profile, |_| {});
        assert_eq!(extended(&added), json!({card: "1", "amd.com/gpu": "2"}));
        assert_eq!(told(&added), "2");
    }
}

/// The device plugin's names with the naming strategy `mixed` (ROCm/k8s-device-plugin
/// `docs/user-guide/configuration.md`), and the DRA driver's DeviceClass as a resource (KEP-5004).
#[test]
fn gpu_partitions_of_every_kind_are_kept() {
    let class = "deviceclass.resource.kubernetes.io/gpu.amd.com";
    for own in ["amd.com/spx_nps1", "amd.com/dpx_nps2", "amd.com/qpx_nps1", class] {
        let answered = answer_runner(&Config::default(), limits(&json!({own: "8"})));
        assert_eq!(extended(&answered), json!({own: "8"}));
        assert_eq!(told(&answered), "8");
        let path = format!("{RUNNER}.resources[{own}]");
        assert_warned(&answered, &[&format!("arc-rocm: {path}: {KEPT}")]);
    }
}

const KEPT: &str = "the pod asks for GPUs itself, so amd.com/gpu is not added to the runner";

/// A profile with GPUs of two names: both passes count both.
#[test]
fn gpu_of_two_names_in_profile_is_counted_once() {
    let config = over(&json!({
        "gpu": {"resource": "amd.com/cpx_nps4", "count": 2},
        "template": {"spec": {"containers": [
            {"name": "runner", "resources": {"limits": {"amd.com/gpu": "4"}}}]}},
    }));
    let answered = answer(&config, |_| {});
    assert_eq!(extended(&answered), json!({"amd.com/cpx_nps4": "2", "amd.com/gpu": "4"}));
    assert_eq!(told(&answered), "6");
    let own = answer_runner(&config, limits(&json!({"amd.com/gpu": "1"})));
    assert_eq!(extended(&own), json!({"amd.com/gpu": "1"}));
    assert_eq!(told(&own), "1");
}

/// Jobs run in the container that has the GPUs; what comes with each goes by their number.
#[test]
fn gpu_number_of_another_container_decides_amounts() {
    let answered = answer(&plain(), |pod| {
        let new = json!({"name": "engine", "image": "engine:1",
            "resources": {"limits": {"amd.com/gpu": "4"}}});
        merge(&mut pod["spec"]["containers"], json!([new]));
    });
    assert_eq!(extended(&answered), json!({}));
    assert_eq!((told(&answered), cpus(&answered)), ("0", &json!("80000m")));
    assert_warned(
        &answered,
        &[&format!("arc-rocm: spec.containers[engine].resources[amd.com/gpu]: {KEPT}")],
    );
}

/// No node has GPUs of two vendors, so a pod that also asks for AMD's would stay pending
/// (microsoft/pai#4090, LMCache/LMCache#3211, dstackai/dstack#4085).
#[test]
fn gpu_of_another_vendor_skips_the_pod() {
    let skipped = |config: &Config, change: &dyn Fn(&mut Value)| {
        let answered = answer(config, change);
        assert_eq!(answered.patch, json!([]));
        assert_eq!(answered.review["response"]["auditAnnotations"]["reason"], "other-gpu");
        let warning = "arc-rocm: the pod asks for GPUs of another vendor than its profile gives";
        assert_warned(&answered, &[warning]);
    };
    for other in
        ["nvidia.com/gpu", "nvidia.com/mig-1g.5gb", "gpu.intel.com/i915", "habana.ai/gaudi"]
    {
        let asks = limits(&json!({other: "1"}));
        for config in [plain(), by_claim(), Config::default()] {
            skipped(&config, &|pod| merge(&mut pod["spec"]["containers"][0], asks.clone()));
        }
        skipped(&plain(), &|pod| {
            merge(&mut pod["spec"]["containers"][0], asks.clone());
            annotate(pod, "arc-rocm.dev/profile", "test");
        });
        skipped(&plain(), &|pod| {
            let mut init = json!({"name": "check", "image": "check:1"});
            merge(&mut init, asks.clone());
            pod["spec"]["initContainers"] = json!([init]);
        });
    }
    // NVIDIA's network cards serve nodes with AMD GPUs (NVIDIA/network-operator).
    for none in ["nvidia.com/hostdev", "rdma/hca"] {
        assert_eq!(told(&answer_runner(&plain(), limits(&json!({none: "1"})))), "2");
    }
    assert_eq!(told(&answer_runner(&plain(), limits(&json!({"nvidia.com/gpu": "0"})))), "2");
}

/// A profile may give another vendor's GPUs itself.
#[test]
fn gpu_of_another_vendor_in_profile_is_given() {
    let gpu = json!({"resource": "nvidia.com/gpu", "count": 1});
    let config = over(&json!({"gpu": gpu, "start": {"enabled": false}}));
    assert_eq!(extended(&answer(&config, |_| {})), json!({"nvidia.com/gpu": "1"}));
    let own = answer_runner(&config, limits(&json!({"nvidia.com/gpu": "4"})));
    assert_eq!(extended(&own), json!({"nvidia.com/gpu": "4"}));
    let amd = answer_runner(&plain(), limits(&json!({"nvidia.com/gpu": "4"})));
    assert_eq!(amd.patch, json!([]));
}

const CLAIM_KEPT: &str = "arc-rocm: spec.resourceClaims[own]: the pod asks for GPUs itself, so amd.com/gpu is not added to the runner";

/// AMD GPUs by resource claim (ROCm/k8s-gpu-dra-driver `example/`, joryirving/home-ops#7699,
/// Tanguille/cluster#3449, defilantech/LLMKube#733): a node with the DRA driver has no `amd.com/gpu`.
#[test]
fn gpu_own_claim_keeps_the_profiles_gpus_out() {
    let answered = answer(&plain(), claim);
    assert_eq!(extended(&answered), json!({}));
    // The wrapper uses all that it finds, and wants at least one.
    assert_eq!((told(&answered), cpus(&answered)), ("1", &json!("20000m")));
    assert_warned(&answered, &[CLAIM_KEPT]);

    for (number, cpu) in [("4", json!("80000m")), ("0", Value::Null)] {
        let answered = answer(&plain(), |pod| {
            claim(pod);
            annotate(pod, "arc-rocm.dev/gpus", number);
        });
        assert_eq!(extended(&answered), json!({}));
        assert_eq!((told(&answered), cpus(&answered)), (number, &cpu));
    }
    let by_name = over(&json!({"match": {"scaleSets": ["linux.rocm.gpu.gfx942.{gpus}"]}}));
    assert_eq!(told(&answer(&by_name, claim)), "2");
    let for_cpus = over(&json!({"gpu": {"count": 0}}));
    assert_eq!(told(&answer(&for_cpus, claim)), "0");
}

#[test]
fn gpu_own_claim_beside_own_number_keeps_the_number() {
    let answered = answer(&plain(), |pod| {
        claim(pod);
        merge(&mut pod["spec"]["containers"][0], limits(&json!({"amd.com/gpu": "4"})));
    });
    assert_eq!(extended(&answered), json!({"amd.com/gpu": "4"}));
    assert_eq!((told(&answered), cpus(&answered)), ("4", &json!("80000m")));
    let kept = "the pod's own number of GPUs is kept, profile test gives 2";
    assert_warned(&answered, &[&format!("arc-rocm: {RUNNER}.resources: {kept}")]);
}

#[test]
fn gpu_own_claim_of_another_container_leaves_runner_without() {
    let answered = answer(&plain(), |pod| {
        let new = json!({"name": "engine", "image": "engine:1"});
        merge(&mut pod["spec"]["containers"], json!([new]));
        claim_of(pod, "engine");
    });
    assert_eq!((extended(&answered), told(&answered)), (json!({}), "0"));
    assert_warned(&answered, &[CLAIM_KEPT]);
}

#[test]
fn gpu_claim_template_of_profile_gives_the_number() {
    for (annotation, number, cpu) in [(None, "2", "40000m"), (Some("4"), "4", "80000m")] {
        let answered = answer(&by_claim(), |pod| {
            if let Some(number) = annotation {
                annotate(pod, "arc-rocm.dev/gpus", number);
            }
        });
        assert_eq!(extended(&answered), json!({}));
        assert_eq!((told(&answered), cpus(&answered)), (number, &json!(cpu)));
        let template = format!("gpu-{number}");
        let claims = json!([{"name": "gpu", "resourceClaimTemplateName": template}]);
        assert_eq!(answered.pod["spec"]["resourceClaims"], claims);
        assert_eq!(runner(&answered)["resources"]["claims"], json!([{"name": "gpu"}]));
        assert_warned(&answered, &[]);
    }
    let shown = by_claim().profiles.get("test").unwrap().pod_template(4);
    let claims = json!([{"name": "gpu", "resourceClaimTemplateName": "gpu-4"}]);
    assert_eq!(shown["spec"]["resourceClaims"], claims);
    let resources = &named(&shown["spec"]["containers"], "runner")["resources"];
    assert_eq!(resources["claims"], json!([{"name": "gpu"}]));
    assert_eq!(resources["limits"].get("amd.com/gpu"), None);
    let none = answer(&by_claim(), |pod| annotate(pod, "arc-rocm.dev/gpus", "0"));
    assert_eq!((told(&none), &none.pod["spec"]["resourceClaims"]), ("0", &Value::Null));
}

#[test]
fn gpu_claim_template_of_profile_gives_way_to_own_gpus() {
    let kept = "the pod asks for GPUs itself, so a claim of ResourceClaimTemplate gpu-1 is not added to the runner";
    let claimed = answer(&by_claim(), claim);
    assert_eq!(told(&claimed), "1");
    assert_eq!(runner(&claimed)["resources"]["claims"], json!([{"name": "own"}]));
    assert_warned(&claimed, &[&format!("arc-rocm: spec.resourceClaims[own]: {kept}")]);

    let asks = answer_runner(&by_claim(), limits(&json!({"amd.com/gpu": "1"})));
    assert_eq!((told(&asks), extended(&asks)), ("1", json!({"amd.com/gpu": "1"})));
    assert_eq!(asks.pod["spec"].get("resourceClaims"), None);
    assert_warned(&asks, &[&format!("arc-rocm: {RUNNER}.resources[amd.com/gpu]: {kept}")]);
}

/// A claim that the profile writes in Kubernetes' own words is not the pod's own.
#[test]
fn gpu_claim_for_network_card_in_profile_goes_beside_gpus() {
    let config = over(&json!({"gpu": {"count": 2}, "template": {"spec": {
        "resourceClaims": [{"name": "nic", "resourceClaimTemplateName": "nic"}],
        "containers": [{"name": "runner", "resources": {"claims": [{"name": "nic"}]}}],
    }}}));
    let answered = answer(&config, |_| {});
    assert_eq!((told(&answered), extended(&answered)), ("2", json!({"amd.com/gpu": "2"})));
    assert_eq!(runner(&answered)["resources"]["claims"], json!([{"name": "nic"}]));
}

/// Runners of ARC's kubernetes modes get the claim too.
#[test]
fn gpu_claim_template_holds_in_kubernetes_mode() {
    let gpu = json!({"count": 2, "resourceClaimTemplateName": "gpu-{gpus}"});
    let config = over(&json!({"gpu": gpu, "kubernetesMode": "Resources"}));
    let answered = answer_runner(
        &config,
        json!({"env": [{"name": "ACTIONS_RUNNER_CONTAINER_HOOKS", "value": "/k8s/index.js"}]}),
    );
    assert_eq!(runner(&answered)["resources"]["claims"], json!([{"name": "gpu"}]));
}
