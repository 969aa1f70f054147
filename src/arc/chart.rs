//! ARC's chart gha-runner-scale-set: from values to the `AutoscalingRunnerSet`, as far as it reaches the
//! runner pod (actions-runner-controller 0.14.2, `charts/gha-runner-scale-set`).
//!
//! Versions 0.12 and 0.13 differ only in what they lack, and in the variables of the controller.

use serde_json::{Map, Value, json};

use super::texts;
use crate::podspec::{
    names::is_subdomain,
    runner_pod::{RUNNER, SCALE_SET_LABEL, SCALE_SET_NAMESPACE_LABEL},
};

/// The chart's version where none is given.
pub const VERSION: &str = "0.14.2";
/// The label with the chart's version, which is that of the controller too.
pub(super) const VERSION_LABEL: &str = "app.kubernetes.io/version";
/// Keys by which values of the chart are known: those of the experimental chart and of the controller's
/// have none of them.
pub const KEYS: [&str; 7] = [
    "githubConfigUrl",
    "githubConfigSecret",
    "runnerScaleSetName",
    "containerMode",
    "githubServerTLS",
    "listenerTemplate",
    "template",
];
/// Most bytes of a scale set's name, by the chart's own check.
const NAME_LENGTH: usize = 45;
const WORK: &str = "work";
const DIND: &str = "dind";
const TLS_VOLUME: &str = "github-server-tls-cert";

/// What Helm knows beside the values.
#[derive(Clone, Copy, Debug)]
pub struct Release<'r> {
    /// The release's name; the scale set's, unless the values have one.
    pub name: &'r str,
    /// The release's namespace.
    pub namespace: &'r str,
    /// The chart's version.
    pub version: &'r str,
}

/// What is wrong with values, or what is assumed of them.
#[derive(Debug, Eq, PartialEq)]
pub struct ValuesProblem {
    /// The JSON pointer of the value.
    pub path: String,
    /// Lower case, no full stop.
    pub message: String,
}

/// A value of the values file with its JSON pointer. A value that is absent is null.
#[derive(Clone, Debug)]
struct At<'v> {
    value: &'v Value,
    path: String,
}

impl<'v> At<'v> {
    /// The member `key`; of a value that is absent too.
    ///
    /// # Errors
    ///
    /// The value is no map.
    fn get(&self, key: &str) -> Result<Self, ValuesProblem> {
        const NULL: &Value = &Value::Null;
        match self.value {
            Value::Object(_) | Value::Null => Ok(Self {
                value: self.value.get(key).unwrap_or(NULL),
                path: format!("{}/{key}", self.path),
            }),
            _ => Err(self.problem("expected a map")),
        }
    }

    /// The items of a list of maps; none of a value that is absent.
    fn items(&self) -> Result<&'v [Value], ValuesProblem> {
        match self.value {
            Value::Array(items) if items.iter().all(Value::is_object) => Ok(items),
            Value::Null => Ok(&[]),
            _ => Err(self.problem("expected a list of maps")),
        }
    }

    /// The members of a map; none of a value that is absent.
    fn members(&self) -> Result<impl Iterator<Item = (&'v String, &'v Value)>, ValuesProblem> {
        match self.value {
            Value::Object(_) | Value::Null => Ok(self.value.as_object().into_iter().flatten()),
            _ => Err(self.problem("expected a map")),
        }
    }

    fn text(&self) -> &'v str {
        self.value.as_str().unwrap_or_default()
    }

    fn problem(&self, message: &str) -> ValuesProblem {
        ValuesProblem { path: self.path.clone(), message: message.to_owned() }
    }
}

