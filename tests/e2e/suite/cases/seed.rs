//! The seed's rows (`docs/seed.md`) as predicates of a stored pod, and which kinds have which.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::{arc::kinds::Kind, probe::STATUS};

/// A row of the seed.
pub(crate) struct Row {
    /// What it is about.
    pub(crate) name: &'static str,
    /// Whether a pod has it.
    pub(crate) holds: fn(&Value) -> bool,
}

const IMAGE: &str = "ghcr.io/saienduri/ghascale-rocm-dev:main";

/// All rows about the pod.
pub(crate) const ROWS: &[Row] = &[
    Row { name: "supplemental group 110", holds: |pod| groups(pod).contains(&json!(110)) },
    Row { name: "node selector", holds: |pod| pod["spec"]["nodeSelector"]["pytorch"] == "yes" },
    Row {
        name: "externals copied from the runner's image",
        holds: |pod| {
            let init = container(pod, "init-dind-externals");
            init["image"] == container(pod, "runner")["image"]
                && init["imagePullPolicy"] == "Always"
                && words(init) == ["cp", "-r", "/home/runner/externals/.", "/home/runner/tmpDir/"]
                && mount(init, "/home/runner/tmpDir") == "dind-externals"
        },
    },
    Row {
        name: "the seed's dind as a privileged sidecar",
        holds: |pod| {
            let dind = container(pod, "dind");
            is_sidecar(pod, "dind")
                && dind["image"] == "ghcr.io/saienduri/dind:main"
                && dind["restartPolicy"] == "Always"
                && dind["securityContext"]["privileged"] == true
        },
    },
    Row {
        name: "dockerd's socket, group and data root",
        holds: |pod| {
            let dind = container(pod, "dind");
            dind["args"]
                == json!([
                    "--host=unix:///var/run/docker.sock",
                    "--group=$(DOCKER_GROUP_GID)",
                    "--data-root=/home/runner/docker-data",
                ])
                && env(dind, "DOCKER_GROUP_GID")["value"] == "123"
        },
    },
    Row {
        name: "dind's mounts",
        holds: |pod| {
            let dind = container(pod, "dind");
            mount(dind, "/home/runner/_work") == "work"
                && mount(dind, "/var/run") == "dind-sock"
                && mount(dind, "/home/runner/externals") == "dind-externals"
                && mount(dind, "/home/runner/docker-data") == "docker-data"
        },
    },
    Row {
        name: "the seed's runner image, pulled always",
        holds: |pod| {
            let runner = container(pod, "runner");
            runner["image"] == IMAGE && runner["imagePullPolicy"] == "Always"
        },
    },
    Row {
        name: "render devices, then wait for Docker, then run.sh",
        holds: |pod| {
            let words = words(container(pod, "runner"));
            let (script, rest) = words.split_at(words.len().min(3));
            script.first().is_some_and(|&word| word == "/bin/sh")
                && script.last().is_some_and(|text| text.contains("gha-render-devices"))
                && rest
                    == [
                        "arc-rocm-start",
                        "--gpus=2",
                        "--group-add=110",
                        "--rocr",
                        "--wait-for-docker=120",
                        "--",
                        "/home/runner/run.sh",
                    ]
        },
    },
    Row {
        name: "requests",
        holds: |pod| {
            // As the API server writes 40000m and 450000Mi.
            container(pod, "runner")["resources"]["requests"]
                == json!({
                    "cpu": "40",
                    "memory": "450000Mi",
                    "ephemeral-storage": "100G",
                    "amd.com/gpu": "2",
                })
        },
    },
    Row {
        name: "limits",
        holds: |pod| {
            container(pod, "runner")["resources"]["limits"]
                == json!({"ephemeral-storage": "100G", "amd.com/gpu": "2"})
        },
    },
    Row {
        name: "two GPUs",
        holds: |pod| {
            let resources = &container(pod, "runner")["resources"];
            ["requests", "limits"].iter().all(|list| resources[list]["amd.com/gpu"] == "2")
        },
    },
    Row {
        name: "DOCKER_HOST",
        holds: |pod| {
            env(container(pod, "runner"), "DOCKER_HOST")["value"] == "unix:///var/run/docker.sock"
        },
    },
    Row {
        name: "the pod's and the node's name",
        holds: |pod| {
            let runner = container(pod, "runner");
            let field = |name: &str| &env(runner, name)["valueFrom"]["fieldRef"]["fieldPath"];
            field("POD_NAME") == "metadata.name" && field("NODE_NAME") == "spec.nodeName"
        },
    },
    Row {
        name: "the runner's mounts of Docker",
        holds: |pod| {
            let runner = container(pod, "runner");
            mount(runner, "/home/runner/_work") == "work"
                && mount(runner, "/var/run") == "dind-sock"
                && mount(runner, "/home/runner/externals") == "dind-externals"
                && mount(runner, "/home/runner/docker-data") == "docker-data"
        },
    },
    Row {
        name: "podinfo",
        holds: |pod| {
            mount(container(pod, "runner"), "/etc/podinfo") == "podinfo"
                && volume(pod, "podinfo")["emptyDir"] == json!({})
        },
    },
    Row {
        name: "volumes of Docker",
        holds: |pod| {
            ["work", "dind-sock", "dind-externals", "docker-data"]
                .iter()
                .all(|name| volume(pod, name)["emptyDir"] == json!({}))
        },
    },
    Row { name: "ends when the runner ends", holds: |pod| pod["spec"]["restartPolicy"] == "Never" },
    Row { name: "says so", holds: |pod| pod.pointer(STATUS).is_some() },
];

