//! Mistakes of hand-written files that a tool can see, each with its line.

use std::collections::BTreeSet;

use super::{
    Written,
    lines::{Line, lines},
    secrets,
};
use crate::{
    podspec::{LISTS, RUNNER, image::default_pull_policy, paths::canonical, resources::is_amd_gpu},
    profile::{
        schema::unknown_fields,
        source::{Node, NodeValue, Segment},
        template::{DIND, EPHEMERAL_STORAGE, PODINFO_PATH},
    },
};

/// A mistake in a file, or something that a person has to look at.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Finding {
    /// The file, as the user named it.
    pub file: String,
    /// The line, from 1; 0 where there is none.
    pub line: u32,
    /// What kind it is, as one fixed word.
    pub code: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

/// What dockerd, its start script in Docker's image and the docker CLI read, beside all that begins with
/// `DOCKER`: proxies, and where files go (docs.docker.com, `dockerd` and `docker` references).
const DOCKER_ENV: [&str; 10] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "FTP_PROXY",
    "XDG_RUNTIME_DIR",
    "TMPDIR",
    "HOME",
    "PATH",
    "BUILDKIT_PROGRESS",
];
/// What the names of ARC's own service accounts end with.
const ACCOUNTS: [&str; 2] = ["-gha-rs-no-permission", "-gha-rs-kube-mode"];
/// Sources of volumes with data that jobs may mount.
const DATA_SOURCES: [&str; 4] = ["hostPath", "persistentVolumeClaim", "nfs", "csi"];

/// The mistakes of one scale set.
pub(super) fn find(written: &Written) -> Vec<Finding> {
    let mut look = Look { written, found: BTreeSet::new() };
    look.file();
    if let Some(template) = written.template() {
        look.unknown_fields(template);
        for (key, value, line) in members(template.get("metadata")) {
            look.secrets(key, value, line);
        }
        if let Some(spec) = template.get("spec") {
            look.pod(spec);
        }
    }
    look.found.into_iter().collect()
}

struct Look<'w> {
    written: &'w Written,
    found: BTreeSet<Finding>,
}

fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(NodeValue::List(items)) => items,
        _ => &[],
    }
}

fn text(node: Option<&Node>) -> &str {
    match node.map(|node| &node.value) {
        Some(NodeValue::String(text)) => text,
        _ => "",
    }
}

fn field<'n>(node: &'n Node, name: &str) -> &'n str {
    text(node.get(name))
}

/// The container `name` of a pod's spec.
pub(super) fn container<'n>(spec: &'n Node, name: &str) -> Option<&'n Node> {
    let mut all = LISTS.iter().flat_map(|list| items(spec.get(list)));
    all.find(|container| field(container, "name") == name)
}

/// The line of a member's key.
fn line_of(node: &Node, path: &[&str]) -> u32 {
    let path: Vec<Segment> = path.iter().map(|key| Segment::Key((*key).to_owned())).collect();
    node.locate(&path).line
}

