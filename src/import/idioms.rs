//! What a hand-written pod template has in the short forms of a profile; the rest of it stays a template.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::secrets::{self, TODO};
use crate::{
    compare::shell::{ROCR, StartScript, copies_externals, dockerd_flags, empties, script},
    podspec::{
        Json, LISTS, RUNNER,
        image::default_pull_policy,
        merge::{Owner, is_default},
        paths::canonical,
        resources::{AMD_GPU, is_amd_gpu},
    },
    profile::{
        normal,
        template::{
            DATA_ROOT, DATA_VOLUME, DIND, DIND_IMAGE, DOCKER_GID, EPHEMERAL_STORAGE,
            EXTERNALS_PATH, EXTERNALS_VOLUME, GID_VARIABLE, INIT_EXTERNALS, PODINFO_PATH,
            PODINFO_VOLUME, SOCKET_VOLUME, WORK_PATH, WORK_VOLUME, name_of,
        },
    },
};

/// The command of the runner in GitHub's image.
const RUN: &str = "/home/runner/run.sh";
/// Where `base` mounts its volumes, and their names there.
const PLACES: [(&str, &str); 4] = [
    (WORK_PATH, WORK_VOLUME),
    ("/run", SOCKET_VOLUME),
    (EXTERNALS_PATH, EXTERNALS_VOLUME),
    (PODINFO_PATH, PODINFO_VOLUME),
];
/// Amounts that `gpu` has short forms for.
const AMOUNTS: [&str; 3] = ["cpu", "memory", EPHEMERAL_STORAGE];
/// Sources of a volume that `sharedVolumes` has.
const SHARED_SOURCES: [&str; 8] = [
    "hostPath",
    "emptyDir",
    "persistentVolumeClaim",
    "ephemeral",
    "nfs",
    "csi",
    "configMap",
    "secret",
];
/// Sources of a volume that `dind.dataRoot` has.
const ROOT_SOURCES: [&str; 4] = ["hostPath", "emptyDir", "persistentVolumeClaim", "ephemeral"];
/// Fields of a mount that `sharedVolumes` has.
const MOUNT_FIELDS: [&str; 5] = ["name", "mountPath", "readOnly", "subPath", "subPathExpr"];

/// The GPUs of a runner, and the requests that may depend on their number.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Gpus {
    pub(super) count: u32,
    /// Requests by resource, as they are written.
    pub(super) amounts: BTreeMap<&'static str, String>,
}

/// A scale set in the short forms.
#[derive(Clone, Debug, Default)]
pub(super) struct Short {
    /// The profile's spec without `match`, the number of GPUs and `gpu`'s amounts.
    pub(super) spec: Map<String, Value>,
    pub(super) gpus: Option<Gpus>,
    /// What is not in short forms, or is not known to be: the hand-written PodTemplateSpec without the
    /// idioms. `beyond` of what the spec gives becomes the profile's `template`.
    pub(super) template: Value,
}

/// Brings a hand-written PodTemplateSpec into the form that all else here takes for given: without nulls,
/// defaults and secrets.
pub(super) fn normalized(template: &Value) -> Value {
    let mut template = template.clone();
    normal::drop_nulls(&mut template);
    normal::template(&mut template);
    if let Some(metadata) = template.get_mut("metadata") {
        secrets::redact(metadata);
    }
    let Some(Value::Object(spec)) = template.get_mut("spec") else { return template };
    drop_defaults(spec, Owner::Pod);
    // Defaults that have no field in a profile.
    spec.retain(|field, value| {
        !(field == "preemptionPolicy" && value == "PreemptLowerPriority"
            || field == "priority" && value == 0)
    });
    for list in LISTS {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let Value::Object(container) = container else { continue };
            let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
            let policy = default_pull_policy(image);
            container.retain(|field, value| field != "imagePullPolicy" || value != policy);
            drop_defaults(container, Owner::Container);
            secrets::in_env(container);
            secrets::in_words(container);
        }
    }
    template
}

fn drop_defaults(members: &mut Map<String, Value>, owner: Owner) {
    members.retain(|field, value| {
        let is_empty_volume = field == "emptyDir";
        is_empty_volume || !is_default(owner, field, &Json::of(value))
    });
}