/// The `AutoscalingRunnerSet` that Helm makes of `values`. What does not reach the runner pod, such as
/// the secret and the number of runners, is left out.
///
/// # Errors
///
/// The first value that Helm, the chart or the API server refuses.
pub fn scale_set(values: &Value, release: &Release<'_>) -> Result<Value, ValuesProblem> {
    let values = At { value: values, path: String::new() };
    let given = values.get("runnerScaleSetName")?;
    let name = first(given.text(), release.name);
    let object_name = name.replace('_', "-");
    if name.len() > NAME_LENGTH || !is_subdomain(&object_name) {
        return Err(given.problem(&format!(
            "the scale set's name {name:?} is refused: it may have {NAME_LENGTH} lower-case \
             letters, digits, '-', '_' and '.'"
        )));
    }
    let namespace = values.get("namespaceOverride")?;
    let namespace = first(namespace.text(), release.namespace);
    let meta = values.get("resourceMeta")?;
    let mut labels = Map::new();
    let own = values.get("labels")?;
    let of_set = meta.get("autoscalingRunnerSet")?.get("labels")?;
    for (key, value) in own.members()?.chain(of_set.members()?) {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => continue,
        };
        if !key.starts_with("actions.github.com/") {
            labels.insert(key.clone(), json!(value));
        }
    }
    for (key, value) in [
        ("helm.sh/chart", &*format!("gha-rs-{}", release.version.replace('+', "_"))),
        ("app.kubernetes.io/name", name),
        ("app.kubernetes.io/instance", name),
        ("app.kubernetes.io/managed-by", "Helm"),
        ("app.kubernetes.io/part-of", "gha-rs"),
        ("app.kubernetes.io/component", "autoscaling-runner-set"),
        (VERSION_LABEL, release.version),
        (SCALE_SET_LABEL, name),
        (SCALE_SET_NAMESPACE_LABEL, namespace),
    ] {
        labels.insert(key.to_owned(), json!(value));
    }
    let mut spec = Map::new();
    let url = values.get("githubConfigUrl")?;
    spec.insert("githubConfigUrl".to_owned(), json!(url.text().trim_end_matches('/')));
    for (field, value) in [
        ("runnerGroup", values.get("runnerGroup")?),
        ("proxy", values.get("proxy")?),
        ("ephemeralRunnerSetMetadata", meta.get("ephemeralRunnerSet")?),
        ("ephemeralRunnerMetadata", meta.get("ephemeralRunner")?),
    ] {
        if !is_empty(value.value) {
            spec.insert(field.to_owned(), value.value.clone());
        }
    }
    if name != release.name || name != object_name {
        spec.insert("runnerScaleSetName".to_owned(), json!(name));
    }
    spec.insert("template".to_owned(), template(&values, &object_name)?);
    Ok(json!({
        "apiVersion": "actions.github.com/v1alpha1",
        "kind": "AutoscalingRunnerSet",
        "metadata": {"name": object_name, "namespace": namespace, "labels": labels},
        "spec": spec,
    }))
}

fn first<'t>(text: &'t str, default: &'t str) -> &'t str {
    if text.is_empty() { default } else { text }
}

/// What a template of Helm takes for false.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// A mode of the chart. Any other word makes what no mode makes.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Mode {
    None,
    Dind,
    Kubernetes,
    KubernetesNoVolume,
}

impl Mode {
    fn of(word: &str) -> Self {
        match word {
            DIND => Self::Dind,
            "kubernetes" => Self::Kubernetes,
            "kubernetes-novolume" => Self::KubernetesNoVolume,
            _ => Self::None,
        }
    }
}

/// What [`scale_set`] assumes, and what the chart drops without a word.
pub fn assumptions(values: &Value) -> Vec<ValuesProblem> {
    let mut all = Vec::new();
    let mut add = |path: &str, message: &str| {
        all.push(ValuesProblem { path: path.to_owned(), message: message.to_owned() });
    };
    let at = |path: &str| values.pointer(path).unwrap_or(&Value::Null);
    if is_empty(at("/githubConfigUrl")) {
        add("/githubConfigUrl", "not given: the pod has no label of an organization or repository");
    }
    let word = at("/containerMode/type").as_str().unwrap_or_default();
    match Mode::of(word) {
        Mode::None if word.is_empty() => {}
        Mode::None => add("/containerMode/type", "the chart has no such mode: it sets up none"),
        Mode::Dind => {
            add(
                "/containerMode/type",
                "Kubernetes 1.29 or later is assumed, where the chart makes dind a sidecar",
            );
            let own = at("/template/spec/containers").as_array().into_iter().flatten();
            for (index, _) in own.enumerate().filter(|(_, one)| is_named(one, DIND)) {
                let path = format!("/template/spec/containers/{index}");
                add(&path, "the chart drops it: containerMode dind has its own container dind");
            }
        }
        Mode::Kubernetes => {
            let mut own = at("/template/spec/volumes").as_array().into_iter().flatten();
            if is_empty(at("/containerMode/kubernetesModeWorkVolumeClaim"))
                && !own.any(|volume| is_named(volume, WORK))
            {
                let message = "no kubernetesModeWorkVolumeClaim: the API server refuses the pod";
                add("/containerMode", message);
            }
        }
        Mode::KubernetesNoVolume => {}
    }
    all
}

