//! Volumes and mounts.

use arc_rocm::inject::Config;
use serde_json::{Value, json};

use super::{answer, assert_warned, dind, merge, mounted, named, over, runner};
use crate::support::Answered;

const KEPT: &str = "the pod's own value is kept, profile rocm differs";

/// The plain runner with a volume of its own, mounted at `path` when a path is given.
fn with_volume(config: &Config, volume: &Value, path: Option<&str>, more: Value) -> Answered {
    answer(config, |pod| {
        merge(&mut pod["spec"]["volumes"], json!([volume]));
        if let Some(path) = path {
            let mut mount = json!({"name": volume["name"], "mountPath": path});
            merge(&mut mount, more);
            merge(&mut pod["spec"]["containers"][0]["volumeMounts"], json!([mount]));
        }
    })
}

fn count(answered: &Answered, name: &str) -> usize {
    let volumes = answered.pod["spec"]["volumes"].as_array().unwrap();
    volumes.iter().filter(|volume| volume["name"] == name).count()
}

#[test]
fn volume_own_of_same_name_is_used() {
    let volume = json!({"name": "work", "hostPath": {"path": "/scratch", "type": ""}});
    let answered = with_volume(&Config::default(), &volume, None, json!({}));
    assert_eq!(count(&answered, "work"), 1);
    assert_eq!(named(&answered.pod["spec"]["volumes"], "work"), &volume);
    assert_eq!(mounted(runner(&answered), "/home/runner/_work"), "work");
    assert_eq!(mounted(dind(&answered), "/home/runner/_work"), "work");
    assert_warned(&answered, &[&format!("arc-rocm: spec.volumes[work]: {KEPT}")]);
}

#[test]
fn volume_own_read_only_renames_profile_volume() {
    for source in [
        json!({"configMap": {"name": "x"}}),
        json!({"downwardAPI": {"items": []}}),
        json!({"secret": {"secretName": "x"}}),
        json!({"persistentVolumeClaim": {"claimName": "x", "readOnly": true}}),
    ] {
        for (name, path) in [
            ("work", "/home/runner/_work"),
            ("dind-sock", "/var/run"),
            ("dind-externals", "/home/runner/externals"),
            ("docker-data", "/home/runner/docker-data"),
        ] {
            let mut volume = source.clone();
            volume["name"] = name.into();
            let answered = with_volume(&Config::default(), &volume, None, json!({}));
            let renamed = format!("arc-rocm-{name}");
            assert_eq!(named(&answered.pod["spec"]["volumes"], name), &volume);
            assert_eq!(
                named(&answered.pod["spec"]["volumes"], &renamed),
                &json!({"name": renamed, "emptyDir": {}})
            );
            assert_eq!(mounted(runner(&answered), path), &renamed);
            assert_eq!(mounted(dind(&answered), path), &renamed);
            assert_warned(
                &answered,
                &[&format!(
                    "arc-rocm: spec.volumes[{name}]: the pod's own volume cannot serve here, so \
                     the profile's is named {renamed}"
                )],
            );
        }
    }
}

#[test]
fn work_directory_own_mount_reaches_dind() {
    let volume = json!({"name": "scratch", "emptyDir": {}});
    for path in ["/home/runner/_work", "/home/runner/_work/"] {
        let answered = with_volume(&Config::default(), &volume, Some(path), json!({}));
        assert_eq!(mounted(runner(&answered), path), "scratch");
        assert_eq!(mounted(dind(&answered), path), "scratch");
        assert_eq!(count(&answered, "work"), 0, "nothing mounts it");
        assert_warned(
            &answered,
            &[&format!(
                "arc-rocm: spec.containers[runner].volumeMounts[/home/runner/_work]: {KEPT}"
            )],
        );
    }
}

#[test]
fn work_directory_read_only_is_kept() {
    let volume = json!({"name": "files", "configMap": {"name": "x"}});
    let answered = with_volume(&Config::default(), &volume, Some("/home/runner/_work"), json!({}));
    assert_eq!(mounted(runner(&answered), "/home/runner/_work"), "files");
    assert_eq!(mounted(dind(&answered), "/home/runner/_work"), "files");
}

#[test]
fn dind_data_root_needs_writable_volume() {
    let volume = json!({"name": "files", "configMap": {"name": "x"}});
    let path = "/home/runner/docker-data";
    let answered = with_volume(&Config::default(), &volume, Some(path), json!({}));
    assert_eq!(mounted(runner(&answered), path), "files");
    assert_eq!(mounted(dind(&answered), path), "docker-data");
    assert_eq!(count(&answered, "docker-data"), 1);

    let claim = json!({"spec": {"accessModes": ["ReadWriteOnce"]}});
    for volume in [
        json!({"name": "nvme", "emptyDir": {}}),
        json!({"name": "nvme", "ephemeral": {"volumeClaimTemplate": claim}}),
    ] {
        let answered = with_volume(&Config::default(), &volume, Some(path), json!({}));
        assert_eq!(mounted(dind(&answered), path), "nvme");
        assert_eq!(count(&answered, "docker-data"), 0);
    }
}

