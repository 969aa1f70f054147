//! `profiles`: list, show, check.

use serde_json::Value;

use crate::run;

#[test]
fn the_built_in_profile_can_be_held_against_the_seed() {
    let ran = run(&["profiles", "show", "rocm"], "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for line in [
        "pytorch: \"yes\"",
        "- 110",
        "image: ghcr.io/saienduri/ghascale-rocm-dev:main",
        "image: ghcr.io/saienduri/dind:main",
        "amd.com/gpu: \"2\"",
        "cpu: 40000m",
        "memory: 450000Mi",
        "ephemeral-storage: 100G",
        "mountPath: /etc/podinfo",
    ] {
        assert!(ran.out.contains(line), "{line}\n{}", ran.out);
    }
    let json: Value =
        serde_json::from_str(&run(&["profiles", "show", "rocm", "-o", "json"], "").out).unwrap();
    assert_eq!(json["spec"]["initContainers"][1]["name"], "dind");
}

#[test]
fn every_problem_is_printed_with_its_place_and_the_code_is_2() {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let text = "apiVersion: arc-rocm.dev/v1alpha1
kind: RunnerProfile
metadata: {name: bad}
spec:
  extends: rocm
  gpu:
    perGpu: {cpus: \"10\"}
  template:
    spec:
      containers:
        - name: runner
          env: [{name: A, valueFrom: {secretRef: {name: x}}}]
";
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap();
    let ran = run(&["profiles", "check", path], "");
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.err,
        format!(
            "{path}:7:14: spec.gpu.perGpu.cpus: unknown field, did you mean \"cpu\"?\n\
             {path}:12:39: spec.template.spec.containers[0].env[0].valueFrom.secretRef: unknown \
             field of EnvVarSource (the API server would drop it silently), did you mean \
             \"secretKeyRef\"?\n\
             error: 2 problems in profiles\n"
        )
    );
}

#[test]
fn a_profile_that_does_not_exist_is_a_usage_error_that_names_those_that_do() {
    let ran = run(&["profiles", "show", "rcom"], "");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("there are: rocm"), "{}", ran.err);
}

#[test]
fn the_list_shows_order_and_patterns() {
    let ran = run(&["profiles", "list"], "");
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.starts_with("NAME"), "{}", ran.out);
    let json: Value =
        serde_json::from_str(&run(&["profiles", "list", "-o", "json"], "").out).unwrap();
    assert_eq!(json["profiles"][0]["name"], "rocm");
}
