//! What the added dind gets of the runner, and what it does to the node.

use serde_json::{Value, json};

use super::{
    Config, answer, answer_runner, assert_warned, dind, merge, named, over, over_template, runner,
};
use crate::support::Answered;

const WORK: &str = "/home/runner/_work";

/// dind's variables as NAME=VALUE, without the one that every dind has.
fn variables(answered: &Answered) -> Vec<String> {
    let env = dind(answered)["env"].as_array().unwrap().iter();
    let text = |one: &Value| one["value"].as_str().unwrap_or("(ref)").to_owned();
    let all = env.map(|one| format!("{}={}", one["name"].as_str().unwrap(), text(one)));
    all.filter(|one| !one.starts_with("DOCKER_GROUP_GID=")).collect()
}

#[test]
fn dind_gets_proxies_of_env_from_and_profile() {
    let proxy = json!([{"secretRef": {"name": "proxy"}}]);
    let answered = answer_runner(&Config::default(), json!({"envFrom": proxy}));
    assert_eq!(dind(&answered)["envFrom"], proxy);
    // Another Docker's address may come with it.
    assert_eq!(variables(&answered), ["DOCKER_HOST=unix:///var/run/docker.sock"]);

    let config = over(&json!({
        "runner": {"env": [
            {"name": "HTTPS_PROXY", "value": "http://proxy"},
            {"name": "NODE_EXTRA_CA_CERTS", "value": "/ca/ca.crt"},
        ], "volumeMounts": [{"name": "ca", "mountPath": "/ca"}]},
        "template": {"spec": {
            "volumes": [{"name": "ca", "configMap": {"name": "ca"}}],
            "containers": [{"name": "runner", "envFrom": [{"configMapRef": {"name": "more"}}]}],
        }},
    }));
    let answered = answer(&config, |_| {});
    assert_eq!(dind(&answered)["envFrom"], json!([{"configMapRef": {"name": "more"}}]));
    let proxy = "HTTPS_PROXY=http://proxy";
    let host = "DOCKER_HOST=unix:///var/run/docker.sock";
    assert_eq!(variables(&answered), [proxy, host, "SSL_CERT_DIR=/etc/ssl/certs:/ca"]);
    // A volume of the pod's own has that name.
    let answered = answer(&config, |pod| {
        let own = json!([{"name": "ca", "hostPath": {"path": "/etc/ca", "type": ""}}]);
        merge(&mut pod["spec"]["volumes"], own);
    });
    let mounts = dind(&answered)["volumeMounts"].as_array().unwrap();
    let mount = mounts.iter().find(|mount| mount["mountPath"] == "/ca").unwrap();
    assert_eq!(
        runner(&answered)["volumeMounts"].as_array().unwrap().iter().find(|one| **one == *mount),
        Some(mount)
    );
}

/// A runner that works in a directory of its own on a claim, with these variables.
fn works_in(config: &Config, expression: &str, env: &Value) -> Answered {
    answer(config, |pod| {
        let claim = json!({"name": "work", "persistentVolumeClaim": {"claimName": "work"}});
        merge(&mut pod["spec"]["volumes"], json!([claim]));
        let mount = json!({"name": "work", "mountPath": WORK, "subPathExpr": expression});
        let runner = json!({"env": env, "volumeMounts": [mount]});
        merge(&mut pod["spec"]["containers"][0], runner);
    })
}

/// dind's mount of the work directory.
fn shared(answered: &Answered) -> &Value {
    let mounts = dind(answered)["volumeMounts"].as_array().unwrap();
    mounts.iter().find(|mount| mount["mountPath"] == WORK).unwrap_or(&Value::Null)
}

