//! Names of containers, commands, ports, probes.

use arc_rocm::{inject::Config, scripts};
use serde_json::{Value, json};

use super::{
    answer, answer_runner, assert_warned, dind, merge, mounted, named, over, over_template, runner,
};
use crate::support::Answered;

#[test]
fn name_taken_by_container_adds_no_sidecar() {
    let config = over_template(&json!({"initContainers":
        [{"name": "logger", "image": "log:1", "restartPolicy": "Always"}]}));
    let own = json!({"name": "logger", "image": "own:1"});
    let answered = answer(&config, |pod| {
        merge(&mut pod["spec"]["containers"], json!([own]));
    });
    assert_eq!(named(&answered.pod["spec"]["containers"], "logger"), &own);
    assert_eq!(named(&answered.pod["spec"]["initContainers"], "logger"), &Value::Null);
    assert_warned(
        &answered,
        &["arc-rocm: spec.containers[logger]: the name is taken, so profile test adds none to \
           initContainers"],
    );
}

#[test]
fn name_taken_by_init_container_adds_no_container() {
    let config = over_template(&json!({"containers": [{"name": "metrics", "image": "m:1"}]}));
    let own = json!({"name": "metrics", "image": "own:1"});
    let answered = answer(&config, |pod| pod["spec"]["initContainers"] = json!([own]));
    assert_eq!(answered.pod["spec"]["containers"].as_array().unwrap().len(), 1);
    assert_eq!(named(&answered.pod["spec"]["initContainers"], "metrics"), &own);
    assert_warned(
        &answered,
        &["arc-rocm: spec.initContainers[metrics]: the name is taken, so profile test adds none \
           to containers"],
    );
}

#[test]
fn externals_without_copy_container_are_not_mounted() {
    let own = json!({"name": "init-dind-externals", "image": "own:1"});
    let answered = answer(&Config::default(), |pod| {
        merge(&mut pod["spec"]["containers"], json!([own]));
    });
    assert_eq!(named(&answered.pod["spec"]["containers"], "init-dind-externals"), &own);
    assert_eq!(mounted(runner(&answered), "/home/runner/externals"), &Value::Null);
    assert_eq!(mounted(runner(&answered), "/var/run"), "dind-sock");
}

#[test]
fn dind_own_in_either_list_is_kept() {
    for list in ["initContainers", "containers"] {
        for (name, image) in [("dind", "example.com/engine:1"), ("daemon", "docker:27-dind")] {
            let mut own = json!({"name": name, "image": image,
                "securityContext": {"privileged": true}});
            if list == "initContainers" {
                own["restartPolicy"] = "Always".into();
            }
            let answered = answer(&Config::default(), |pod| {
                merge(&mut pod["spec"], json!({list: [own]}));
            });
            let there = named(&answered.pod["spec"][list], name);
            for field in ["image", "securityContext"] {
                assert_eq!(there[field], own[field]);
            }
            let daemons = ["dind", "daemon"].map(|name| {
                ["initContainers", "containers"]
                    .iter()
                    .filter(|list| !named(&answered.pod["spec"][**list], name).is_null())
                    .count()
            });
            assert_eq!(daemons.iter().sum::<usize>(), 1);
            assert_eq!(
                answered.warnings()[0],
                format!(
                    "arc-rocm: spec.{list}[{name}]: the pod has its own Docker-in-Docker, which \
                     is kept as it is"
                )
            );
        }
    }
}

/// The plain runner with one more container in `list`.
fn with_container(config: &Config, list: &str, own: &Value) -> Answered {
    answer(config, |pod| merge(&mut pod["spec"], json!({list: [own]})))
}

#[test]
fn dind_own_is_any_container_starting_dockerd() {
    for own in [
        json!({"image": "docker:dind"}),
        json!({"image": "registry.example.com:5000/library/docker:28.1-dind-rootless"}),
        json!({"image": "docker:27-dind@sha256:abc"}),
        json!({"image": "example.com/dind:1"}),
        json!({"image": "a:1", "command": ["/usr/bin/dockerd", "--debug"]}),
        json!({"image": "a:1", "args": ["dockerd", "--debug"]}),
        json!({"image": "a:1", "command": ["dockerd-entrypoint.sh"]}),
        json!({"image": "a:1", "command": ["sh", "-c"], "args": ["exec dockerd --debug"]}),
        // As in templates that start dockerd in a shell.
        json!({"image": "a:1", "command": ["sh", "-c",
            "dockerd --host=unix:///var/run/docker.sock &\nuntil docker info; do sleep 1; done"]}),
        json!({"image": "a:1", "command": ["/bin/bash", "-ec", "umask 022; dockerd"]}),
        json!({"image": "a:1", "command": ["sh", "-c", "DOCKER_RAMDISK=1 dockerd & wait"]}),
    ] {
        let mut own = own.clone();
        own["name"] = "engine".into();
        let answered = with_container(&Config::default(), "containers", &own);
        assert_eq!(dind(&answered), &Value::Null, "{own}");
        assert_eq!(
            answered.warnings()[0],
            "arc-rocm: spec.containers[engine]: the pod has its own Docker-in-Docker, which is \
             kept as it is"
        );
    }
}

