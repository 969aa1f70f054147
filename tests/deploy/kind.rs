//! The kind cluster: its configuration, its image, and its script among stand-ins for the tools
//! that it calls.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    ARC_ROCM, assert_is_there,
    image::{path_with_cargo, write_stand_in},
    program::program,
    read, root, said, write_program, yaml,
};

/// The scale sets of the script, with the captured pod that ARC makes of each, and the GPUs.
const SCALE_SETS: [(&str, &str, &str); 4] = [
    ("linux.rocm.gpu.kind.2-plain", "plain", "2"),
    ("linux.rocm.gpu.kind.1-dind", "dind", "1"),
    ("linux.rocm.gpu.kind.2-x-plain", "experimental-plain", "2"),
    ("linux.rocm.gpu.kind.1-x-dind", "experimental-dind", "1"),
];

#[test]
fn kind_cluster_has_known_fields() {
    let cluster = yaml("deploy/kind/cluster.yaml");
    assert_eq!(cluster["kind"], "Cluster");
    assert_eq!(cluster["apiVersion"], "kind.x-k8s.io/v1alpha4");
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&cluster), ["apiVersion", "kind", "nodes"]);
    let mut roles = Vec::new();
    for node in cluster["nodes"].as_array().unwrap() {
        // Of pkg/apis/config/v1alpha4 of kind; it refuses a field that it does not know.
        assert!(keys(node).iter().all(|key| ["role", "labels"].contains(&key.as_str())), "{node}");
        if node["role"] == "worker" {
            let labels = json!({"pytorch": "yes", "arc-rocm.dev/test-node": "kwok"});
            assert_eq!(node["labels"], labels);
        }
        roles.push(node["role"].as_str().unwrap().to_owned());
    }
    assert_eq!(roles, ["control-plane", "worker", "worker"]);
}

/// The captured pod of a scale set, twice, under the names of its two runners.
fn pods(scale_set: &str, fixture: &str, patched: bool) -> Value {
    let text = read(&format!("tests/fixtures/arc/{fixture}.pod.json"));
    let mut pod: Value = serde_json::from_str(&text).unwrap();
    pod["metadata"]["annotations"]["actions.github.com/runner-scale-set-name"] = scale_set.into();
    if patched {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pod.json");
        fs::write(&file, pod.to_string()).unwrap();
        let mut inject = Command::new(ARC_ROCM);
        inject.arg("inject").arg("-f").arg(&file).args(["-o", "json", "--profiles"]);
        let output = inject.arg(root().join("deploy/kind/profiles.yaml")).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        pod = serde_json::from_slice(&output.stdout).unwrap();
    }
    let named = |suffix: &str| {
        let mut pod = pod.clone();
        pod["metadata"]["name"] = format!("{scale_set}-{suffix}").into();
        pod
    };
    json!({"kind": "PodList", "items": [named("a"), named("b")]})
}

/// The judgement of `patched.jq`: what is wrong.
fn judge(pods: &Value, gpus: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pods.json");
    fs::write(&file, pods.to_string()).unwrap();
    let mut jq = Command::new(program("jq"));
    jq.args(["--arg", "gpus", gpus, "--arg", "profile", "kind", "-f"]);
    let output = jq.arg(root().join("deploy/kind/patched.jq")).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    serde_json::from_value(verdict["problems"].clone()).unwrap()
}

#[test]
fn kind_filter_checks_pods_of_both_charts_and_modes() {
    for (scale_set, fixture, gpus) in SCALE_SETS {
        assert_eq!(judge(&pods(scale_set, fixture, true), gpus), [""; 0], "{scale_set}");
        let problems = judge(&pods(scale_set, fixture, false), gpus).join("\n");
        for says in ["no status annotation", "no start wrapper", "no nodeSelector", "GPUs but"] {
            assert!(problems.contains(says), "{scale_set}: {problems}");
        }
        let has_dind = fixture.contains("dind");
        assert_eq!(!problems.contains("no privileged container dind"), has_dind, "{problems}");
        assert!(!judge(&pods(scale_set, fixture, true), "8").is_empty());
    }
}

/// Tools that do nothing but say what was asked of them, in `calls`.
struct Tools {
    folder: TempDir,
}