/// Volumes that outlive the pod or that other pods use too.
fn lasting() -> [Value; 4] {
    [
        json!({"persistentVolumeClaim": {"claimName": "models"}}),
        json!({"hostPath": {"path": "/mnt/nvme", "type": ""}}),
        json!({"nfs": {"server": "nas", "path": "/export"}}),
        json!({"csi": {"driver": "example.com"}}),
    ]
}

#[test]
fn dind_data_root_avoids_volumes_outliving_the_pod() {
    let path = "/home/runner/docker-data";
    for source in lasting() {
        for at in [None, Some(path)] {
            let mut volume = source.clone();
            volume["name"] = "docker-data".into();
            let answered = with_volume(&Config::default(), &volume, at, json!({}));
            let volumes = &answered.pod["spec"]["volumes"];
            assert_eq!(named(volumes, "docker-data"), &volume);
            assert_eq!(
                named(volumes, "arc-rocm-docker-data"),
                &json!({"name": "arc-rocm-docker-data", "emptyDir": {}})
            );
            assert_eq!(mounted(dind(&answered), path), "arc-rocm-docker-data");
            let runners = if at.is_some() { "docker-data" } else { "arc-rocm-docker-data" };
            assert_eq!(mounted(runner(&answered), path), runners);
        }

        let mut volume = source.clone();
        volume["name"] = "nvme".into();
        let answered = with_volume(&Config::default(), &volume, Some(path), json!({}));
        assert_eq!(mounted(runner(&answered), path), "nvme");
        assert_eq!(mounted(dind(&answered), path), "docker-data");
        assert_warned(
            &answered,
            &[&format!("arc-rocm: spec.containers[runner].volumeMounts[{path}]: {KEPT}")],
        );
    }
}

#[test]
fn volume_new_name_is_checked_before_use() {
    let config_map = |name: &str| json!({"name": name, "configMap": {"name": "x"}});
    let answered = answer(&Config::default(), |pod| {
        let volumes = &mut pod["spec"]["volumes"];
        merge(volumes, json!([config_map("work"), config_map("arc-rocm-work")]));
    });
    let volumes = &answered.pod["spec"]["volumes"];
    assert_eq!(named(volumes, "arc-rocm-work"), &config_map("arc-rocm-work"));
    assert_eq!(
        named(volumes, "arc-rocm-work2"),
        &json!({"name": "arc-rocm-work2", "emptyDir": {}})
    );
    assert_eq!(mounted(runner(&answered), "/home/runner/_work"), "arc-rocm-work2");
    assert_eq!(mounted(dind(&answered), "/home/runner/_work"), "arc-rocm-work2");

    let scratch = json!({"name": "arc-rocm-work", "emptyDir": {}});
    let answered = answer(&Config::default(), |pod| {
        merge(&mut pod["spec"]["volumes"], json!([config_map("work"), scratch]));
    });
    assert_eq!(count(&answered, "arc-rocm-work"), 1);
    assert_eq!(mounted(dind(&answered), "/home/runner/_work"), "arc-rocm-work");
}

#[test]
fn socket_directory_own_mount_reaches_dind() {
    let volume = json!({"name": "run", "emptyDir": {}});
    for path in ["/var/run", "/run", "/var/run/"] {
        let answered = with_volume(&Config::default(), &volume, Some(path), json!({}));
        assert_eq!(mounted(runner(&answered), path), "run");
        assert_eq!(mounted(dind(&answered), path), "run");
        assert_warned(
            &answered,
            &[&format!("arc-rocm: spec.containers[runner].volumeMounts[/var/run]: {KEPT}")],
        );
    }
}

#[test]
fn dind_without_writable_socket_is_left_out() {
    let config_map = json!({"name": "run", "configMap": {"name": "x"}});
    let empty = json!({"name": "run", "emptyDir": {}});
    for (volume, more) in [(config_map, json!({})), (empty, json!({"readOnly": true}))] {
        let answered = with_volume(&Config::default(), &volume, Some("/var/run"), more);
        assert_eq!(dind(&answered), &Value::Null);
        assert_eq!(mounted(runner(&answered), "/home/runner/externals"), &Value::Null);
        assert_eq!(runner(&answered)["command"][7], "--wait-for-docker=0");
        assert_eq!(
            answered.warnings()[0],
            "arc-rocm: spec.containers[runner].volumeMounts[/var/run]: what the pod mounts here \
             cannot hold Docker's socket, so no Docker-in-Docker is added"
        );
    }
}