#[test]
fn dind_own_is_no_container_mentioning_docker() {
    for (list, own) in [
        (
            "initContainers",
            json!({"image": "docker:27-dind", "command": ["cp", "/usr/local/bin/docker", "/x"]}),
        ),
        ("initContainers", json!({"image": "docker:27-dind", "restartPolicy": "Never"})),
        ("containers", json!({"image": "example.com/dind-exporter:1"})),
        ("containers", json!({"image": "docker:27-cli"})),
        (
            "containers",
            json!({"image": "a:1", "command": ["sh", "-c", "until pgrep dockerd; do sleep 1; done"]}),
        ),
        ("containers", json!({"image": "a:1", "command": ["pgrep", "dockerd"]})),
        ("containers", json!({"image": "a:1", "args": ["--watch=dockerd", "dockerd"]})),
    ] {
        let mut own = own.clone();
        own["name"] = "other".into();
        let answered = with_container(&Config::default(), list, &own);
        assert_ne!(dind(&answered), &Value::Null, "{own}");
        assert_eq!(named(&answered.pod["spec"][list], "other"), &own);
        assert_warned(&answered, &[]);
    }
}

#[test]
fn dind_name_taken_by_init_container_disables_dind() {
    let own = json!({"name": "dind", "image": "docker:27-dind", "command": ["cp", "a", "b"]});
    let answered = with_container(&Config::default(), "initContainers", &own);
    assert_eq!(answered.pod["spec"]["initContainers"], json!([own]));
    let command = runner(&answered)["command"].as_array().unwrap();
    assert!(command.contains(&json!("--wait-for-docker=0")), "{command:?}");
    assert_warned(
        &answered,
        &[
            "arc-rocm: spec.initContainers[dind]: the name is taken by an init container that is no \
           sidecar, so no Docker-in-Docker is added",
        ],
    );
}

#[test]
fn dind_own_gets_profile_mounts_and_env() {
    let config = over(&json!({
        "sharedVolumes":
            [{"name": "models", "mountPath": "/models", "hostPath": {"path": "/mnt/models"}}],
        "dind": {"resources": {"requests": {"cpu": "2"}}},
        "template": {"spec": {"initContainers":
            [{"name": "dind", "env": [{"name": "MIRROR", "value": "m"}]}]}},
    }));
    for list in ["initContainers", "containers"] {
        for name in ["dind", "docker"] {
            let mut own = json!({"name": name, "image": "docker:dind"});
            if list == "initContainers" {
                own["restartPolicy"] = "Always".into();
            }
            let answered = with_container(&config, list, &own);
            let there = named(&answered.pod["spec"][list], name);
            assert_eq!(mounted(there, "/models"), "models");
            assert_eq!(mounted(there, "/home/runner/_work"), "work");
            assert_eq!(mounted(there, "/var/run"), &Value::Null);
            assert_eq!(named(&there["env"], "MIRROR")["value"], "m");
            assert_eq!(there["resources"]["requests"]["cpu"], "2");
            assert_eq!(there["image"], "docker:dind");
        }
    }
}

#[test]
fn image_own_without_command_keeps_entrypoint() {
    let own = json!({"image": "own:1", "command": null, "args": null});
    let answered = answer_runner(&Config::default(), own);
    assert_eq!(runner(&answered)["command"], Value::Null);
    assert_warned(
        &answered,
        &[
            "arc-rocm: spec.containers[runner].image: the pod's own value is kept, profile rocm \
             differs",
            "arc-rocm: spec.containers[runner].command: without a command the pod runs the image's own \
             entrypoint, which is not known here, so the start wrapper is left out: set a command",
        ],
    );

    for image in
        ["ghcr.io/actions/actions-runner@sha256:abc", "ghcr.io/saienduri/ghascale-rocm-dev:main"]
    {
        let answered = answer_runner(&Config::default(), json!({"image": image, "command": null}));
        let command = runner(&answered)["command"].as_array().unwrap();
        assert_eq!(command.last().unwrap(), "/home/runner/run.sh");
    }
}

#[test]
fn args_of_profile_apply_to_chart_command() {
    let config = over_template(&json!({"containers": [{"name": "runner", "args": ["--once"]}]}));
    for command in [json!(["/home/runner/run.sh"]), json!(null)] {
        let answered = answer(&config, |pod| pod["spec"]["containers"][0]["command"] = command);
        let command = runner(&answered)["command"].as_array().unwrap();
        assert_eq!(command.last().unwrap(), "/home/runner/run.sh");
        assert_eq!(runner(&answered)["args"], json!(["--once"]));
        assert_warned(&answered, &[]);
    }

    let answered = answer(&config, |pod| {
        pod["spec"]["containers"][0]["command"] = json!(["/own.sh"]);
    });
    assert_eq!(runner(&answered).get("args"), None);
    assert_warned(
        &answered,
        &["arc-rocm: spec.containers[runner].args: the pod's own value is kept, profile test \
           differs"],
    );
}