/// A pod template, taken apart.
struct Pod {
    metadata: Value,
    spec: Map<String, Value>,
    runner: Map<String, Value>,
    /// dockerd's container, whichever list it is in.
    dind: Option<Map<String, Value>>,
    /// Where it goes among the init containers.
    dind_at: usize,
}

/// The short forms of a hand-written template that [`normalized`] made.
///
/// # Errors
///
/// Why they would be another pod, or no shorter.
pub(super) fn short(template: &Value) -> Result<Short, String> {
    let mut pod = Pod::of(template)?;
    let mut short = Short::default();
    let spec = &mut short.spec;
    spec.insert("extends".into(), "base".into());
    let root = pod.dind(spec)?;
    pod.rename_volumes(&root);
    if pod.dind.is_some() {
        pod.data_root(spec, &root);
        pod.shared_volumes(spec);
        pod.externals();
    }
    let is_started = pod.start(spec);
    let gpus = pod.gpus(spec);
    if pod.dind.is_none() && (gpus.is_none() || !is_started) {
        return Err(String::new());
    }
    if gpus.is_some() && is_started {
        pod.groups(spec);
    }
    pod.runner(spec);
    short.gpus = gpus;
    short.template = pod.whole();
    Ok(short)
}

/// Moves what is left of containers in a profile's template to the short forms for it.
pub(super) fn lift(spec: &mut Map<String, Value>, mut template: Value) {
    let fields: [(&str, &str, &[&str]); 2] = [
        ("containers", RUNNER, &["env", "volumeMounts", "resources"]),
        ("initContainers", DIND, &["env", "resources"]),
    ];
    let is_short = spec.contains_key("extends");
    // A profile that has no dind in short form gets one by any field of it.
    for (list, name, fields) in
        fields.into_iter().filter(|(_, name, _)| is_short || *name == RUNNER)
    {
        let items = template.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut);
        let container = items.into_iter().flatten().find(|one| name_of(one) == name);
        let Some(Value::Object(container)) = container else { continue };
        let moved: Vec<_> =
            fields.iter().filter_map(|field| container.remove_entry(*field)).collect();
        if moved.is_empty() {
            continue;
        }
        if let Value::Object(short) = spec.entry(name).or_insert_with(|| json!({})) {
            short.extend(moved);
        }
    }
    let Value::Object(members) = &mut template else { return };
    if let Some(Value::Object(pod)) = members.get_mut("spec") {
        // A container of which only the name is left says where another one goes, or nothing.
        for list in LISTS {
            let mut has_new = false;
            retain(pod, list, |item| {
                let is_name = item.as_object().is_some_and(|item| item.len() == 1);
                has_new |= !is_name && name_of(item) != INIT_EXTERNALS;
                !is_name || list == "initContainers" && has_new
            });
        }
        if pod.is_empty() {
            members.remove("spec");
        }
    }
    if !members.is_empty() {
        spec.insert("template".into(), template);
    }
}

fn words(container: &Map<String, Value>) -> Vec<&str> {
    let lists = ["command", "args"].map(|field| container.get(field).and_then(Value::as_array));
    lists.into_iter().flatten().flatten().filter_map(Value::as_str).collect()
}

fn list<'v>(object: &'v Map<String, Value>, field: &str) -> &'v [Value] {
    object.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn list_mut<'v>(
    object: &'v mut Map<String, Value>,
    field: &str,
) -> impl Iterator<Item = &'v mut Value> + use<'v> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten()
}

fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Keeps the items of a list for which `is_kept` holds; an empty list goes.
fn retain(object: &mut Map<String, Value>, field: &str, is_kept: impl FnMut(&Value) -> bool) {
    if let Some(Value::Array(items)) = object.get_mut(field) {
        items.retain(is_kept);
        if items.is_empty() {
            object.remove(field);
        }
    }
}

/// The value of a variable of a container.
fn variable<'v>(container: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    list(container, "env").iter().rev().find(|one| name_of(one) == name)?.get("value")?.as_str()
}