impl Tools {
    /// With clusters that exist already, and pods that are patched or not.
    fn new(clusters: &str, patched: bool) -> Self {
        let tools = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(tools.path("bin")).unwrap();
        for (scale_set, fixture, _) in SCALE_SETS {
            let pods = pods(scale_set, fixture, patched || !scale_set.ends_with("-x-dind"));
            fs::write(tools.path(&format!("pods-{scale_set}")), pods.to_string()).unwrap();
        }
        let sets = (1..)
            .zip(SCALE_SETS)
            .map(|(id, (name, ..))| json!({"id": id, "name": name, "listener": "a-listener"}));
        let state = json!({"scaleSets": sets.collect::<Vec<Value>>()});
        fs::write(tools.path("state"), state.to_string()).unwrap();
        tools.write("docker", "case $* in network*) printf 'fc00::1\\n127.0.0.1\\n' ;; esac");
        tools.write("kind", &format!("case $* in 'get clusters') echo '{clusters}' ;; esac"));
        tools.write("helm", "");
        // What the image is made of is asked of the real one.
        let cargo = env!("CARGO");
        tools.write("cargo", &format!("case $1 in tree | metadata) exec {cargo} \"$@\" ;; esac"));
        write_stand_in(&tools.path("program"), env!("CARGO_PKG_VERSION"));
        tools.write("curl", "case $* in */control/state) cat \"$FAKE/state\" ;; esac");
        tools.write(
            "kubectl",
            r#"all=$*
            case $* in
              *'apply -f -') cat >/dev/null ;;
              'get nodes'*) printf 'node/a\nnode/b\n' ;;
              *'get pods'*'output json') name=${all##*scale-set-name=}; cat "$FAKE/pods-${name%% *}" ;;
              *'get ephemeralrunners --selector'*) printf 'x/a\nx/b\n' ;;
              'get ephemeralrunners'*'output json') echo '{"items": []}' ;;
              'get customresourcedefinitions'*) echo crd/ephemeralrunners.actions.github.com ;;
            esac"#,
        );
        let stand_in = tools.path("bin/stand-in");
        write_program(&stand_in, "#!/bin/sh\nexec sleep 600\n");
        tools
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, body: &str) {
        let text = format!("#!/usr/bin/env bash\necho \"{name} $*\" >>\"$FAKE/calls\"\n{body}\n");
        write_program(&self.path("bin").join(name), &text);
    }

    fn run(&self, variables: &[(&str, &str)]) -> Output {
        let mut script = Command::new(root().join("deploy/kind/run.sh"));
        script
            .env_clear()
            .env("PATH", path_with_cargo(&self.path("bin")))
            .env("HOME", std::env::home_dir().unwrap())
            .env("PROGRAM", self.path("program"))
            .env("FAKE", self.folder.path())
            .env("ARC_ROCM_BIN", ARC_ROCM)
            .env("STAND_IN", self.path("bin/stand-in"))
            .env("LOGS", self.path("logs"))
            .env("PATIENCE_SECONDS", "10")
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
        script.output().unwrap()
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().map(ToOwned::to_owned).collect()
    }
}

/// Where a call that begins so is among all.
fn place(calls: &[String], begins: &str) -> usize {
    let found = calls.iter().position(|call| call.starts_with(begins));
    found.unwrap_or_else(|| panic!("no call {begins} in\n{}", calls.join("\n")))
}

