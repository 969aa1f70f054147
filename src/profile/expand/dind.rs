//! `dind`: the sidecar, the copied externals, and what the runner shares with it.

use serde_json::{Map, Value, json};

use super::{Parts, layer_items, scripts_mount, shared_mounts};
use crate::{
    podspec::image::default_pull_policy,
    profile::{
        spec::{DataRoot, Dind, SharedVolume},
        template::{
            DATA_ROOT, DATA_VOLUME, DIND, DIND_IMAGE, DOCKER_GID, EXTERNALS_PATH, EXTERNALS_VOLUME,
            GID_VARIABLE, INIT_EXTERNALS, REGISTRY_CREDENTIALS_FILE, REGISTRY_CREDENTIALS_PATH,
            REGISTRY_CREDENTIALS_VOLUME, SOCKET_VOLUME, WORK_PATH, WORK_VOLUME, name_of,
        },
    },
    scripts,
};

/// Docker's own default, which the runner's `-v /var/run/docker.sock` mounts rely on.
const SOCKET: &str = "unix:///var/run/docker.sock";
/// Where the socket's volume is mounted, as in ARC's chart.
const SOCKET_PATH: &str = "/var/run";
/// Where the init container sees the empty volume, as in ARC's chart.
const EXTERNALS_TARGET: &str = "/home/runner/tmpDir";