impl Pod {
    fn of(template: &Value) -> Result<Self, String> {
        let mut spec = template.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut take = |list: &str, name: &str| {
            let items = spec.get_mut(list)?.as_array_mut()?;
            let place = items.iter().position(|item| name_of(item) == name)?;
            match items.remove(place) {
                Value::Object(container) => Some((container, place)),
                _ => None,
            }
        };
        let (runner, _) = take("containers", RUNNER).ok_or("no container is named runner")?;
        let is_privileged = |container: &Map<String, Value>| {
            let context = container.get("securityContext");
            context.and_then(|context| context.get("privileged")) == Some(&Value::Bool(true))
        };
        // An ordinary container starts after all others.
        let last = |(container, _)| (container, usize::MAX);
        let dind = take("initContainers", DIND).or_else(|| take("containers", DIND).map(last));
        let (dind, dind_at) = dind.unzip();
        if dind.as_ref().is_some_and(|container| !is_privileged(container)) {
            return Err("its dind is not privileged".to_owned());
        }
        let all = LISTS.iter().flat_map(|list| self::list(&spec, list));
        let mut others = all.filter_map(Value::as_object).filter(|_| dind.is_none());
        if let Some(other) =
            others.find(|one| words(one).iter().any(|word| word.contains("dockerd")))
        {
            let name = other.get("name").and_then(Value::as_str).unwrap_or_default();
            return Err(format!("Docker runs in the container {name}; name it dind"));
        }
        let metadata = template.get("metadata").cloned().unwrap_or_default();
        Ok(Self { metadata, spec, runner, dind, dind_at: dind_at.unwrap_or_default() })
    }

    /// The template again, with dind where a sidecar is.
    fn whole(mut self) -> Value {
        self.runner.insert("name".into(), RUNNER.into());
        let mut put = |field: &str, place: usize, container: Map<String, Value>| {
            let items = self.spec.entry(field).or_insert_with(|| json!([]));
            if let Value::Array(items) = items {
                items.insert(place.min(items.len()), container.into());
            }
        };
        put("containers", 0, self.runner);
        if let Some(mut dind) = self.dind {
            dind.insert("name".into(), DIND.into());
            put("initContainers", self.dind_at, dind);
        }
        let mut template = Map::new();
        if !self.metadata.is_null() {
            template.insert("metadata".into(), self.metadata);
        }
        template.insert("spec".into(), self.spec.into());
        template.into()
    }

    /// What dind is in short forms; takes its command and what only starts or ends dockerd away. The
    /// data root's path.
    ///
    /// # Errors
    ///
    /// Its script does more than `base` does.
    fn dind(&mut self, spec: &mut Map<String, Value>) -> Result<String, String> {
        let mut root = DATA_ROOT.to_owned();
        let Some(dind) = &mut self.dind else {
            spec.insert("dind".into(), json!({"enabled": false}));
            return Ok(root);
        };
        let mut short = Map::new();
        let flags = dockerd_flags(&words(dind), |name| variable(dind, name));
        let flags =
            flags.map_err(|line| format!("line {line} of dind's script does something else"))?;
        let (mut mirrors, mut insecure, mut more) = (Vec::new(), Vec::new(), Vec::new());
        for flag in flags {
            match flag.split_once('=') {
                Some(("--group", gid)) => match gid.parse::<u32>() {
                    Ok(number) if number != DOCKER_GID => {
                        short.insert("gid".into(), number.into());
                    }
                    Ok(_) => {}
                    Err(_) => more.push(flag),
                },
                Some(("--data-root", path)) => path.clone_into(&mut root),
                Some(("--registry-mirror", url)) => mirrors.push(url.to_owned()),
                Some(("--insecure-registry", name)) => insecure.push(name.to_owned()),
                Some(("--mtu", mtu)) if mtu.parse::<u32>().is_ok() => {
                    short.insert("mtu".into(), mtu.parse::<u32>().unwrap_or_default().into());
                }
                _ => more.push(flag),
            }
        }
        for (field, items) in
            [("registryMirrors", mirrors), ("insecureRegistries", insecure), ("extraArgs", more)]
        {
            if !items.is_empty() {
                short.insert(field.into(), items.into());
            }
        }
        dind.remove("command");
        dind.remove("args");
        dind.remove("startupProbe");
        dind.remove("restartPolicy");
        retain(dind, "env", |one| name_of(one) != GID_VARIABLE);
        let hook = dind.get("lifecycle").and_then(|all| all.pointer("/preStop/exec/command"));
        let hook = hook.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let is_emptying = empties(&hook.collect::<Vec<_>>(), &root);
        if let (true, Some(Value::Object(lifecycle))) = (is_emptying, dind.get_mut("lifecycle")) {
            lifecycle.remove("preStop");
            if lifecycle.is_empty() {
                dind.remove("lifecycle");
            }
        }
        if let Some(image) = dind.remove("image").filter(|image| image != DIND_IMAGE) {
            short.insert("image".into(), image);
        }
        short.extend(dind.remove_entry("imagePullPolicy"));
        if !short.is_empty() {
            spec.insert("dind".into(), short.into());
        }
        Ok(root)
    }