/// Keys and values of a map.
fn members(node: Option<&Node>) -> impl Iterator<Item = (&str, &Node, u32)> {
    let entries = match node.map(|node| &node.value) {
        Some(NodeValue::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().map(|entry| (entry.key.as_str(), &entry.value, entry.at.line))
}

impl Look<'_> {
    fn add(&mut self, line: u32, code: &'static str, message: impl Into<String>) {
        let (file, message) = (self.written.file.clone(), message.into());
        self.found.insert(Finding { file, line, code, message });
    }

    /// The file as a whole, and the values beside the template.
    fn file(&mut self) {
        for problem in &self.written.repeated {
            let message = format!("{}: {}; Helm takes the last one", problem.path, problem.message);
            self.add(problem.at.line, "duplicate-key", message);
        }
        for (key, value, line) in members(Some(self.written.beside_template())) {
            if !["template", "spec"].contains(&key) {
                self.secrets(key, value, line);
            }
        }
    }

    /// Secrets of values: those of `githubConfigSecret`, and others by their names.
    fn secrets(&mut self, key: &str, value: &Node, line: u32) {
        match &value.value {
            NodeValue::String(text) if secrets::is_member(key, text) => self.secret(line),
            NodeValue::Map(_) => {
                let of_variable = field(value, "name");
                for (key, value, line) in members(Some(value)) {
                    let is_value = key == "value" && !of_variable.is_empty();
                    self.secrets(if is_value { of_variable } else { key }, value, line);
                }
            }
            NodeValue::List(items) => {
                for item in items {
                    self.secrets(key, item, item.at.line);
                }
            }
            _ => {}
        }
    }

    fn secret(&mut self, line: u32) {
        self.add(
            line,
            "secret-in-values",
            "a secret in the file; create a Secret, name it here, and rotate what was written",
        );
    }

    /// The API server drops what it does not know, without a word.
    fn unknown_fields(&mut self, template: &Node) {
        for (_, problem) in unknown_fields(&self.written.file, template) {
            let path = problem.path.trim_start_matches("template.");
            self.add(
                problem.at.line,
                "unknown-field",
                format!("{path}: {}; delete it", problem.message),
            );
        }
    }

    fn pod(&mut self, spec: &Node) {
        let is_dind_mode = self.written.mode() == DIND;
        let account = field(spec, "serviceAccountName");
        let owner = ACCOUNTS.iter().find_map(|end| account.strip_suffix(end));
        if let Some(owner) = owner.filter(|owner| *owner != self.written.name.replace('_', "-")) {
            let message = format!(
                "the ServiceAccount of the scale set {owner}: it goes with that one; delete the line"
            );
            self.add(line_of(spec, &["serviceAccountName"]), "other-service-account", message);
        }
        let all = |list: &str| items(spec.get(list)).iter();
        let dinds: Vec<&Node> = LISTS
            .iter()
            .flat_map(|list| all(list))
            .filter(|container| field(container, "name") == DIND)
            .collect();
        for container in all("containers").filter(|one| field(one, "name") == DIND) {
            if is_dind_mode {
                self.add(
                    container.at.line,
                    "dind-beside-container-mode",
                    "ARC's chart drops it, because containerMode dind has its own: nothing in it ever held",
                );
            } else {
                self.add(
                    container.at.line,
                    "dind-regular-container",
                    "dind is an ordinary container: it ends before or after the runner by chance, and the pod \
                     may never complete; arc-rocm makes it a sidecar",
                );
            }
        }
        for container in LISTS.iter().flat_map(|list| all(list)) {
            let is_dropped = is_dind_mode && field(container, "name") == DIND;
            if !is_dropped {
                self.container(container);
            }
        }
        let runner = all("containers").find(|one| field(one, "name") == RUNNER);
        if let Some(runner) = runner {
            let dind = dinds.iter().copied().find(|_| !is_dind_mode);
            if dind.is_some() || is_dind_mode {
                self.mounts(runner, dind, spec);
            }
            self.gpus(runner, spec);
        }
        if let Some(dind) = dinds.first().filter(|_| !is_dind_mode) {
            self.dind(dind, spec);
        }
    }

    /// What may be wrong with any container.
    fn container(&mut self, container: &Node) {
        let image = field(container, "image");
        if field(container, "imagePullPolicy").is_empty() && is_moving(image) {
            let message = format!(
                "the tag of {image} moves, and its pull policy is IfNotPresent: nodes keep the first one; set \
                 imagePullPolicy: Always, or a version"
            );
            self.add(line_of(container, &["image"]), "moving-tag", message);
        }
        for variable in items(container.get("env")) {
            if secrets::is(field(variable, "name"), field(variable, "value")) {
                self.secret(line_of(variable, &["value"]));
            }
        }
        for list in ["command", "args"] {
            let words = items(container.get(list));
            for place in secrets::places(words.iter().map(|word| text(Some(word)))) {
                // Scripts are looked at line by line.
                let word = words.get(place).filter(|word| !text(Some(word)).contains(['\n', ' ']));
                if let Some(word) = word {
                    self.secret(word.at.line);
                }
            }
        }
        let requests = container.get("resources").and_then(|all| all.get("requests"));
        let limits = container.get("resources").and_then(|all| all.get("limits"));
        if let (Some(requests), None) =
            (requests, limits.and_then(|limits| limits.get(EPHEMERAL_STORAGE)))
            && requests.get(EPHEMERAL_STORAGE).is_some()
        {
            self.add(
                line_of(requests, &[EPHEMERAL_STORAGE]),
                "ephemeral-without-limit",
                "a request without a limit: one job can fill the node's disk; set the limit too",
            );
        }
        let mounts_podinfo = items(container.get("volumeMounts"))
            .iter()
            .any(|mount| canonical(field(mount, "mountPath")) == PODINFO_PATH);
        let script = lines(&self.written.text, container);
        for line in &script {
            self.script_line(line, &script);
        }
        let uses_podinfo = script.iter().find(|line| line.text.contains(PODINFO_PATH));
        if let Some(line) = uses_podinfo.filter(|_| !mounts_podinfo) {
            self.add(
                line.at,
                "podinfo-missing",
                "no volume is at /etc/podinfo: the file never was, and jobs took every GPU of the node",
            );
        }
    }

    fn script_line(&mut self, line: &Line, script: &[Line]) {
        let text = line.text.trim();
        if text.starts_with('#') {
            return;
        }
        if secrets::login_tokens(text).next().is_some() {
            self.add(
                line.at,
                "docker-login-token",
                "docker login with a token in the command; create a Secret (kubectl -n NAMESPACE create secret \
                 docker-registry ...), name it in dind.registryCredentials, and rotate the token",
            );
        } else if secrets::without_tokens(text).is_some() {
            self.secret(line.at);
        }
        if waits_without_end(line, script) {
            self.add(
                line.at,
                "endless-wait",
                "a wait for Docker that never gives up, or goes on without it: such a runner holds its GPUs, or takes a job \
                 that fails",
            );
        }
        if runs_without_exec(text) {
            self.add(
                line.at,
                "no-exec",
                "a child of the shell: SIGTERM does not reach it, and it is killed after the grace period; write exec",
            );
        }
    }

    /// What is mounted in the runner alone. A missing `dind` is that of ARC's chart.
    fn mounts(&mut self, runner: &Node, dind: Option<&Node>, spec: &Node) {
        let paths: Vec<_> = items(dind.and_then(|dind| dind.get("volumeMounts")))
            .iter()
            .map(|mount| canonical(field(mount, "mountPath")))
            .collect();
        for mount in items(runner.get("volumeMounts")) {
            let path = canonical(field(mount, "mountPath"));
            let volume = items(spec.get("volumes"))
                .iter()
                .find(|volume| field(volume, "name") == field(mount, "name"));
            let is_data = volume.is_some_and(|volume| {
                DATA_SOURCES.iter().any(|source| volume.get(source).is_some())
            });
            let is_device = ["/dev/", "/sys/"].iter().any(|start| path.starts_with(start));
            if is_data && !is_device && !paths.contains(&path) {
                let message = format!(
                    "{path} is in the runner and not in dind: `docker run -v {path}:...` of a job finds an empty \
                     folder; write it in sharedVolumes"
                );
                self.add(mount.at.line, "mount-runner-only", message);
            }
        }
    }

    fn gpus(&mut self, runner: &Node, spec: &Node) {
        let resources = runner.get("resources");
        let maps = ["requests", "limits"].map(|map| resources.and_then(|all| all.get(map)));
        let mut amounts = maps.into_iter().flat_map(|map| members(map));
        let gpu =
            amounts.by_ref().filter(|(name, ..)| is_amd_gpu(name)).map(|(.., line)| line).min();
        let groups = spec.get("securityContext").and_then(|all| all.get("supplementalGroups"));
        if let (Some(line), true) = (gpu, items(groups).is_empty()) {
            self.add(
                line,
                "gpu-without-groups",
                "GPUs without supplementalGroups: only jobs that run as root open them; look at a node (stat -c '%g \
                 %n' /dev/kfd /dev/dri/renderD*) and write groups",
            );
        }
    }

    fn dind(&mut self, dind: &Node, spec: &Node) {
        for mount in items(dind.get("volumeMounts")) {
            let volume = items(spec.get("volumes"))
                .iter()
                .find(|volume| field(volume, "name") == field(mount, "name"));
            let path =
                volume.and_then(|volume| volume.get("hostPath")).map(|host| field(host, "path"));
            if path.is_some_and(|path| canonical(path).starts_with("/sys/fs/cgroup")) {
                self.add(
                    mount.at.line,
                    "host-cgroup",
                    "the host's cgroups in dind: dockerd writes beside the kubelet's; delete the mount and the volume",
                );
            }
        }
        let used = format!("{:?}", dind.to_json());
        for variable in items(dind.get("env")) {
            let name = field(variable, "name");
            let is_read = name.starts_with("DOCKER")
                || DOCKER_ENV.contains(&name.to_ascii_uppercase().as_str())
                || ["$(NAME)", "${NAME}", "$NAME"]
                    .iter()
                    .any(|form| used.contains(&form.replace("NAME", name)));
            if !is_read && !name.is_empty() {
                let message = format!(
                    "dockerd does not read {name}, and jobs do not get it; set it in the runner, or in the jobs"
                );
                self.add(variable.at.line, "dockerd-env", message);
            }
        }
        let hook = ["lifecycle", "preStop"].iter().try_fold(dind, |node, key| node.get(key));
        let hook = hook.map(|hook| lines(&self.written.text, hook)).unwrap_or_default();
        if let Some(line) = hook.iter().find(|line| removes(&line.text)) {
            self.add(
                line.at,
                "prestop-data-root",
                "preStop deletes the data root below a live dockerd; dind empties it after dockerd has ended",
            );
        }
    }
}

/// Whether the tag of an image moves although nodes keep it: neither a digest, a full version nor a date.
fn is_moving(image: &str) -> bool {
    if image.is_empty() || image.contains('@') || default_pull_policy(image) == "Always" {
        return false;
    }
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    let numbers = |part: &str| part.split('.').filter(|one| one.parse::<u64>().is_ok()).count();
    let is_version =
        tag.split(['-', '_', '+']).any(|part| numbers(part.trim_start_matches('v')) >= 2);
    let is_date = tag.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= 6);
    let is_commit = tag.len() >= 7 && tag.chars().all(|c| c.is_ascii_hexdigit());
    !(is_version || is_date || is_commit)
}

