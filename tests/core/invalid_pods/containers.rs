//! Names of containers, commands, ports, probes.

use arc_rocm::{admission::Rules, scripts};
use serde_json::{Value, json};

use super::{answer, answer_runner, assert_warned, dind, merge, named, over_template, runner};

#[test]
fn a_name_taken_among_the_other_containers_stays_the_authors() {
    let rules = over_template(&json!({"initContainers":
        [{"name": "logger", "image": "log:1", "restartPolicy": "Always"}]}));
    let own = json!({"name": "logger", "image": "own:1"});
    let answered = answer(&rules, |pod| {
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
fn a_name_taken_among_the_init_containers_stays_the_authors() {
    let rules = over_template(&json!({"containers": [{"name": "metrics", "image": "m:1"}]}));
    let own = json!({"name": "metrics", "image": "own:1"});
    let answered = answer(&rules, |pod| pod["spec"]["initContainers"] = json!([own]));
    assert_eq!(answered.pod["spec"]["containers"].as_array().unwrap().len(), 1);
    assert_eq!(named(&answered.pod["spec"]["initContainers"], "metrics"), &own);
    assert_warned(
        &answered,
        &["arc-rocm: spec.initContainers[metrics]: the name is taken, so profile test adds none \
           to containers"],
    );
}

#[test]
fn externals_are_not_hidden_where_nothing_can_copy_them() {
    let own = json!({"name": "init-dind-externals", "image": "own:1"});
    let answered = answer(&Rules::default(), |pod| {
        merge(&mut pod["spec"]["containers"], json!([own]));
    });
    assert_eq!(named(&answered.pod["spec"]["containers"], "init-dind-externals"), &own);
    assert_eq!(super::mounted(runner(&answered), "/home/runner/externals"), &Value::Null);
    assert_eq!(super::mounted(runner(&answered), "/var/run"), "dind-sock");
}

#[test]
fn a_daemon_of_the_authors_is_kept_in_either_list() {
    for list in ["initContainers", "containers"] {
        for (name, image) in [("dind", "example.com/engine:1"), ("daemon", "docker:27-dind")] {
            let mut own = json!({"name": name, "image": image,
                "securityContext": {"privileged": true}});
            if list == "initContainers" {
                own["restartPolicy"] = "Always".into();
            }
            let answered = answer(&Rules::default(), |pod| {
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

#[test]
fn args_without_a_command_are_left_to_the_image() {
    let answered = answer_runner(
        &Rules::default(),
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
fn a_command_with_args_is_run_by_the_wrapper() {
    let answered = answer_runner(&Rules::default(), json!({"command": null, "args": null}));
    let command = runner(&answered)["command"].as_array().unwrap();
    assert_eq!(command.last().unwrap(), "/home/runner/run.sh");

    let answered = answer(&Rules::default(), |pod| {
        pod["spec"]["containers"][0]["command"] = json!(["/bin/bash"]);
        pod["spec"]["containers"][0]["args"] = json!(["-c", "exec /home/runner/run.sh"]);
    });
    let command = runner(&answered)["command"].as_array().unwrap();
    assert_eq!(command[2], scripts::START);
    assert_eq!(command[command.len() - 2..], ["--", "/bin/bash"]);
    assert_eq!(runner(&answered)["args"], json!(["-c", "exec /home/runner/run.sh"]));
}

#[test]
fn a_port_whose_name_is_taken_stays_out() {
    let rules = over_template(&json!({"containers":
        [{"name": "runner", "ports": [{"name": "http", "containerPort": 8080}]}]}));
    let own = json!([{"name": "http", "containerPort": 80, "protocol": "TCP"}]);
    let answered = answer_runner(&rules, json!({"ports": own}));
    assert_eq!(runner(&answered)["ports"], own);
    assert_warned(
        &answered,
        &["arc-rocm: spec.containers[runner].ports[8080]: the pod's own value is kept, profile \
           test differs"],
    );
}

#[test]
fn a_host_port_that_is_taken_stays_out() {
    let rules = over_template(&json!({"initContainers": [{"name": "metrics", "image": "m:1",
        "restartPolicy": "Always", "ports": [{"containerPort": 9100, "hostPort": 9100}]}]}));
    let own = json!([{"containerPort": 80, "hostPort": 9100, "protocol": "TCP"}]);
    let answered = answer_runner(&rules, json!({"ports": own}));
    let metrics = named(&answered.pod["spec"]["initContainers"], "metrics");
    assert_eq!(metrics["ports"], json!([]));
    assert_eq!(answered.warnings().len(), 1);
}

#[test]
fn on_the_hosts_network_every_port_is_a_host_port() {
    let rules = over_template(&json!({"initContainers": [{"name": "metrics", "image": "m:1",
        "restartPolicy": "Always", "ports": [{"containerPort": 80}, {"containerPort": 81}]}]}));
    let own = json!([{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]);
    let answered = answer(&rules, |pod| {
        pod["spec"]["hostNetwork"] = true.into();
        pod["spec"]["containers"][0]["ports"] = own.clone();
    });
    let metrics = named(&answered.pod["spec"]["initContainers"], "metrics");
    assert_eq!(metrics["ports"], json!([{"containerPort": 81}]));
}

#[test]
fn the_hosts_network_stays_out_where_ports_would_clash() {
    let rules = over_template(&json!({"hostNetwork": true}));
    let answered =
        answer_runner(&rules, json!({"ports": [{"containerPort": 80, "hostPort": 8080}]}));
    assert_eq!(answered.pod["spec"].get("hostNetwork"), None);
    assert_warned(
        &answered,
        &["arc-rocm: spec.hostNetwork: left out, because the pod says a hostPort that is not the \
           containerPort"],
    );
}

#[test]
fn an_init_container_that_is_not_restarted_gets_no_probe() {
    let rules = over_template(&json!({"initContainers": [{"name": "logger", "image": "log:1",
        "restartPolicy": "Always", "startupProbe": {"exec": {"command": ["true"]}}}]}));
    let answered = answer(&rules, |pod| {
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
fn a_sidecar_whose_restart_policy_another_webhook_lost_gets_it_back() {
    let first = answer(&Rules::default(), |_| {});
    let answered = answer(&Rules::default(), |pod| {
        *pod = first.pod.clone();
        for container in pod["spec"]["initContainers"].as_array_mut().unwrap() {
            container.as_object_mut().unwrap().remove("restartPolicy");
        }
    });
    assert_eq!(dind(&answered)["restartPolicy"], "Always");
    assert_eq!(answered.operations().len(), 1);
}

#[test]
fn a_container_that_is_resized_by_a_restart_keeps_its_pod_restarting() {
    let policy = json!([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]);
    let answered = answer(&Rules::default(), |pod| {
        pod["spec"]["restartPolicy"] = "Always".into();
        pod["spec"]["containers"][0]["resizePolicy"] = policy.clone();
    });
    assert_eq!(answered.pod["spec"]["restartPolicy"], "Always");
    assert_warned(
        &answered,
        &["arc-rocm: spec.restartPolicy: left out, because the pod says resizePolicy \
           RestartContainer"],
    );

    let rules = over_template(&json!({"restartPolicy": "Always",
        "containers": [{"name": "runner", "resizePolicy": policy}]}));
    let answered = answer(&rules, |_| {});
    assert_eq!(runner(&answered).get("resizePolicy"), None);
    assert_warned(
        &answered,
        &[
            "arc-rocm: spec.containers[runner].resizePolicy: RestartContainer is left out, because \
           the pod says restartPolicy: Never",
            "arc-rocm: spec.restartPolicy: the pod's own value is kept, profile test differs",
        ],
    );
}