    /// Gives volumes the names that `base` has for what is at their places.
    fn rename_volumes(&mut self, root: &str) {
        let root = canonical(root);
        let mut names: BTreeMap<String, &str> = BTreeMap::new();
        for container in std::iter::once(&self.runner).chain(&self.dind) {
            for mount in list(container, "volumeMounts") {
                let path = canonical(text(mount, "mountPath"));
                let place = PLACES.iter().find(|(place, _)| *place == path).map(|(_, name)| *name);
                let place = place.or_else(|| (path == root).then_some(DATA_VOLUME));
                if let (Some(name), None) = (place, mount.get("subPath")) {
                    names.entry(text(mount, "name").to_owned()).or_insert(name);
                }
            }
        }
        let taken: Vec<String> =
            list(&self.spec, "volumes").iter().map(|v| name_of(v).to_owned()).collect();
        let mut used: Vec<&str> = Vec::new();
        names.retain(|from, to| {
            let is_free =
                !used.contains(to) && (from == to || !taken.iter().any(|name| name == to));
            used.push(to);
            is_free && from != to
        });
        let rename = |item: &mut Value| {
            if let Some(to) = names.get(name_of(item))
                && let Value::Object(item) = item
            {
                item.insert("name".into(), (*to).into());
            }
        };
        list_mut(&mut self.spec, "volumes").for_each(rename);
        for container in std::iter::once(&mut self.runner).chain(&mut self.dind) {
            list_mut(container, "volumeMounts").for_each(rename);
        }
        for field in LISTS {
            for container in list_mut(&mut self.spec, field) {
                if let Value::Object(container) = container {
                    list_mut(container, "volumeMounts").for_each(rename);
                }
            }
        }
    }

    /// The data root in short form, where a volume of its own is there.
    fn data_root(&mut self, spec: &mut Map<String, Value>, root: &str) {
        let mut short = Map::new();
        if root != DATA_ROOT {
            short.insert("path".into(), root.into());
        }
        let is_root = |mount: &&Value| canonical(text(mount, "mountPath")) == canonical(root);
        let mount = self
            .dind
            .as_ref()
            .and_then(|dind| list(dind, "volumeMounts").iter().find(is_root))
            .cloned();
        if let Some(mount) = mount {
            let volume =
                list(&self.spec, "volumes").iter().find(|v| name_of(v) == text(&mount, "name"));
            let source = volume.and_then(Value::as_object).and_then(|volume| {
                ROOT_SOURCES.iter().find_map(|source| Some((*source, volume.get(*source)?.clone())))
            });
            let is_own = text(&mount, "name") == DATA_VOLUME && mount.get("subPath").is_none();
            if let (true, Some((field, source))) = (is_own, source) {
                if (field, &source) != ("emptyDir", &json!({})) {
                    short.insert(field.into(), source);
                }
                short.extend(
                    mount.get("subPathExpr").map(|path| ("subPathExpr".into(), path.clone())),
                );
                retain(&mut self.spec, "volumes", |volume| name_of(volume) != DATA_VOLUME);
                for container in std::iter::once(&mut self.runner).chain(&mut self.dind) {
                    retain(container, "volumeMounts", |mount| !is_root(&mount));
                }
            }
        }
        if !short.is_empty()
            && let Value::Object(dind) = spec.entry("dind").or_insert_with(|| json!({}))
        {
            dind.insert("dataRoot".into(), short.into());
        }
    }