/// Whether a line begins a loop that waits for Docker, and neither has a time limit nor ends the script.
fn waits_without_end(line: &Line, script: &[Line]) -> bool {
    let mut statements = line.text.split([';', '&']).map(str::trim);
    let words = ["until ", "while ", "for "];
    let is_loop = statements.any(|text| words.iter().any(|word| text.starts_with(word)));
    if !is_loop || line.text.contains("timeout ") {
        return false;
    }
    let mut body = String::new();
    for other in script.iter().filter(|other| other.at >= line.at) {
        body.push_str(&other.text);
        body.push('\n');
        if other.text.contains("done") {
            break;
        }
    }
    let waits = ["docker info", "docker.sock", "docker ps"].iter().any(|word| body.contains(word));
    waits && !body.contains("exit ")
}

/// Whether a line starts dockerd or the runner as a child of the shell.
fn runs_without_exec(line: &str) -> bool {
    let statements = line.split(';').flat_map(|part| part.split("&&")).map(str::trim);
    let mut commands = statements.filter_map(|statement| {
        let mut words = statement.split_whitespace();
        let first = words.find(|word| !["do", "then", "else"].contains(word))?;
        Some(if first.ends_with("dockerd-entrypoint.sh") { "dockerd" } else { first })
    });
    commands.any(|command| command == "dockerd" || command.ends_with("/run.sh"))
}

/// Whether a line removes files.
fn removes(line: &str) -> bool {
    let statements = line.split(';').flat_map(|part| part.split("&&"));
    let mut words = statements.map(|statement| statement.split_whitespace().next());
    words.any(|word| word == Some("rm"))
}
