//! Requests and limits.

use super::{In, fine, problems, refused};

#[test]
fn resource_amounts_must_be_quantities() {
    refused(
        In::Runner,
        &[
            (
                "resources: {requests: {cpu: 4 cores, memory: 1GB}, limits: {ephemeral-storage: -1}}",
                &[
                    "5:26: spec.template.spec.containers[0].resources.requests.cpu: ` cores` is not a quantity's suffix: use one of n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei, an exponent such as e3, or none",
                    "5:40: spec.template.spec.containers[0].resources.requests.memory: `GB` is not a quantity's suffix: did you mean `G` or `Gi`?",
                    r#"5:63: spec.template.spec.containers[0].resources.limits.ephemeral-storage: "-1" must not be negative"#,
                ],
            ),
            (
                r#"resources: {requests: {cpus: 1, requests.a.b/c: 1, "a/b/c": 1}}"#,
                &[
                    r#"5:26: spec.template.spec.containers[0].resources.requests.cpus: "cpus" is not a container's resource: write cpu, memory, ephemeral-storage, hugepages-SIZE or an extended resource such as amd.com/gpu"#,
                    r#"5:35: spec.template.spec.containers[0].resources.requests["requests.a.b/c"]: "requests.a.b/c" is not valid here: write a domain, '/' and a name, such as amd.com/gpu"#,
                    r#"5:35: spec.template.spec.containers[0].resources.requests["requests.a.b/c"]: requests.a.b/c needs a limit too, the same"#,
                    r#"5:54: spec.template.spec.containers[0].resources.requests["a/b/c"]: "a/b/c" is not valid here: write a domain, '/' and a name, such as amd.com/gpu"#,
                    r#"5:54: spec.template.spec.containers[0].resources.requests["a/b/c"]: a/b/c needs a limit too, the same"#,
                ],
            ),
            (
                "resources: {requests: {cpu: 64}, limits: {cpu: 32}}",
                &[
                    r#"5:26: spec.template.spec.containers[0].resources.requests.cpu: the request "64" is above the limit "32""#,
                ],
            ),
        ],
    );
}

#[test]
fn extended_resources_must_be_requested_whole() {
    refused(
        In::Runner,
        &[
            (
                "resources: {requests: {amd.com/gpu: 2}}",
                &[
                    r#"5:26: spec.template.spec.containers[0].resources.requests["amd.com/gpu"]: amd.com/gpu needs a limit too, the same"#,
                ],
            ),
            (
                "resources: {requests: {amd.com/gpu: 2}, limits: {amd.com/gpu: 4}}",
                &[
                    r#"5:26: spec.template.spec.containers[0].resources.requests["amd.com/gpu"]: the request "2" must be the same as the limit "4""#,
                ],
            ),
            (
                "resources: {limits: {amd.com/gpu: 1.5}}",
                &[
                    r#"5:24: spec.template.spec.containers[0].resources.limits["amd.com/gpu"]: "1.5" must be a whole number"#,
                ],
            ),
            (
                "resources: {limits: {hugepages-2Mi: 4Mi}}",
                &[
                    "5:3: spec.template.spec.containers[0].resources: huge pages need cpu or memory beside them",
                ],
            ),
            (
                "resources: {limits: {hugepages-2Mi: 3Mi, memory: 1Gi}}",
                &[
                    r#"5:24: spec.template.spec.containers[0].resources.limits.hugepages-2Mi: "3Mi" is not a whole number of pages"#,
                ],
            ),
            (
                "resources: {limits: {hugepages-x: 1Mi, cpu: 1}}",
                &[
                    r#"5:24: spec.template.spec.containers[0].resources.limits.hugepages-x: "x" is no size of a page: write hugepages-2Mi"#,
                ],
            ),
            (
                "resources: {claims: [{name: a}]}",
                &[
                    r#"5:25: spec.template.spec.containers[0].resources.claims[0].name: no claim "a"; add it to template.spec.resourceClaims"#,
                ],
            ),
        ],
    );
}

#[test]
fn gpus_are_for_runner_only() {
    refused(
        In::Pod,
        &[(
            "containers: [{name: more, image: a, resources: {limits: {amd.com/gpu: 1}}}]",
            &[
                r#"5:60: spec.template.spec.containers[0].resources.limits["amd.com/gpu"]: only the runner holds GPUs; jobs in dind use the runner's"#,
            ],
        )],
    );
}