#[test]
fn dind_beside_own_docker_socket_is_left_out() {
    let volume = json!({"name": "sock", "hostPath": {"path": "/run/docker.sock", "type": ""}});
    let answered =
        with_volume(&Config::default(), &volume, Some("/var/run/docker.sock"), json!({}));
    assert_eq!(dind(&answered), &Value::Null);
    assert_warned(
        &answered,
        &[
            "arc-rocm: spec.containers[runner].volumeMounts[/var/run/docker.sock]: the pod mounts a \
           Docker socket of its own, so no Docker-in-Docker is added",
        ],
    );
}

#[test]
fn podinfo_own_writable_mount_is_used() {
    let volume = json!({"name": "info", "emptyDir": {}});
    let answered = with_volume(&Config::default(), &volume, Some("/etc/podinfo"), json!({}));
    assert_eq!(mounted(runner(&answered), "/etc/podinfo"), "info");
    assert_eq!(count(&answered, "podinfo"), 0);
    assert_warned(
        &answered,
        &[&format!("arc-rocm: spec.containers[runner].volumeMounts[/etc/podinfo]: {KEPT}")],
    );
}

#[test]
fn podinfo_own_read_only_mount_is_kept() {
    for name in ["podinfo", "info"] {
        let volume = json!({"name": name, "downwardAPI": {"items": [], "defaultMode": 420}});
        let answered = with_volume(&Config::default(), &volume, Some("/etc/podinfo"), json!({}));
        assert_eq!(mounted(runner(&answered), "/etc/podinfo"), name);
        assert_warned(
            &answered,
            &["arc-rocm: spec.containers[runner].volumeMounts[/etc/podinfo]: the pod mounts \
               something read-only here, so jobs find no gha-* files"],
        );
    }
}

#[test]
fn mount_without_volume_gets_empty_dir() {
    let answered = answer(&Config::default(), |pod| {
        let mount = json!({"name": "cache", "mountPath": "/cache"});
        merge(&mut pod["spec"]["containers"][0]["volumeMounts"], json!([mount]));
    });
    assert_eq!(
        named(&answered.pod["spec"]["volumes"], "cache"),
        &json!({"name": "cache", "emptyDir": {}})
    );
    assert_warned(
        &answered,
        &[
            "arc-rocm: spec.containers[runner].volumeMounts[/cache]: the pod has no volume cache, so \
           an emptyDir was added",
        ],
    );
}

#[test]
fn mount_without_volume_gets_profile_volume() {
    let config = over(&json!({"sharedVolumes":
        [{"name": "models", "mountPath": "/models", "hostPath": {"path": "/mnt/models"}}]}));
    let answered = answer(&config, |pod| {
        let mount = json!({"name": "models", "mountPath": "/own"});
        merge(&mut pod["spec"]["containers"][0]["volumeMounts"], json!([mount]));
    });
    assert_eq!(
        named(&answered.pod["spec"]["volumes"], "models")["hostPath"]["path"],
        "/mnt/models"
    );
    assert_warned(&answered, &[]);
}

#[test]
fn dind_with_unwritable_profile_volume_is_left_out() {
    let config = over(&json!({
        "runner": {"volumeMounts": [{"name": "work", "mountPath": "/home/runner/_work"}]},
        "template": {"spec": {"volumes": [{"name": "work", "secret": {"secretName": "files"}}]}},
    }));
    let answered = answer(&config, |pod| {
        let mount = json!({"name": "work", "mountPath": "/var/run"});
        merge(&mut pod["spec"]["containers"][0]["volumeMounts"], json!([mount]));
    });
    assert_eq!(dind(&answered), &Value::Null);
}

/// The plugin adds its mount to each container without one, and the API server then calls the webhook
/// a second time (kubernetes/kubernetes, `plugin/pkg/admission/serviceaccount`).
#[test]
fn token_mount_of_the_runner_goes_to_new_containers() {
    const PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let new_mounts = |change: fn(&mut Value)| {
        let answered = answer(&Config::default(), |pod| {
            let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array_mut().unwrap();
            change(mounts.iter_mut().find(|mount| mount["mountPath"] == PATH).unwrap());
        });
        let containers = answered.pod["spec"]["initContainers"].as_array().unwrap().clone();
        assert_eq!(containers.len(), 2);
        let all = containers.into_iter().filter_map(|one| one["volumeMounts"].as_array().cloned());
        all.flatten().filter(|mount| mount["mountPath"] == PATH).collect::<Vec<_>>()
    };
    let mounts = new_mounts(|_| ());
    assert_eq!(mounts.len(), 2);
    for mount in mounts {
        assert!(mount["name"].as_str().unwrap().starts_with("kube-api-access-"), "{mount}");
        assert_eq!(mount["readOnly"], true);
    }
    // automountServiceAccountToken: false
    assert!(new_mounts(|mount| mount["mountPath"] = "/elsewhere".into()).is_empty());
    // A volume of the scale set's own.
    assert!(new_mounts(|mount| mount["name"] = "token".into()).is_empty());
}