#[test]
fn dind_mount_variables_bring_those_they_refer_to() {
    let pod_name = json!({"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}});
    let env = json!([
        {"name": "ME", "valueFrom": pod_name},
        {"name": "OTHER", "value": "x"},
        {"name": "TEAM", "value": "team-$(ME)"},
        {"name": "DIR", "value": "$(TEAM)/$(ME)-$(FROM_CONFIG_MAP)"},
    ]);
    let answered = works_in(&Config::default(), "a/$(DIR)", &env);
    assert_eq!(shared(&answered)["subPathExpr"], "a/$(DIR)");
    let wanted = ["ME=(ref)", "TEAM=team-$(ME)", "DIR=$(TEAM)/$(ME)-$(FROM_CONFIG_MAP)"];
    assert_eq!(variables(&answered), wanted);
    assert_eq!(answered.warnings().len(), 2, "{:?}", answered.warnings());

    // From the template, which the pod's runner does not have yet.
    let answered = works_in(&Config::default(), "$(POD_NAME)", &json!([]));
    assert_eq!(variables(&answered), ["POD_NAME=(ref)"]);
}

#[test]
fn dind_mount_with_other_variable_is_left_to_runner() {
    let own = over(&json!({"template": {"spec": {
        "initContainers": [{"name": "dind", "env": [{"name": "TEAM", "value": "dinds"}]}],
    }}}));
    let cpu = json!({"resourceFieldRef": {"resource": "limits.cpu"}});
    for (config, env, variable) in [
        (
            &own,
            json!([{"name": "TEAM", "value": "a"}, {"name": "DIR", "value": "$(TEAM)"}]),
            "TEAM",
        ),
        (&Config::default(), json!([{"name": "DIR", "valueFrom": cpu}]), "DIR"),
    ] {
        let answered = works_in(config, "$(DIR)", &env);
        assert_eq!(shared(&answered), &Value::Null, "{variable}");
        let warning = format!(
            "arc-rocm: spec.containers[runner].volumeMounts[{WORK}]: dind does not have this mount, \
             because {variable} of its subPathExpr has another value there: docker run -v finds no \
             file of it"
        );
        assert!(answered.warnings().contains(&warning), "{:?}", answered.warnings());
    }
}

#[test]
fn dind_without_the_runners_socket_directory_is_left_out() {
    let answered = answer(&Config::default(), |pod| {
        merge(&mut pod["spec"]["volumes"], json!([{"name": "run", "emptyDir": {}}]));
        let cpu = json!({"resourceFieldRef": {"resource": "limits.cpu"}});
        let mount = json!({"name": "run", "mountPath": "/run", "subPathExpr": "$(DIR)"});
        let runner = json!({"env": [{"name": "DIR", "valueFrom": cpu}], "volumeMounts": [mount]});
        merge(&mut pod["spec"]["containers"][0], runner);
    });
    assert_eq!(dind(&answered), &Value::Null);
    assert_warned(
        &answered,
        &["arc-rocm: spec.containers[runner].volumeMounts[/run]: what the pod mounts here cannot \
           hold Docker's socket, so no Docker-in-Docker is added"],
    );
}

/// docker-library/docker#443
#[test]
fn dind_on_the_hosts_network_is_reported() {
    let warning = "arc-rocm: spec.hostNetwork: dockerd makes docker0 and its iptables chains on the \
                   node, which all runners of the node share";
    let answered = answer(&Config::default(), |pod| pod["spec"]["hostNetwork"] = true.into());
    assert_warned(&answered, &[warning]);
    let config = over_template(&json!({"hostNetwork": true}));
    assert_warned(&answer(&config, |_| {}), &[warning]);
    assert_warned(
        &answer(&config, |pod| pod["spec"]["hostNetwork"] = false.into()),
        &["arc-rocm: spec.hostNetwork: the pod's own value is kept, profile test differs"],
    );
    let answered = answer(&config, |pod| {
        let own = json!([{"name": "dind", "image": "docker:dind", "restartPolicy": "Always"}]);
        pod["spec"]["initContainers"] = own;
    });
    assert!(!answered.warnings().contains(&warning.to_owned()), "not the profile's dockerd");
}

/// Webhooks run in the order of their names: a rewriter of images may come before or after
/// (open-policy-agent/gatekeeper#3858, estahn/k8s-image-swapper#28).
#[test]
fn image_at_a_mirror_is_what_its_path_says() {
    let profiles = "ghcr.io/saienduri/ghascale-rocm-dev:main";
    let at = |image: &str| {
        let runner = json!({"image": image, "imagePullPolicy": "Always", "command": null});
        answer_runner(&Config::default(), runner)
    };
    let chart = at("mirror.example/ghcr.io/actions/actions-runner:latest");
    assert_eq!(runner(&chart)["image"], profiles);
    let mirrored = format!("mirror.example/{profiles}");
    let kept = at(&mirrored);
    let init = named(&kept.pod["spec"]["initContainers"], "init-dind-externals");
    assert_eq!([&runner(&kept)["image"], &init["image"]], [&mirrored; 2]);
    for answered in [chart, kept] {
        assert_warned(&answered, &[]);
        assert!(
            runner(&answered)["command"]
                .as_array()
                .unwrap()
                .contains(&"/home/runner/run.sh".into())
        );
    }
}

#[test]
fn job_hooks_know_the_number_of_gpus() {
    let config = over(&json!({"jobHooks": {}}));
    let number = |answered: &Answered| named(&runner(answered)["env"], "ARC_ROCM_GPUS").clone();
    let two = answer(&config, |_| {});
    assert_eq!(number(&two), json!({"name": "ARC_ROCM_GPUS", "value": "2"}));
    let own =
        json!({"resources": {"limits": {"amd.com/gpu": "4"}, "requests": {"amd.com/gpu": "4"}}});
    assert_eq!(number(&answer_runner(&config, own))["value"], "4");
    let none = answer(&Config::default(), |_| {});
    assert_eq!(number(&none), Value::Null, "only the hooks read it");
}