#[test]
fn per_gpu_request_stays_below_limit() {
    refused(
        In::Spec,
        &[
            (
                "gpu: {count: 2, perGpu: {cpu: 10}}, runner: {resources: {limits: {cpu: 32}}}",
                &[
                    r#"5:28: spec.gpu.perGpu.cpu: the request "640" is above the limit "32", with 64 GPUs, as a scale set's name or annotation may ask for"#,
                ],
            ),
            (
                "gpu: {count: 2, perGpu: {cpu: 1}, byCount: {4: {cpu: 65}}}, runner: {resources: {limits: {cpu: 64}}}",
                &[
                    r#"5:51: spec.gpu.byCount.4.cpu: the request "65" is above the limit "64", with 4 GPUs, as a scale set's name or annotation may ask for"#,
                ],
            ),
            (
                "gpu: {count: 8, perGpu: {cpu: 10}}, template: {spec: {containers: [{name: runner, resources: {limits: {cpu: 32}}}]}}",
                &[
                    r#"5:28: spec.gpu.perGpu.cpu: the request "80" is above the limit "32", with 8 GPUs"#,
                ],
            ),
            (
                "gpu: {count: 2}, template: {spec: {containers: [{name: runner, resources: {requests: {amd.com/gpu: 4}, limits: {amd.com/gpu: 8}}}]}}",
                &[
                    r#"5:89: spec.template.spec.containers[0].resources.requests["amd.com/gpu"]: the request "4" must be the same as the limit "8""#,
                ],
            ),
            (
                "extends: rocm, runner: {resources: {limits: {cpu: 32}}}",
                &[
                    r#"5:48: spec.runner.resources.limits.cpu: the request "40000m" is above the limit "32", with 2 GPUs; the request is inherited from "rocm""#,
                ],
            ),
            (
                "extends: rocm, template: {spec: {containers: [{name: runner, resources: {limits: {memory: 256Gi}}}]}}",
                &[
                    r#"5:85: spec.template.spec.containers[0].resources.limits.memory: the request "450000Mi" is above the limit "256Gi", with 2 GPUs; the request is inherited from "rocm""#,
                ],
            ),
        ],
    );
}

#[test]
fn gpus_come_one_way_to_the_runner() {
    let claim = |name: &str| format!(r#"gpu: {{count: 2, resourceClaimTemplateName: "{name}"}}"#);
    fine(In::Spec, &[&claim("gpu-{gpus}"), &claim("two-gpus")]);
    let limits =
        |gpu: &str| format!("containers: [{{name: runner, resources: {{limits: {{{gpu}: 2}}}}}}]");
    let limit =
        |gpu: &str| format!(r#"spec.template.spec.containers[0].resources.limits["{gpu}"]"#);
    let twice = "GPUs come by gpu.resourceClaimTemplateName here; take one of the two out";
    let mut rows: Vec<(String, String)> = ["amd.com/gpu", "amd.com/cpx_nps4"]
        .map(|gpu| (limits(gpu), format!("5:128: {}: {twice}", limit(gpu))))
        .into();
    rows.push((
        "resourceClaims: [{name: gpu, resourceClaimName: shared}]".to_owned(),
        r#"5:97: spec.template.spec.resourceClaims[0].name: "gpu" is the name of the claim of gpu.resourceClaimTemplateName; choose another"#.to_owned(),
    ));
    for (pod, wanted) in rows {
        let row = format!("{}, template: {{spec: {{{pod}}}}}", claim("gpu-{gpus}"));
        assert_eq!(problems(In::Spec, &row), [wanted]);
    }
    for (name, wanted) in [
        ("GPU-{gpus}", r#""GPU-{gpus}" is not valid here: write"#),
        ("gpu-{number}", r#""gpu-{number}" is not valid here: write"#),
        ("", "must not be empty: write"),
    ] {
        let found = problems(In::Spec, &claim(name));
        let place = "5:19: spec.gpu.resourceClaimTemplateName:";
        assert!(
            found.len() == 1 && found[0].starts_with(&format!("{place} {wanted} ")),
            "{found:?}"
        );
    }
    let sidecar =
        "initContainers: [{name: a, image: b, resources: {limits: {amd.com/cpx_nps4: 1}}}]";
    let wanted = r#"5:61: spec.template.spec.initContainers[0].resources.limits["amd.com/cpx_nps4"]: only the runner holds GPUs; jobs in dind use the runner's"#;
    refused(In::Pod, &[(sidecar, &[wanted])]);
}