fn template(values: &At<'_>, object_name: &str) -> Result<Value, ValuesProblem> {
    let mode = Mode::of(values.get("containerMode")?.get("type")?.text());
    let template = values.get("template")?;
    let given = template.get("spec")?;
    for (parent, key, value) in [(values, "template", &template), (&template, "spec", &given)] {
        if value.value.is_null() && parent.value.get(key).is_some() {
            return Err(value.problem("Helm refuses null here; delete the line"));
        }
    }
    let tls = Tls::of(&values.get("githubServerTLS")?)?;
    let default = json!([{
        "name": RUNNER,
        "image": "ghcr.io/actions/actions-runner:latest",
        "command": ["/home/runner/run.sh"],
    }]);
    let mut user_containers = given.get("containers")?;
    if given.value.get("containers").is_none() {
        user_containers.value = &default;
    }
    let account =
        if matches!(mode, Mode::None | Mode::Dind) { "no-permission" } else { "kube-mode" };
    let account = format!("{object_name}-gha-rs-{account}");
    let mut spec: Map<String, Value> =
        given.members()?.map(|(key, value)| (key.clone(), value.clone())).collect();
    for (field, default) in [("restartPolicy", "Never"), ("serviceAccountName", &account)] {
        if spec.get(field).is_none_or(is_empty) {
            spec.insert(field.to_owned(), json!(default));
        }
    }
    let lists = [
        ("initContainers", init_containers(&given, &user_containers, mode)?),
        ("containers", containers(&user_containers, mode, tls.as_ref())?),
        ("volumes", volumes(values, &given, mode, tls.as_ref())?),
    ];
    for (field, items) in lists {
        spec.remove(field);
        if !items.is_empty() {
            spec.insert(field.to_owned(), Value::Array(items));
        }
    }
    let mut metadata = Map::new();
    for field in ["labels", "annotations"] {
        let texts = texts(template.value, &format!("/metadata/{field}"));
        if !texts.is_empty() {
            metadata.insert(field.to_owned(), Value::Object(texts));
        }
    }
    if metadata.is_empty() {
        return Ok(json!({"spec": spec}));
    }
    Ok(json!({"metadata": metadata, "spec": spec}))
}

fn is_named(item: &Value, name: &str) -> bool {
    item.get("name").and_then(Value::as_str) == Some(name)
}

fn init_containers(
    given: &At<'_>,
    containers: &At<'_>,
    mode: Mode,
) -> Result<Vec<Value>, ValuesProblem> {
    let own = given.get("initContainers")?.items()?;
    if mode != Mode::Dind {
        return Ok(own.to_vec());
    }
    let runner = containers.items()?.iter().find(|one| is_named(one, RUNNER));
    let externals = match runner {
        Some(runner) => json!({
            "name": "init-dind-externals",
            "image": runner.get("image"),
            "command": ["cp"],
            "args": ["-r", "/home/runner/externals/.", "/home/runner/tmpDir/"],
            "volumeMounts": [{"name": "dind-externals", "mountPath": "/home/runner/tmpDir"}],
        }),
        None => json!({"name": "init-dind-externals"}),
    };
    // Where the minor version of Kubernetes is no plain number from 29, as on EKS ("35+"), the chart makes
    // it an ordinary container instead.
    let dind = json!({
        "name": DIND,
        "image": "docker:dind",
        "args": ["dockerd", "--host=unix:///var/run/docker.sock", "--group=$(DOCKER_GROUP_GID)"],
        "env": [{"name": "DOCKER_GROUP_GID", "value": "123"}],
        "securityContext": {"privileged": true},
        "restartPolicy": "Always",
        "startupProbe": {
            "exec": {"command": ["docker", "info"]},
            "initialDelaySeconds": 0,
            "failureThreshold": 24,
            "periodSeconds": 5,
        },
        "volumeMounts": [
            {"name": WORK, "mountPath": "/home/runner/_work"},
            {"name": "dind-sock", "mountPath": "/var/run"},
            {"name": "dind-externals", "mountPath": "/home/runner/externals"},
        ],
    });
    Ok([externals, dind].into_iter().chain(own.iter().cloned()).collect())
}

fn containers(
    given: &At<'_>,
    mode: Mode,
    tls: Option<&Tls<'_>>,
) -> Result<Vec<Value>, ValuesProblem> {
    let own = given.items()?;
    let mut merged = Vec::new();
    let mut others = Vec::new();
    for (index, one) in own.iter().enumerate() {
        let at = At { value: one, path: format!("{}/{index}", given.path) };
        if is_named(one, RUNNER) {
            merged.push(runner(&at, mode, tls)?);
        } else if mode == Mode::None {
            merged.push(one.clone());
        } else if !(mode == Mode::Dind && is_named(one, DIND)) {
            others.push(one.clone());
        }
    }
    if mode != Mode::None && merged.is_empty() {
        merged.push(json!({"name": RUNNER}));
    }
    merged.append(&mut others);
    Ok(merged)
}