/// Whether a kind is to have a row. A kind that misses one has its reason in `docs/precedence.md`.
pub(crate) fn wanted(kind: Kind, row: &str) -> bool {
    match kind {
        Kind::Plain | Kind::ExperimentalPlain => true,
        // The chart's or the author's own dind is kept, with its image, arguments and mounts.
        Kind::Dind | Kind::ExperimentalDind | Kind::DindRegularContainer => ![
            "the seed's dind as a privileged sidecar",
            "dockerd's socket, group and data root",
            "dind's mounts",
            "the runner's mounts of Docker",
            "volumes of Docker",
        ]
        .contains(&row),
        // Image, command, resources, node selector and DOCKER_HOST are the author's; with another
        // Docker there is no dind.
        Kind::AuthorOverrides => [
            "supplemental group 110",
            "two GPUs",
            "the pod's and the node's name",
            "podinfo",
            "ends when the runner ends",
            "says so",
        ]
        .contains(&row),
        // Jobs run in other pods. ARC's chart writes restartPolicy itself.
        Kind::Kubernetes | Kind::KubernetesNovolume => row == "ends when the runner ends",
    }
}

/// What a kind keeps of its own.
pub(crate) fn kept(kind: Kind, pod: &Value) -> anyhow::Result<()> {
    let (runner, dind) = (container(pod, "runner"), container(pod, "dind"));
    match kind {
        Kind::Plain | Kind::ExperimentalPlain => {}
        Kind::Dind | Kind::ExperimentalDind => {
            ensure!(is_sidecar(pod, "dind") && dind["image"] == "docker:dind", "the chart's dind");
            let arguments = dind["args"].as_array().map(Vec::len);
            ensure!(arguments == Some(3), "the chart's arguments for dockerd");
        }
        Kind::DindRegularContainer => {
            ensure!(!is_sidecar(pod, "dind"), "dind stays where it is");
            ensure!(dind["image"] == "docker:dind", "the author's dind");
        }
        Kind::Kubernetes | Kind::KubernetesNovolume => {
            ensure!(runner["resources"] == json!({}), "no resources");
            ensure!(words(runner) == ["/home/runner/run.sh"], "the chart's command");
        }
        Kind::AuthorOverrides => {
            ensure!(runner["image"] == "registry.example.com/ci/runner:1", "image");
            ensure!(words(runner).ends_with(&["echo hi; exec /home/runner/run.sh"]), "command");
            ensure!(env(runner, "DOCKER_HOST")["value"] == "tcp://elsewhere:2375", "DOCKER_HOST");
            ensure!(env(runner, "FOO")["value"] == "bar", "FOO");
            ensure!(runner["resources"]["requests"]["cpu"] == "4", "CPU request");
            ensure!(runner["resources"]["limits"]["memory"] == "8Gi", "memory limit");
            ensure!(pod["spec"]["nodeSelector"]["pytorch"] == "no", "node selector");
            ensure!(pod["spec"]["securityContext"]["fsGroup"] == 1001, "fsGroup");
            ensure!(groups(pod).contains(&json!(44)), "the author's group");
            ensure!(dind.is_null(), "no dind");
        }
    }
    Ok(())
}

fn groups(pod: &Value) -> Vec<Value> {
    let groups = pod["spec"]["securityContext"]["supplementalGroups"].as_array();
    groups.cloned().unwrap_or_default()
}

fn is_sidecar(pod: &Value, name: &str) -> bool {
    named(&pod["spec"]["initContainers"], name)["restartPolicy"] == "Always"
}

/// A container of either list; null where there is none.
pub(crate) fn container<'p>(pod: &'p Value, name: &str) -> &'p Value {
    match named(&pod["spec"]["containers"], name) {
        Value::Null => named(&pod["spec"]["initContainers"], name),
        container => container,
    }
}

fn volume<'p>(pod: &'p Value, name: &str) -> &'p Value {
    named(&pod["spec"]["volumes"], name)
}

fn env<'p>(container: &'p Value, name: &str) -> &'p Value {
    named(&container["env"], name)
}

fn named<'p>(list: &'p Value, name: &str) -> &'p Value {
    let mut items = list.as_array().into_iter().flatten();
    items.find(|item| item["name"] == name).unwrap_or(&Value::Null)
}

/// The volume that is mounted at a path.
fn mount<'p>(container: &'p Value, path: &str) -> &'p Value {
    let mut mounts = container["volumeMounts"].as_array().into_iter().flatten();
    mounts.find(|mount| mount["mountPath"] == path).map_or(&Value::Null, |mount| &mount["name"])
}

/// A container's command and arguments.
fn words(container: &Value) -> Vec<&str> {
    ["command", "args"]
        .iter()
        .filter_map(|list| container[list].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}
