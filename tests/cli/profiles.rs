//! `profiles`: list, show, check.

use serde_json::Value;

use crate::run;

#[test]
fn show_built_in_prints_the_seed_rows() {
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
fn check_prints_every_problem_with_its_place() {
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
             {path}:12:39: spec.template.spec.containers[0].env[0].valueFrom.secretRef.key: this \
             field is required\n\
             error: 3 problems in profiles\n"
        )
    );
}

#[test]
fn show_unknown_profile_names_the_known_ones() {
    let ran = run(&["profiles", "show", "rcom"], "");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("there are: base, rocm"), "{}", ran.err);
}

#[test]
fn list_prints_order_and_patterns() {
    let ran = run(&["profiles", "list"], "");
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.starts_with("NAME"), "{}", ran.out);
    let json: Value =
        serde_json::from_str(&run(&["profiles", "list", "-o", "json"], "").out).unwrap();
    let names = json["profiles"].as_array().unwrap().iter().map(|one| &one["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["base", "rocm"]);
}

#[test]
fn file_or_directory_without_a_profile_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    // A mounted ConfigMap may be empty; a checked directory must not be.
    assert_eq!(run(&["profiles", "list", "--profiles", path], "").code, Some(0));
    let ran = run(&["profiles", "check", path], "");
    assert_eq!(ran.code, Some(2));
    assert_eq!(ran.err, format!("error: {path} has no *.yaml, *.yml or *.json file\n"));
    std::fs::write(directory.path().join("a.yaml"), "# nothing yet\n---\n").unwrap();
    let ran = run(&["profiles", "check", path], "");
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.err,
        format!("{path}/a.yaml:1:1: no profile in it\nerror: 1 problem in profiles\n")
    );
}

#[test]
fn check_does_not_repeat_possible_secrets() {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let runner =
        |fields: &str| format!("template: {{spec: {{containers: [{{name: runner, {fields}}}]}}}}");
    for spec in [
        "dind: {registryMirrors: ['https://me:815815@a', '815815://a', 'https://a?815815']}".into(),
        "dind: {insecureRegistries: ['me:815815@a', 'a?815815']}".into(),
        runner("env: [{name: A, value: 815815}]"),
        runner("env: [{name: A, value: 81.5815}]"),
        runner("env: [{name: A, value: 815815815815815815815815}]"),
        runner("env: [{name: A, value: !!int s815815}]"),
        runner("command: '815815', args: [815815]"),
        runner("stdin: '815815', livenessProbe: {periodSeconds: '815815'}"),
    ] {
        let text = format!(
            "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: bad}}\n\
             spec: {{{spec}}}\n"
        );
        std::fs::write(file.path(), text).unwrap();
        let ran = run(&["profiles", "check", file.path().to_str().unwrap()], "");
        assert_eq!(ran.code, Some(2), "{spec}");
        assert!(ran.err.contains(":4:"), "{spec}: {}", ran.err);
        assert!(!ran.err.contains("815"), "{}", ran.err);
    }
}

#[test]
fn check_server_without_a_cluster_is_a_usage_error() {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let profile = "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {name: a}\n\
                   spec: {extends: rocm}\n";
    std::fs::write(file.path(), profile).unwrap();
    let path = file.path().to_str().unwrap();
    let ran = run(&["profiles", "check", path, "--server", "--kubeconfig", "/no/such"], "");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.starts_with("error: cannot reach a cluster"), "{}", ran.err);
    // A flag of the cluster alone would check nothing there.
    assert_eq!(run(&["profiles", "check", path, "--context", "prod"], "").code, Some(2));
}

#[test]
fn gpus_of_the_template_are_the_number_everywhere() {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let profile = "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {name: a}\n\
                   spec: {extends: rocm, runner: {resources: {limits: {amd.com/gpu: 1}}}}\n";
    std::fs::write(file.path(), profile).unwrap();
    let path = file.path().to_str().unwrap();
    let list = run(&["profiles", "list", "-o", "json", "--profiles", path], "");
    let list: Value = serde_json::from_str(&list.out).unwrap();
    assert_eq!(
        (&list["profiles"][0]["name"], &list["profiles"][0]["gpus"]),
        (&"a".into(), &1.into())
    );
    let show = run(&["profiles", "show", "a", "--profiles", path], "");
    assert!(show.out.starts_with("# profile a ("), "{}", show.out);
    assert!(show.out.lines().next().unwrap().ends_with(", 1 GPU"), "{}", show.out);
    let show = run(&["profiles", "show", "a", "--gpus", "4", "--profiles", path], "");
    assert_eq!(show.code, Some(2));
    assert_eq!(show.err, "error: --gpus 4: the template of a has 1 GPU\n");
}

#[test]
fn list_cuts_many_patterns_in_the_table_alone() {
    let table = run(&["profiles", "list"], "").out;
    let rocm = table.lines().find(|line| line.starts_with("rocm ")).unwrap();
    assert!(rocm.contains(" more "), "{rocm}");
    let json: Value =
        serde_json::from_str(&run(&["profiles", "list", "-o", "json"], "").out).unwrap();
    let rocm = &json["profiles"][1];
    assert_eq!(rocm["name"], "rocm");
    assert!(rocm["scaleSets"].as_array().unwrap().len() > 10, "{rocm}");
}