    /// Volumes that runner and dind mount at the same paths.
    fn shared_volumes(&mut self, spec: &mut Map<String, Value>) {
        let Some(dind) = &mut self.dind else { return };
        let mut shared = Vec::new();
        for volume in list(&self.spec, "volumes") {
            let name = name_of(volume).to_owned();
            let is_base = PLACES.iter().any(|(_, base)| *base == name) || name == DATA_VOLUME;
            let Some(source) = SHARED_SOURCES.iter().find(|source| volume.get(**source).is_some())
            else {
                continue;
            };
            let is_plain = |mount: &&Value| {
                let mut fields = mount.as_object().into_iter().flatten();
                text(mount, "name") == name
                    && fields.all(|(field, _)| MOUNT_FIELDS.contains(&field.as_str()))
            };
            let mounts = list(&self.runner, "volumeMounts").iter().filter(is_plain);
            let mounts: Vec<Value> = mounts
                .filter(|mount| list(dind, "volumeMounts").contains(mount))
                .cloned()
                .collect();
            if is_base || mounts.is_empty() {
                continue;
            }
            for container in [&mut self.runner, &mut *dind] {
                retain(container, "volumeMounts", |mount| !mounts.contains(mount));
            }
            let mut places = mounts.into_iter().filter_map(|mount| match mount {
                Value::Object(mount) => Some(mount),
                _ => None,
            });
            let mut item = places.next().unwrap_or_default();
            item.extend(volume.get(*source).map(|value| ((*source).to_owned(), value.clone())));
            let also: Vec<Value> = places
                .map(|mut place| {
                    place.remove("name");
                    place.into()
                })
                .collect();
            if !also.is_empty() {
                item.insert("also".into(), also.into());
            }
            shared.push(Value::Object(item));
        }
        let names: Vec<&str> = shared.iter().map(name_of).collect();
        retain(&mut self.spec, "volumes", |volume| !names.contains(&name_of(volume)));
        if !shared.is_empty() {
            spec.insert("sharedVolumes".into(), shared.into());
        }
    }

    /// Takes the init container that copies the runner's externals away.
    fn externals(&mut self) {
        let of_runner =
            ["image", "imagePullPolicy"].map(|field| (field, self.runner.get(field).cloned()));
        for container in list_mut(&mut self.spec, "initContainers") {
            let Value::Object(container) = container else { continue };
            if !copies_externals(&words(container)) {
                continue;
            }
            container.retain(|field, _| !["command", "args"].contains(&field.as_str()));
            retain(container, "volumeMounts", |mount| text(mount, "name") != EXTERNALS_VOLUME);
            for (field, value) in &of_runner {
                if container.get(*field) == value.as_ref() {
                    container.remove(*field);
                }
            }
            container.insert("name".into(), INIT_EXTERNALS.into());
        }
    }

    /// The start wrapper in place of the runner's script. Whether there is one.
    fn start(&mut self, spec: &mut Map<String, Value>) -> bool {
        let line = words(&self.runner);
        let Some(text) = script(&line).map(str::to_owned) else {
            let is_run = line == [RUN];
            if is_run {
                self.runner.remove("command");
                self.runner.remove("args");
            }
            return true;
        };
        let script = StartScript::read(&text);
        let is_known = script.others.is_empty() && script.runs.is_some();
        if !(is_known || script.lists_devices) {
            spec.insert("start".into(), json!({"enabled": false}));
            return false;
        }
        self.runner.remove("command");
        self.runner.remove("args");
        if let Some(command) =
            script.runs.filter(|runs| *runs != RUN && *runs != "./run.sh" && is_known)
        {
            let command: Vec<&str> = command.split_whitespace().collect();
            self.runner.insert("command".into(), json!(command));
        }
        let mut start = Map::new();
        let env = script.env.iter().filter(|(_, line)| !line.starts_with(ROCR));
        let env = env.filter_map(|(_, line)| line.split_once('='));
        let env: Map<String, Value> =
            env.map(|(name, value)| (name.to_owned(), value.into())).collect();
        if !env.is_empty() {
            start.insert("isolationEnv".into(), env.into());
        }
        let groups: Vec<i64> =
            script.groups.iter().filter_map(|group| group.parse().ok()).collect();
        if !groups.is_empty() && json!(groups) != *self.supplemental_groups() {
            start.insert("groupAdd".into(), json!(groups));
        }
        if !start.is_empty() {
            spec.insert("start".into(), start.into());
        }
        if !script.logins.is_empty()
            && let Value::Object(dind) = spec.entry("dind").or_insert_with(|| json!({}))
        {
            dind.insert("registryCredentials".into(), json!({"secretName": TODO}));
        }
        true
    }