#[test]
fn kind_script_runs_all_steps() {
    let tools = Tools::new("", true);
    let output = tools.run(&[]);
    assert!(output.status.success(), "{}", said(&output));
    let calls = tools.calls();
    let order = [
        "kind create cluster --name arc-rocm --image kindest/node:v",
        "kubectl patch node/b --subresource=status",
        "kind load image-archive ",
        "helm install arc-rocm deploy/helm/arc-rocm --namespace arc-rocm",
        "kubectl apply -f deploy/kind/profiles.yaml",
        "kubectl wait --for=condition=Accepted",
        "helm install arc oci://ghcr.io/actions/actions-runner-controller-charts/gha-runner-scale-set-controller --version 0.14.2",
        "helm install linux.rocm.gpu.kind.2-plain",
        "helm install linux.rocm.gpu.kind.1-x-dind",
        "curl -fsS --data {\"count\": 1} http://127.0.0.1:8090/control/scale-sets/1/jobs",
        "curl -fsS --data {\"count\": 1} http://127.0.0.1:8090/control/scale-sets/4/jobs",
        "helm uninstall linux.rocm.gpu.kind.1-x-dind",
        "helm uninstall arc",
        "kubectl delete --wait crd/ephemeralrunners.actions.github.com",
        "kubectl delete mutatingwebhookconfiguration arc-rocm",
        "helm uninstall arc-rocm --namespace arc-rocm",
        "cargo test --locked --package arc-rocm-e2e --test e2e",
        "kind delete cluster --name arc-rocm",
    ];
    let places: Vec<usize> = order.iter().map(|begins| place(&calls, begins)).collect();
    assert!(places.is_sorted(), "{places:?}\n{}", calls.join("\n"));
    let dind = &calls[place(&calls, "helm install linux.rocm.gpu.kind.1-dind")];
    assert!(dind.contains("/gha-runner-scale-set --version"), "{dind}");
    assert!(dind.contains("githubConfigUrl=http://127.0.0.1:8090/arc-rocm"), "{dind}");
    assert!(dind.contains("containerMode.type=dind"), "{dind}");
    let plain = &calls[place(&calls, "helm install linux.rocm.gpu.kind.2-x-plain")];
    assert!(plain.contains("/gha-runner-scale-set-experimental --version"), "{plain}");
    assert!(plain.contains("auth.url=http://127.0.0.1:8090/arc-rocm"), "{plain}");
    assert!(!plain.contains("runner.mode"), "{plain}");
    // The charts find no controller by themselves: the experimental one never looks for it.
    for scale_set in [dind, plain] {
        assert!(
            scale_set.contains("controllerServiceAccount.namespace=arc-systems"),
            "{scale_set}"
        );
        assert!(
            scale_set.contains("controllerServiceAccount.name=arc-gha-rs-controller"),
            "{scale_set}"
        );
    }
}

#[test]
fn kind_script_stops_at_an_unpatched_pod() {
    let tools = Tools::new("", false);
    let output = tools.run(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let text = said(&output);
    assert!(text.contains("linux.rocm.gpu.kind.1-x-dind-a: no status annotation"), "{text}");
    let calls = tools.calls();
    assert!(calls.last().unwrap().starts_with("kind delete cluster"), "{}", calls.join("\n"));
    assert!(!calls.iter().any(|call| call.starts_with("cargo test")), "{}", calls.join("\n"));
    assert!(tools.path("logs/pods.txt").exists());
}

#[test]
fn kind_script_checks_programs_and_cluster_first() {
    let tools = Tools::new("", true);
    fs::remove_file(tools.path("bin/kind")).unwrap();
    let output = tools.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("programs are missing: kind"), "{}", said(&output));
    assert_eq!(tools.calls(), [""; 0]);

    let tools = Tools::new("arc-rocm", true);
    let output = tools.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("there is a cluster arc-rocm already"), "{}", said(&output));
    let calls = tools.calls();
    assert!(!calls.iter().any(|call| call.contains("delete")), "{}", calls.join("\n"));
}

#[test]
fn kind_script_can_skip_suite_and_deletion() {
    let tools = Tools::new("", true);
    let output = tools.run(&[("SUITE", "0"), ("KEEP", "1")]);
    assert!(output.status.success(), "{}", said(&output));
    let calls = tools.calls();
    for begins in ["cargo test", "kind delete", "helm uninstall"] {
        assert!(!calls.iter().any(|call| call.starts_with(begins)), "{}", calls.join("\n"));
    }
    // What is kept has to be ended by hand, as the script says.
    let text = said(&output);
    let (_, rest) = text.split_once("the stand-in (kill ").unwrap();
    let (pid, _) = rest.split_once(')').unwrap();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
}

#[test]
fn kind_script_files_exist() {
    let script = read("deploy/kind/run.sh");
    for word in script.split(|c: char| c.is_whitespace() || "\"'();".contains(c)) {
        if word.starts_with("deploy/") && Path::new(word).extension().is_some() {
            assert_is_there(word.trim_end_matches('.'), "run.sh");
        }
    }
    let text = read("tests/e2e/Cargo.toml");
    assert!(text.contains("name = \"github-stand-in\"") && text.contains("name = \"e2e\""));
}