/// The runner container with what the mode and the certificate add. The chart compares mounts by the
/// volume's name.
fn runner(given: &At<'_>, mode: Mode, tls: Option<&Tls<'_>>) -> Result<Value, ValuesProblem> {
    let value = |name: &str, value: &str| json!({"name": name, "value": value});
    let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
    let (mut env, mut mounts) = (Vec::new(), Vec::new());
    match mode {
        Mode::None => {}
        Mode::Dind => {
            env.push(value("DOCKER_HOST", "unix:///var/run/docker.sock"));
            env.push(value("RUNNER_WAIT_FOR_DOCKER_IN_SECONDS", "120"));
            mounts.push(mount(WORK, "/home/runner/_work"));
            mounts.push(mount("dind-sock", "/var/run"));
        }
        Mode::Kubernetes | Mode::KubernetesNoVolume => {
            let has_volume = mode == Mode::Kubernetes;
            let hooks = if has_volume { "k8s" } else { "k8s-novolume" };
            let hooks = format!("/home/runner/{hooks}/index.js");
            env.push(value("ACTIONS_RUNNER_CONTAINER_HOOKS", &hooks));
            let from = json!({"fieldRef": {"fieldPath": "metadata.name"}});
            env.push(json!({"name": "ACTIONS_RUNNER_POD_NAME", "valueFrom": from}));
            env.push(value("ACTIONS_RUNNER_REQUIRE_JOB_CONTAINER", "true"));
            if has_volume {
                mounts.push(mount(WORK, "/home/runner/_work"));
            } else {
                env.push(value("ACTIONS_RUNNER_IMAGE", given.get("image")?.text()));
            }
        }
    }
    if let Some(Tls { path, key, .. }) = tls {
        env.push(value("NODE_EXTRA_CA_CERTS", path));
        env.push(value("RUNNER_UPDATE_CA_CERTS", "1"));
        mounts.push(json!({"name": TLS_VOLUME, "mountPath": path, "subPath": key}));
    }
    let mut merged: Map<String, Value> =
        given.members()?.map(|(key, value)| (key.clone(), value.clone())).collect();
    for (field, added) in [("env", env), ("volumeMounts", mounts)] {
        let own = given.get(field)?.items()?;
        let is_own = |item: &Value| own.iter().any(|one| one.get("name") == item.get("name"));
        let added: Vec<Value> = added.into_iter().filter(|item| !is_own(item)).collect();
        merged.insert(field.to_owned(), own.iter().cloned().chain(added).collect());
        if merged.get(field).is_some_and(is_empty) {
            merged.remove(field);
        }
    }
    Ok(Value::Object(merged))
}

fn volumes(
    values: &At<'_>,
    given: &At<'_>,
    mode: Mode,
    tls: Option<&Tls<'_>>,
) -> Result<Vec<Value>, ValuesProblem> {
    let own = given.get("volumes")?.items()?;
    let mut merged: Vec<Value> = tls.map(Tls::volume).into_iter().collect();
    let work = match mode {
        Mode::None | Mode::KubernetesNoVolume => {
            merged.extend(own.iter().cloned());
            return Ok(merged);
        }
        Mode::Dind => {
            let empty = |name: &str| json!({"name": name, "emptyDir": {}});
            merged.extend(["dind-sock", "dind-externals"].map(empty));
            empty(WORK)
        }
        Mode::Kubernetes => {
            let claim = values.get("containerMode")?.get("kubernetesModeWorkVolumeClaim")?.value;
            json!({"name": WORK, "ephemeral": {"volumeClaimTemplate": {"spec": claim}}})
        }
    };
    let (own_work, others): (Vec<_>, Vec<_>) =
        own.iter().cloned().partition(|volume| is_named(volume, WORK));
    if own_work.is_empty() {
        merged.push(work);
    }
    merged.extend(own_work.into_iter().chain(others));
    Ok(merged)
}

/// The certificate of a GitHub server that the runner trusts.
struct Tls<'v> {
    config_map: &'v str,
    key: &'v str,
    /// The file in the runner.
    path: String,
}

impl<'v> Tls<'v> {
    /// `None` where the values mount no certificate.
    fn of(given: &At<'v>) -> Result<Option<Self>, ValuesProblem> {
        let folder = given.get("runnerMountPath")?;
        if folder.text().is_empty() {
            return Ok(None);
        }
        let source = given.get("certificateFrom")?.get("configMapKeyRef")?;
        let (config_map, key) = (source.get("name")?, source.get("key")?);
        for one in [&config_map, &key] {
            if one.text().is_empty() {
                return Err(one.problem("runnerMountPath needs it"));
            }
        }
        let (config_map, key) = (config_map.text(), key.text());
        let parts = folder.text().split('/').chain([key]);
        let path = parts
            .filter(|part| !matches!(*part, "" | "."))
            .fold(String::new(), |path, part| path + "/" + part);
        Ok(Some(Self { config_map, key, path }))
    }

    fn volume(&self) -> Value {
        let Self { config_map, key, .. } = self;
        let items = [json!({"key": key, "path": key})];
        json!({"name": TLS_VOLUME, "configMap": {"name": config_map, "items": items}})
    }
}