impl Parts {
    /// `template` is the profile's own, which may mount a data root of its own.
    pub(super) fn dind(&mut self, dind: &Dind, shared: &[SharedVolume], template: Option<&Value>) {
        let Dind {
            enabled: _,
            image,
            image_pull_policy,
            gid,
            data_root,
            registry_mirrors,
            insecure_registries,
            mtu,
            resources,
            extra_args,
            env: own_env,
            registry_credentials,
        } = dind;
        let data_root = data_root.clone().unwrap_or_default();
        let path = data_root.path.as_deref().unwrap_or(DATA_ROOT).to_owned();
        let data_mount = data_mount(&data_root, &path);

        self.volumes.extend([
            json!({"name": WORK_VOLUME, "emptyDir": {}}),
            json!({"name": SOCKET_VOLUME, "emptyDir": {}}),
            json!({"name": EXTERNALS_VOLUME, "emptyDir": {}}),
            data_volume(&data_root),
        ]);
        let work = json!({"name": WORK_VOLUME, "mountPath": WORK_PATH});
        let socket = json!({"name": SOCKET_VOLUME, "mountPath": SOCKET_PATH});
        let externals = json!({"name": EXTERNALS_VOLUME, "mountPath": EXTERNALS_PATH});
        let mounts = [work, socket, externals, data_mount];
        self.runner_mounts.extend(mounts.clone());
        self.runner_env.extend([
            json!({"name": "DOCKER_HOST", "value": SOCKET}),
            pod_name(),
            json!({"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}),
        ]);
        if let Some(credentials) = registry_credentials {
            self.volumes.push(json!({
                "name": REGISTRY_CREDENTIALS_VOLUME,
                "secret": {
                    "secretName": credentials.secret_name,
                    "items": [{"key": ".dockerconfigjson", "path": REGISTRY_CREDENTIALS_FILE}],
                },
            }));
            self.runner_mounts.push(json!({
                "name": REGISTRY_CREDENTIALS_VOLUME,
                "mountPath": REGISTRY_CREDENTIALS_PATH,
                "readOnly": true,
            }));
        }

        let mut args = vec![
            format!("--host={SOCKET}"),
            format!("--group=$({GID_VARIABLE})"),
            format!("--data-root={path}"),
        ];
        let each = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        args.extend(each(registry_mirrors).iter().map(|url| format!("--registry-mirror={url}")));
        args.extend(
            each(insecure_registries).iter().map(|name| format!("--insecure-registry={name}")),
        );
        // The first is for docker0 alone; jobs make networks of their own (`docker network create`).
        for flag in ["--mtu=", "--default-network-opt=bridge=com.docker.network.driver.mtu="] {
            args.extend(mtu.map(|mtu| format!("{flag}{mtu}")));
        }
        args.extend(each(extra_args));

        let mut env =
            vec![json!({"name": GID_VARIABLE, "value": gid.unwrap_or(DOCKER_GID).to_string()})];
        let has_pods_directory =
            data_root.sub_path_expr.is_some() || shared.iter().any(uses_pod_name);
        if has_pods_directory {
            // A mount's subPathExpr takes its variables from its own container.
            env.push(pod_name());
        }
        if let Some(own) = own_env {
            layer_items(&mut env, own, &["name"]);
        }
        let script = scripts::dind(has_pods_directory || has_sub_path_expr(template));

        let image = image.as_deref().unwrap_or(DIND_IMAGE);
        let policy = image_pull_policy.as_deref().unwrap_or_else(|| default_pull_policy(image));
        let command: &[&str] = if self.has_scripts_image {
            &["/bin/sh", scripts::image::DIND_FILE]
        } else {
            &["/bin/sh", "-c", &script, scripts::DIND_NAME]
        };
        let scripts = self.has_scripts_image.then(scripts_mount);
        let shared = shared.iter().flat_map(shared_mounts);
        let mut sidecar = json!({
            "name": DIND,
            "image": image,
            "imagePullPolicy": policy,
            "restartPolicy": "Always",
            // Only sidecars may have one. Where another webhook drops restartPolicy, the API server
            // refuses the pod: an init container that never ends would hold its GPUs for ever.
            "lifecycle": {},
            "command": command,
            "args": args,
            "env": env,
            "securityContext": {"privileged": true},
            "volumeMounts": mounts.into_iter().chain(shared).chain(scripts).collect::<Vec<_>>(),
        });
        if let (Some(resources), Value::Object(members)) = (resources, &mut sidecar) {
            members.insert("resources".into(), resources.clone());
        }
        self.init_containers.extend([
            json!({
                "name": INIT_EXTERNALS,
                "command": ["cp", "-r", "/home/runner/externals/.", "/home/runner/tmpDir/"],
                "volumeMounts": [{"name": EXTERNALS_VOLUME, "mountPath": EXTERNALS_TARGET}],
            }),
            sidecar,
        ]);
    }
}

/// Whether the template's dind has a mount with a `subPathExpr`.
fn has_sub_path_expr(template: Option<&Value>) -> bool {
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let lists = ["/spec/initContainers", "/spec/containers"];
    let containers = lists.iter().filter_map(|list| Some(items(template?.pointer(list)?)));
    let dind = containers.flatten().filter(|one| name_of(one) == DIND);
    let mounts = dind.filter_map(|one| Some(items(one.get("volumeMounts")?)));
    mounts.flatten().any(|mount| mount.get("subPathExpr").is_some())
}

/// Whether a `subPathExpr` of the volume needs the variable [`pod_name`].
pub(super) fn uses_pod_name(shared: &SharedVolume) -> bool {
    let mut expressions = shared.mounts().filter_map(|mount| mount.sub_path_expr);
    expressions.any(|text| text.contains("$(POD_NAME)"))
}

/// The pod's name as an environment variable.
pub(super) fn pod_name() -> Value {
    json!({"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})
}

fn data_volume(data_root: &DataRoot) -> Value {
    let DataRoot {
        path: _,
        empty_dir,
        host_path,
        persistent_volume_claim,
        ephemeral,
        sub_path_expr: _,
    } = data_root;
    let sources = [
        ("emptyDir", empty_dir),
        ("hostPath", host_path),
        ("persistentVolumeClaim", persistent_volume_claim),
        ("ephemeral", ephemeral),
    ];
    let mut volume = Map::new();
    for (field, source) in sources {
        if let Some(source) = source {
            volume.insert(field.into(), source.clone());
        }
    }
    if volume.is_empty() {
        volume.insert("emptyDir".into(), json!({}));
    }
    volume.insert("name".into(), DATA_VOLUME.into());
    volume.into()
}

fn data_mount(data_root: &DataRoot, path: &str) -> Value {
    let mut mount = json!({"name": DATA_VOLUME, "mountPath": path});
    if let (Some(expression), Value::Object(members)) = (&data_root.sub_path_expr, &mut mount) {
        members.insert("subPathExpr".into(), expression.as_str().into());
    }
    mount
}