#[test]
fn args_without_command_keep_the_entrypoint() {
    let answered = answer_runner(
        &Config::default(),
        json!({"image": "own:1", "command": null, "args": ["--once"]}),
    );
    assert_eq!(runner(&answered)["command"], Value::Null);
    assert_eq!(runner(&answered)["args"], json!(["--once"]));
    assert_warned(
        &answered,
        &[
            "arc-rocm: spec.containers[runner].image: the pod's own value is kept, profile rocm \
             differs",
            "arc-rocm: spec.containers[runner].args: args without a command run the image's own \
             entrypoint, which is not known here, so the start wrapper is left out: set a command",
        ],
    );
}

#[test]
fn command_with_args_runs_in_start_wrapper() {
    let answered = answer_runner(&Config::default(), json!({"command": null, "args": null}));
    let command = runner(&answered)["command"].as_array().unwrap();
    assert_eq!(command.last().unwrap(), "/home/runner/run.sh");

    let answered = answer(&Config::default(), |pod| {
        pod["spec"]["containers"][0]["command"] = json!(["/bin/bash"]);
        pod["spec"]["containers"][0]["args"] = json!(["-c", "exec /home/runner/run.sh"]);
    });
    let command = runner(&answered)["command"].as_array().unwrap();
    assert!(command[2].as_str().unwrap().starts_with(scripts::FIRST_WORDS));
    assert_eq!(command[command.len() - 2..], ["--", "/bin/bash"]);
    assert_eq!(runner(&answered)["args"], json!(["-c", "exec /home/runner/run.sh"]));
}

#[test]
fn port_with_taken_name_is_left_out() {
    let config = over_template(&json!({"containers":
        [{"name": "runner", "ports": [{"name": "http", "containerPort": 8080}]}]}));
    let own = json!([{"name": "http", "containerPort": 80, "protocol": "TCP"}]);
    let answered = answer_runner(&config, json!({"ports": own}));
    assert_eq!(runner(&answered)["ports"], own);
    assert_warned(
        &answered,
        &["arc-rocm: spec.containers[runner].ports[8080]: the pod's own value is kept, profile \
           test differs"],
    );
}

#[test]
fn port_on_host_network_is_host_port() {
    let config = over_template(&json!({"initContainers": [{"name": "metrics", "image": "m:1",
        "restartPolicy": "Always", "ports": [{"containerPort": 80}, {"containerPort": 81}]}]}));
    let own = json!([{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]);
    let answered = answer(&config, |pod| {
        pod["spec"]["hostNetwork"] = true.into();
        pod["spec"]["containers"][0]["ports"] = own.clone();
    });
    let metrics = named(&answered.pod["spec"]["initContainers"], "metrics");
    assert_eq!(metrics["ports"], json!([{"containerPort": 81}]));
}

#[test]
fn host_network_beside_host_port_is_left_out() {
    let config = over_template(&json!({"hostNetwork": true}));
    let answered =
        answer_runner(&config, json!({"ports": [{"containerPort": 80, "hostPort": 8080}]}));
    assert_eq!(answered.pod["spec"].get("hostNetwork"), None);
    assert_warned(
        &answered,
        &["arc-rocm: spec.hostNetwork: left out, because the pod says a hostPort that is not the \
           containerPort"],
    );
}

#[test]
fn init_container_without_restart_gets_no_probe() {
    let config = over_template(&json!({"initContainers": [{"name": "logger", "image": "log:1",
        "restartPolicy": "Always", "startupProbe": {"exec": {"command": ["true"]}}}]}));
    let answered = answer(&config, |pod| {
        pod["spec"]["initContainers"] =
            json!([{"name": "logger", "image": "log:1", "restartPolicy": "Never"}]);
    });
    let logger = named(&answered.pod["spec"]["initContainers"], "logger");
    assert_eq!(logger["restartPolicy"], "Never");
    assert_eq!(logger.get("startupProbe"), None);
    assert_warned(
        &answered,
        &["arc-rocm: spec.initContainers[logger].restartPolicy: the pod's own value is kept, \
           profile test differs"],
    );
}

#[test]
fn sidecar_restart_policy_lost_is_restored() {
    let first = answer(&Config::default(), |_| {});
    let answered = answer(&Config::default(), |pod| {
        *pod = first.pod.clone();
        for container in pod["spec"]["initContainers"].as_array_mut().unwrap() {
            container.as_object_mut().unwrap().remove("restartPolicy");
        }
    });
    assert_eq!(dind(&answered)["restartPolicy"], "Always");
    assert_eq!(answered.operations().len(), 1);
}

/// actions/runner-container-hooks, `packages/docker`: hooks that run `docker` in this pod.
#[test]
fn docker_container_hooks_get_dind() {
    let answered = answer_runner(
        &Config::default(),
        json!({"env": [{"name": "ACTIONS_RUNNER_CONTAINER_HOOKS",
            "value": "/home/runner/docker/index.js"}]}),
    );
    assert_eq!(dind(&answered)["name"], "dind");
    assert_warned(&answered, &[]);
}