    fn supplemental_groups(&self) -> &Value {
        let context = self.spec.get("securityContext");
        context.and_then(|context| context.get("supplementalGroups")).unwrap_or(&Value::Null)
    }

    /// The groups that the runner needs to open its GPUs: the pod's, else those that its script gives
    /// jobs, else a placeholder, because only the nodes know.
    fn groups(&mut self, spec: &mut Map<String, Value>) {
        if let Some(Value::Object(context)) = self.spec.get_mut("securityContext") {
            let groups = context.remove("supplementalGroups");
            if context.is_empty() {
                self.spec.remove("securityContext");
            }
            if let Some(groups) = groups.filter(|groups| groups != &json!([])) {
                spec.insert("groups".into(), groups);
                return;
            }
        }
        let of_script = spec.get_mut("start").and_then(Value::as_object_mut);
        let of_script = of_script.and_then(|start| start.remove("groupAdd"));
        if spec.get("start") == Some(&json!({})) {
            spec.remove("start");
        }
        let is_root = [self.runner.get("securityContext"), self.spec.get("securityContext")];
        let is_root = is_root
            .into_iter()
            .flatten()
            .any(|context| context.get("runAsUser") == Some(&json!(0)));
        match of_script {
            Some(groups) => {
                spec.insert("groups".into(), groups);
            }
            None if is_root => {}
            None => {
                spec.insert("groups".into(), json!([TODO]));
            }
        }
    }

    /// Takes the runner's AMD GPUs, and the requests that come with them.
    fn gpus(&mut self, spec: &mut Map<String, Value>) -> Option<Gpus> {
        let resources = self.runner.get_mut("resources")?;
        let amounts = |map: &str| resources.get(map).and_then(Value::as_object);
        let mut keys = ["limits", "requests"].into_iter().filter_map(amounts).flatten();
        let (resource, count) = keys.find(|(name, _)| is_amd_gpu(name))?;
        let (resource, count) = (resource.clone(), count.as_str()?.parse().ok()?);
        let mut found = Gpus { count, amounts: BTreeMap::new() };
        for map in ["limits", "requests"] {
            if let Some(Value::Object(map)) = resources.get_mut(map) {
                map.remove(&resource);
            }
        }
        let mut limits: Vec<&str> = Vec::new();
        for name in AMOUNTS.into_iter().filter(|_| count > 0) {
            let get = |map: &str| Some(resources.get(map)?.get(name)?.as_str()?.to_owned());
            let (amount, is_limit) = match (get("requests"), get("limits")) {
                (Some(request), None) => (request, false),
                // The API server makes a limit the request too.
                (None, Some(limit)) => (limit, true),
                (Some(request), Some(limit)) if request == limit => (limit, true),
                _ => continue,
            };
            match (name, is_limit) {
                // It is a limit always.
                (EPHEMERAL_STORAGE, false) => continue,
                (EPHEMERAL_STORAGE, true) | (_, false) => {}
                (_, true) => limits.push(name),
            }
            found.amounts.insert(name, amount);
            for map in ["limits", "requests"] {
                if let Some(Value::Object(map)) = resources.get_mut(map) {
                    map.remove(name);
                }
            }
        }
        if let Value::Object(maps) = resources {
            maps.retain(|_, map| map != &json!({}));
        }
        if resources == &json!({}) {
            self.runner.remove("resources");
        }
        let mut gpu = Map::new();
        if resource != AMD_GPU {
            gpu.insert("resource".into(), resource.into());
        }
        if !limits.is_empty() {
            gpu.insert("limits".into(), json!(limits));
        }
        if !gpu.is_empty() {
            spec.insert("gpu".into(), gpu.into());
        }
        Some(found)
    }

    fn runner(&mut self, spec: &mut Map<String, Value>) {
        let mut short = Map::new();
        for field in ["image", "imagePullPolicy"] {
            short.extend(self.runner.remove_entry(field));
        }
        if !short.is_empty() {
            spec.insert("runner".into(), short.into());
        }
    }
}
