//! What a difference means: the one list of what the webhook does on purpose in place of what
//! hand-written pods do, each with the page that says why, and of what changes nothing.
//!
//! A rule looks at one pod as `patched` and at the other as `written` by hand. It holds only where the
//! patched one has what shows that: a script of the webhook, or its annotation.

use super::{
    Class,
    meaning::Node,
    shell::{copies_externals, dockerd_is, empties, script, start_does},
};
use crate::{
    annotations::STATUS,
    podspec::{ContainerRef, Json, RUNNER, all_containers, equal::quantity, paths::canonical},
    profile::template::{
        DATA_VOLUME, EXTERNALS_VOLUME, GID_VARIABLE, HAS_RUNNERS_IMAGE, HOOKS_VOLUME,
        INIT_EXTERNALS, INIT_HOOKS, LEAST, PODINFO_VOLUME, REGISTRY_CREDENTIALS_VOLUME,
        SCRIPTS_VOLUME,
    },
    scripts::{
        self, DIND_NAME, END_OF_OPTIONS, START_NAME,
        image::{DIND_FILE, START_FILE},
    },
};

/// A rule about differences.
#[derive(Debug)]
pub struct Rule {
    /// The word that is printed.
    pub name: &'static str,
    /// What differences of this kind are.
    pub class: Class,
    /// The page and heading that say why.
    pub page: &'static str,
    /// What differs, for people.
    pub meaning: &'static str,
    applies: fn(&Case<'_>) -> Outcome,
}

/// Whether a rule holds.
pub(super) enum Outcome {
    Holds,
    /// It is not about this difference.
    Not,
    /// It is about this difference, and does not hold for this reason.
    Except(String),
}

impl From<bool> for Outcome {
    fn from(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Not }
    }
}

impl From<Result<(), String>> for Outcome {
    fn from(result: Result<(), String>) -> Self {
        result.map_or_else(Self::Except, |()| Self::Holds)
    }
}

/// A difference, with one pod as the patched one.
pub(super) struct Case<'c> {
    /// The container's name; empty for a field of the pod.
    pub(super) container: &'c str,
    /// The path below the container, `.env[POD_NAME]`, or the path in the pod.
    pub(super) field: &'c str,
    pub(super) patched: Option<&'c Node<'c>>,
    pub(super) written: Option<&'c Node<'c>>,
    /// The patched pod, and the other.
    pub(super) sides: [&'c Side<'c>; 2],
}

/// What is known of a whole pod.
pub(super) struct Side<'p> {
    spec: &'p Json<'p>,
    /// Whether the webhook says in an annotation that it was there.
    has_status: bool,
    /// Options and command of the runner's start wrapper.
    start: Option<(Vec<&'p str>, Vec<&'p str>)>,
    /// The container that runs the script of dind, and dockerd's flags.
    dind: Option<(&'p str, Vec<&'p str>)>,
}

impl<'p> Side<'p> {
    pub(super) fn of(pod: &'p Json<'p>) -> Self {
        let spec = pod.get("spec").unwrap_or(&Json::Null);
        let start = ContainerRef::find(spec, "containers", RUNNER).and_then(|runner| {
            let words = words(runner.container);
            let arguments = scripts::arguments(&words, |word| Some(word), START_NAME, START_FILE)?;
            let end = arguments.iter().position(|word| *word == END_OF_OPTIONS)?;
            Some((arguments.get(..end)?.to_vec(), arguments.get(end + 1..)?.to_vec()))
        });
        let dind = all_containers(spec).find_map(|place| {
            let words = words(place.container);
            let arguments = scripts::arguments(&words, |word| Some(word), DIND_NAME, DIND_FILE)?;
            Some((place.name(), arguments.to_vec()))
        });
        let has_status = pod.at(&["metadata", "annotations", STATUS]).is_some();
        Self { spec, has_status, start, dind }
    }

    fn container(&self, name: &str) -> Option<&'p Json<'p>> {
        all_containers(self.spec).find(|place| place.name() == name).map(|place| place.container)
    }
}

/// Command and args of a container.
fn words<'p>(container: &'p Json<'p>) -> Vec<&'p str> {
    let lists = ["command", "args"].map(|list| container.list(list));
    lists.into_iter().flatten().map(|word| word.as_str().unwrap_or_default()).collect()
}

const STARTS_AND_ENDS: &str = "docs/profiles.md#how-a-pod-starts-and-ends";
const WRAPPER: &str = "docs/profiles.md#the-start-wrapper";
const DOCKER: &str = "docs/profiles.md#docker-in-docker";
const AMOUNTS: &str = "docs/precedence.md#no-pod-is-made-invalid";

const fn intended(
    name: &'static str,
    page: &'static str,
    meaning: &'static str,
    applies: fn(&Case<'_>) -> Outcome,
) -> Rule {
    Rule { name, class: Class::Intended, page, meaning, applies }
}

/// All rules. The first that holds counts.
pub static RULES: [Rule; 20] = [
    intended(
        "status",
        "docs/annotations.md#arc-rocmdevstatus",
        "The webhook's annotation.",
        |case| case.is_added_at("metadata.annotations.arc-rocm.dev/status").into(),
    ),
    intended(
        "start-wrapper",
        WRAPPER,
        "The start wrapper runs the runner, where a script lists the devices and waits for Docker.",
        start_wrapper,
    ),
    intended("start-files", WRAPPER, "The volume for the files that jobs read.", |case| {
        (case.starts() && case.adds_volume(PODINFO_VOLUME)).into()
    }),
    intended("variables", WRAPPER, "Variables for jobs and for dockerd's group.", variables),
    intended(
        "dind-network",
        DOCKER,
        "What dind gets of the runner: proxies, `envFrom`, the certificate of a GitHub server.",
        dind_network,
    ),
    intended(
        "dind-script",
        STARTS_AND_ENDS,
        "dind's own script starts dockerd with the same flags, waits for it, and ends it in order.",
        dind_script,
    ),
    intended(
        "dind-sidecar",
        STARTS_AND_ENDS,
        "dind is a sidecar, and has a startup probe only where another container needs Docker.",
        dind_sidecar,
    ),
    intended(
        "dind-end",
        STARTS_AND_ENDS,
        "dind empties the data root after dockerd has ended, in a longer grace period.",
        dind_end,
    ),
    intended("externals", DOCKER, "The command that copies the runner's externals.", externals),
    intended("docker-data", DOCKER, "Docker's data is on a volume of the pod.", docker_data),
    intended(
        "restart-policy",
        "docs/seed.md#where-it-differs-and-why",
        "A runner that has ended does not start again.",
        |case| {
            let is_never = case.starts() && text(case.patched) == Some("Never");
            let was_default = matches!(text(case.written), None | Some("Always"));
            (is_never && was_default && case.field == "spec.restartPolicy").into()
        },
    ),
    intended(
        "quota",
        AMOUNTS,
        "Requests of the webhook's containers, for a quota that wants them.",
        least_requests,
    ),
    intended(
        "scripts-image",
        "docs/profiles.md#scripts-from-an-image",
        "The volume with the webhook's scripts.",
        |case| ((case.starts() || case.runs_dind()) && case.adds_volume(SCRIPTS_VOLUME)).into(),
    ),
    intended(
        "registry-credentials",
        DOCKER,
        "The Secret with registry credentials, where a script logs in.",
        |case| (case.starts() && case.adds_volume(REGISTRY_CREDENTIALS_VOLUME)).into(),
    ),
    intended(
        "groups",
        "docs/troubleshooting.md#supplementalgroups",
        "The groups of the GPU devices: the start wrapper opens them as the runner's user.",
        |case| {
            (case.starts() && case.is_added_at("spec.securityContext.supplementalGroups")).into()
        },
    ),
    intended(
        "secret",
        "docs/migration.md#secrets",
        "The value of a variable from a Secret, where it was in the file as text.",
        secret,
    ),
    intended("job-hooks", "docs/profiles.md#job-hooks", "What job hooks need.", job_hooks),
    Rule {
        name: "status-text",
        class: Class::NoEffect,
        page: "docs/annotations.md#arc-rocmdevstatus",
        meaning: "Another profile, version or digest in the annotation, which the webhook does not read.",
        applies: |case| {
            let is_status = case.field == "metadata.annotations.arc-rocm.dev/status";
            (is_status && case.patched.is_some() && case.written.is_some()).into()
        },
    },
    Rule {
        name: "volume-name",
        class: Class::NoEffect,
        page: "docs/cli.md#arc-rocm-diff",
        meaning: "The name of a volume that both pods mount at one path.",
        applies: |case| {
            let volume = case.field.strip_prefix("spec.volumes[");
            volume.is_some_and(|rest| rest.ends_with("].name")).into()
        },
    },
    Rule {
        name: "explicit",
        class: Class::NoEffect,
        page: "docs/cli.md#arc-rocm-diff",
        meaning: "A default of the kubelet, written out.",
        applies: explicit_default,
    },
];

/// The class of a difference, the rule that says so, and why one does not hold. `cases` are the two
/// ways to look at it.
pub(super) fn classify(cases: &[Case<'_>; 2]) -> (Class, Option<&'static Rule>, String) {
    for rule in &RULES {
        for case in cases {
            match (rule.applies)(case) {
                Outcome::Holds => return (rule.class, Some(rule), String::new()),
                Outcome::Except(why) => return (Class::Different, None, why),
                Outcome::Not => {}
            }
        }
    }
    (Class::Different, None, String::new())
}

impl Case<'_> {
    /// Whether only the patched pod has it.
    fn is_added(&self) -> bool {
        self.patched.is_some() && self.written.is_none()
    }

    fn is_added_at(&self, field: &str) -> bool {
        self.is_added() && self.field == field
    }

    fn is_command(&self) -> bool {
        [".command", ".args"].contains(&self.field)
    }

    /// Whether only the patched pod has the start wrapper.
    fn starts(&self) -> bool {
        let [patched, written] = self.sides;
        patched.start.is_some() && written.start.is_none()
    }

    /// Whether only the patched pod has the script of dind.
    fn runs_dind(&self) -> bool {
        let [patched, written] = self.sides;
        patched.dind.is_some() && written.dind.is_none()
    }

    /// Whether only the patched pod was patched at all.
    fn is_patched(&self) -> bool {
        let [patched, written] = self.sides;
        patched.has_status && !written.has_status
    }

    /// Whether it is about the container that only the patched pod runs by the script of dind.
    fn is_dinds(&self) -> bool {
        let dind = self.sides[0].dind.as_ref();
        self.runs_dind() && dind.is_some_and(|(name, _)| *name == self.container)
    }

    /// Whether only the patched pod has a volume of this name, or a mount of it.
    fn adds_volume(&self, name: &str) -> bool {
        let is_mount = self.field.starts_with(".volumeMounts[")
            && matches!(self.patched, Some(Node::Branch(mount)) if text(mount.field("name")) == Some(name));
        self.is_added_at(&format!("spec.volumes[{name}]")) || self.is_added() && is_mount
    }
}

fn text<'n>(node: Option<&'n Node<'_>>) -> Option<&'n str> {
    match node?.plain() {
        Node::Value(value) => value.as_str(),
        Node::Text(text) => Some(text),
        _ => None,
    }
}

fn start_wrapper(case: &Case<'_>) -> Outcome {
    let [patched, written] = case.sides;
    let is_it = case.container == RUNNER && case.is_command() && case.starts();
    let Some((options, command)) = patched.start.as_ref().filter(|_| is_it) else {
        return Outcome::Not;
    };
    match written.container(RUNNER).map(words).as_deref() {
        Some(words) if words == command => Outcome::Holds,
        Some(words) => match script(words) {
            Some(script) => start_does(script, options, command).into(),
            None => Outcome::Except("the start wrapper runs another command".to_owned()),
        },
        None => Outcome::Not,
    }
}

fn variables(case: &Case<'_>) -> Outcome {
    let name = case.field.strip_prefix(".env[").and_then(|rest| rest.strip_suffix(']'));
    let names: &[&str] = match case.container {
        RUNNER if case.starts() => &["KUBE_CPU_REQUEST", "POD_NAME", "NODE_NAME", "DOCKER_HOST"],
        RUNNER if case.runs_dind() => &["POD_NAME", "NODE_NAME", "DOCKER_HOST"],
        _ if case.is_dinds() => &["POD_NAME", GID_VARIABLE],
        _ => &[],
    };
    (case.is_added() && name.is_some_and(|name| names.contains(&name))).into()
}

fn dind_network(case: &Case<'_>) -> Outcome {
    // Without its own, one of `envFrom` could name another Docker.
    const VARIABLES: [&str; 5] =
        ["http_proxy", "https_proxy", "no_proxy", "ssl_cert_dir", "docker_host"];
    let runner = case.sides[0].container(RUNNER).filter(|_| case.is_dinds() && case.is_added());
    let Some(runner) = runner else { return Outcome::Not };
    let name = case.field.strip_prefix(".env[").and_then(|rest| rest.strip_suffix(']'));
    let is_variable =
        name.is_some_and(|name| VARIABLES.contains(&name.to_ascii_lowercase().as_str()));
    let is_env_from = case.field.starts_with(".envFrom") && runner.get("envFrom").is_some();
    // The file that the variable of ARC's chart names.
    let mut env = runner.list("env").iter();
    let file = env.find(|one| one.text("name") == "NODE_EXTRA_CA_CERTS");
    let path = case.field.strip_prefix(".volumeMounts[").and_then(|rest| rest.strip_suffix(']'));
    let is_file = file.zip(path).is_some_and(|(file, path)| file.text("value").starts_with(path));
    (is_variable || is_env_from || is_file).into()
}

fn dind_script(case: &Case<'_>) -> Outcome {
    let [patched, written] = case.sides;
    let (Some((name, wanted)), true) = (&patched.dind, case.is_command() && case.is_dinds()) else {
        return Outcome::Not;
    };
    let Some(container) = written.container(name) else { return Outcome::Not };
    let value = |name: &str| {
        let containers = [Some(container), patched.container(case.container)];
        containers.into_iter().flatten().find_map(|container| {
            let mut variables = container.list("env").iter().rev();
            variables.find(|variable| variable.text("name") == name)?.get("value")?.as_str()
        })
    };
    dockerd_is(&words(container), wanted, value).into()
}

fn dind_sidecar(case: &Case<'_>) -> Outcome {
    let holds = match case.field {
        ".list" => text(case.patched) == Some("initContainers"),
        ".restartPolicy" => text(case.patched) == Some("Always"),
        ".startupProbe" => case.patched.is_none() || case.written.is_none(),
        _ => false,
    };
    (holds && case.is_dinds()).into()
}

fn dind_end(case: &Case<'_>) -> Outcome {
    let [patched, written] = case.sides;
    if case.field == "spec.terminationGracePeriodSeconds" {
        let seconds = |side: &Side<'_>| {
            side.spec.get("terminationGracePeriodSeconds").map_or(Some(30), Json::as_i64)
        };
        return (case.runs_dind() && seconds(patched) > seconds(written)).into();
    }
    let is_hook = case.field == ".lifecycle.preStop" && case.is_dinds();
    let Some((name, flags)) = patched.dind.as_ref().filter(|_| is_hook) else {
        return Outcome::Not;
    };
    let hook = written.container(name);
    let hook = hook.and_then(|dind| dind.at(&["lifecycle", "preStop", "exec", "command"]));
    let words = hook.map(Json::items).unwrap_or_default().iter().filter_map(Json::as_str);
    let words: Vec<&str> = words.collect();
    let root = flags.iter().find_map(|flag| flag.strip_prefix("--data-root=")).unwrap_or_default();
    (!root.is_empty() && empties(&words, root)).into()
}

fn externals(case: &Case<'_>) -> Outcome {
    let copies = |side: &Side<'_>| {
        copies_externals(&side.container(case.container).map(words).unwrap_or_default())
    };
    let is_command = case.is_command() || case.field == ".imagePullPolicy";
    // It may do what the runner may.
    let is_context =
        case.is_patched() && case.is_added() && case.field.starts_with(".securityContext");
    let is_its = case.container == INIT_EXTERNALS
        && (case.runs_dind() && is_command && case.sides.into_iter().all(copies) || is_context);
    let is_runners = case.runs_dind() && case.container == RUNNER;
    (is_its || is_runners && case.adds_volume(EXTERNALS_VOLUME)).into()
}

/// Data that was on a volume is not to be on another one.
fn docker_data(case: &Case<'_>) -> Outcome {
    let [patched, written] = case.sides;
    let is_it = case.runs_dind() && case.adds_volume(DATA_VOLUME);
    let Some((name, flags)) = patched.dind.as_ref().filter(|_| is_it) else { return Outcome::Not };
    let root = flags.iter().find_map(|flag| flag.strip_prefix("--data-root=")).unwrap_or_default();
    let mounts = written.container(name).map(|dind| dind.list("volumeMounts")).unwrap_or_default();
    let is_around = |mount: &Json<'_>| {
        let (path, root) = (canonical(mount.text("mountPath")), canonical(root));
        root.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
    };
    match mounts.iter().find(|mount| is_around(mount)) {
        Some(mount) => Outcome::Except(format!(
            "the data root was on the volume {} at {}",
            mount.text("name"),
            mount.text("mountPath")
        )),
        None => Outcome::Holds,
    }
}

fn least_requests(case: &Case<'_>) -> Outcome {
    let resource = |map: &str| {
        let rest = case.field.strip_prefix(".resources.")?.strip_prefix(map)?;
        rest.strip_prefix('[')?.strip_suffix(']')
    };
    let Some(Node::Quantity(amount)) = case.patched.map(Node::plain).filter(|_| case.is_added())
    else {
        return Outcome::Not;
    };
    let is_least = || {
        let resource = resource("requests");
        LEAST.iter().any(|(name, least)| resource == Some(name) && amount.to_string() == *least)
    };
    let is_runners = || {
        let runner = case.sides[0].container(RUNNER);
        ["requests", "limits"].into_iter().any(|map| {
            let there = resource(map).and_then(|name| runner?.at(&["resources", map, name]));
            there.and_then(quantity).as_ref() == Some(amount)
        })
    };
    let runs_once = HAS_RUNNERS_IMAGE.contains(&case.container);
    (case.is_patched() && (is_least() || runs_once && is_runners())).into()
}

/// A variable's value is gone, and comes from a Secret.
fn secret(case: &Case<'_>) -> Outcome {
    let Some((name, field)) =
        case.field.strip_prefix(".env[").and_then(|rest| rest.split_once(']'))
    else {
        return Outcome::Not;
    };
    let variable = |side: &Side<'_>| {
        let container = all_containers(side.spec).find(|place| place.name() == case.container)?;
        let mut all = container.container.list("env").iter().rev();
        let variable = all.find(|variable| variable.text("name") == name)?;
        let is_text = variable.get("value").is_some();
        Some((is_text, variable.at(&["valueFrom", "secretKeyRef"]).is_some()))
    };
    let [patched, written] = case.sides.map(variable);
    let holds = matches!((patched, written), (Some((false, true)), Some((true, false))));
    (holds && case.is_patched() && [".value", ".valueFrom"].contains(&field)).into()
}

fn job_hooks(case: &Case<'_>) -> Outcome {
    let adds = case.container == INIT_HOOKS && case.field.is_empty() && case.is_added()
        || case.adds_volume(HOOKS_VOLUME)
        || case.is_added()
            && case.container == RUNNER
            && [".env[ACTIONS_RUNNER_HOOK_JOB_", ".env[ARC_ROCM_"]
                .iter()
                .any(|start| case.field.starts_with(start));
    (case.starts() && adds).into()
}

fn explicit_default(case: &Case<'_>) -> Outcome {
    let Some(Node::Value(Json::Bool(flag))) = case.patched.filter(|_| case.is_added()) else {
        return Outcome::Not;
    };
    let is_non_root = |side: &Side<'_>| {
        side.spec.at(&["securityContext", "runAsNonRoot"]).and_then(Json::as_bool) == Some(true)
    };
    let default = match case.field.rsplit_once("securityContext.").map(|(_, field)| field) {
        Some("allowPrivilegeEscalation") => true,
        Some("readOnlyRootFilesystem") => false,
        // A container's own holds before the pod's.
        Some("runAsNonRoot") if !case.sides.into_iter().any(is_non_root) => false,
        _ => return Outcome::Not,
    };
    (*flag == default).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::super::{Difference, compare};
    use super::*;

    const DIND_FLAGS: [&str; 3] =
        ["--host=unix:///var/run/docker.sock", "--group=$(DOCKER_GROUP_GID)", "--data-root=/data"];
    const BY_HAND: &str = "ls /dev/dri > /etc/podinfo/gha-render-devices\n/home/runner/run.sh";

    /// A pod as the webhook makes it, with all that rules are about.
    fn patched() -> Value {
        let start = [
            "/bin/sh",
            "-c",
            &scripts::start(&[]),
            START_NAME,
            "--gpus=1",
            "--",
            "/home/runner/run.sh",
        ]
        .map(str::to_owned);
        let dind = ["/bin/sh", "-c", &scripts::dind(false), DIND_NAME].map(str::to_owned);
        let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
        let variable = |name: &str| json!({"name": name, "value": "1"});
        json!({
            "metadata": {"annotations": {"arc-rocm.dev/status": "{}"}},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 90,
                "securityContext": {"supplementalGroups": [110]},
                "initContainers": [
                    {"name": "init-job-hooks", "image": "i"},
                    {
                        "name": "init-dind-externals",
                        "command": ["cp", "-r", "/home/runner/externals/.", "/home/runner/tmpDir/"],
                        "resources": {"requests": {"cpu": "4"}},
                    },
                    {
                        "name": "dind",
                        "restartPolicy": "Always",
                        "command": dind,
                        "args": DIND_FLAGS,
                        "startupProbe": {"exec": {"command": ["docker", "info"]}},
                        "env": [{"name": "DOCKER_GROUP_GID", "value": "123"}, variable("https_proxy")],
                        "volumeMounts": [mount("docker-data", "/data")],
                        "resources": {"requests": {"cpu": "1m"}},
                        "securityContext": {"privileged": true, "runAsNonRoot": false,
                            "allowPrivilegeEscalation": true, "readOnlyRootFilesystem": false},
                    },
                ],
                "containers": [{
                    "name": "runner",
                    "command": start,
                    "env": [variable("POD_NAME"), variable("ACTIONS_RUNNER_HOOK_JOB_STARTED"),
                        {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                    "resources": {"requests": {"cpu": "4"}},
                    "volumeMounts": [mount("podinfo", "/etc/podinfo"), mount("docker-data", "/data"),
                        mount("job-hooks", "/hooks"), mount("arc-rocm-scripts", "/opt/arc-rocm"),
                        mount("registry-credentials", "/etc/arc-rocm/docker")],
                }],
                "volumes": [{"name": "podinfo"}, {"name": "docker-data"}, {"name": "job-hooks"},
                    {"name": "arc-rocm-scripts", "image": {"reference": "r"}},
                    {"name": "registry-credentials", "secret": {"secretName": "s"}}],
            },
        })
    }

    /// The same by hand.
    fn written() -> Value {
        json!({"spec": {
            "initContainers": [{
                "name": "init-dind-externals",
                "command": ["sh", "-c", "cp -a /home/runner/externals/. /home/runner/tmpDir/"],
            }],
            "containers": [
                {
                    "name": "dind",
                    "command": ["sh", "-c", "dockerd --group=123 --data-root=/data & wait"],
                    "securityContext": {"privileged": true},
                    "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "rm -rf /data/*"]}}},
                    "volumeMounts": [{"name": "a-disk", "mountPath": "/data"}],
                },
                {
                    "name": "runner",
                    "command": ["/bin/sh", "-c", BY_HAND],
                    "env": [{"name": "HF_TOKEN", "value": "x"}],
                    "resources": {"requests": {"cpu": "4"}},
                },
            ],
            "volumes": [{"name": "a-disk", "emptyDir": {}}],
        }})
    }

    fn differences(a: &Value, b: &Value) -> Vec<Difference> {
        compare(&Json::of(a), &Json::of(b))
    }

    /// The paths of one class.
    fn paths(found: &[Difference], class: Class) -> Vec<&str> {
        let of_class = found.iter().filter(|one| one.class == class);
        of_class.map(|one| one.path.as_str()).collect()
    }

    #[test]
    fn each_rule_holds_for_what_the_webhook_does() {
        let found = differences(&written(), &patched());
        assert_eq!(paths(&found, Class::Different), [""; 0], "{found:#?}");
        let mut other = patched();
        other["metadata"]["annotations"]["arc-rocm.dev/status"] = "{ }".into();
        let found_too = differences(&patched(), &other);
        let names = found.iter().chain(&found_too).filter_map(|one| Some(one.rule?.name));
        let names: BTreeSet<&str> = names.collect();
        assert_eq!(names, RULES.iter().map(|rule| rule.name).collect());
        assert_eq!(paths(&found, Class::NoEffect).len(), 4);
    }

    #[test]
    fn nothing_is_intended_without_a_script_of_the_webhook() {
        let text = patched().to_string();
        let text = text.replace("\"arc-rocm-start\"", "\"start\"");
        let mut by_hand: Value =
            serde_json::from_str(&text.replace("\"arc-rocm-dind\"", "\"dockerd\"")).unwrap();
        by_hand["metadata"].take();
        let found = differences(&written(), &by_hand);
        assert_eq!(paths(&found, Class::Intended), [""; 0], "{found:#?}");
    }

    #[test]
    fn nothing_is_intended_between_two_patched_pods() {
        let mut other = patched();
        other["spec"]["terminationGracePeriodSeconds"] = 30.into();
        other["spec"]["containers"][0]["command"][4] = "--gpus=2".into();
        other["spec"]["volumes"].as_array_mut().unwrap().remove(0);
        let found = differences(&patched(), &other);
        assert_eq!(paths(&found, Class::Different).len(), 3, "{found:#?}");
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn container_that_only_the_patched_pod_has_is_different() {
        let mut written = written();
        written["spec"]["containers"].as_array_mut().unwrap().remove(0);
        written["spec"]["volumes"].take();
        let found = differences(&written, &patched());
        assert_eq!(paths(&found, Class::Different), ["spec.initContainers[dind]"]);
    }

    /// Two dockerds with data at one path, on a volume that is mounted above it.
    #[test]
    fn docker_data_that_moves_to_another_volume_is_different() {
        let mut written = written();
        written["spec"]["containers"][0]["command"][2] =
            "dockerd --group=123 --data-root=/scratch/docker & wait".into();
        written["spec"]["containers"][0]["lifecycle"].take();
        written["spec"]["containers"][0]["volumeMounts"][0]["mountPath"] = "/scratch".into();
        let text = patched().to_string().replace("/data", "/scratch/docker");
        let found = differences(&written, &serde_json::from_str(&text).unwrap());
        let paths = paths(&found, Class::Different);
        assert!(paths.contains(&"spec.volumes[docker-data]"), "{found:#?}");
        assert!(found.iter().any(|one| one.note.contains("the volume a-disk at /scratch")));
    }

    #[test]
    fn what_a_person_has_to_see_is_different() {
        for (pointer, value, path) in [
            (
                "/spec/containers/0/command/2",
                json!("dockerd --group=1"),
                "spec.containers[dind].command",
            ),
            (
                "/spec/containers/0/lifecycle/preStop/exec/command/2",
                json!("rm -rf /data /cache"),
                "spec.containers[dind].lifecycle.preStop",
            ),
            (
                "/spec/containers/1/command/2",
                json!("./prepare\n/home/runner/run.sh"),
                "spec.containers[runner].command",
            ),
            (
                "/spec/terminationGracePeriodSeconds",
                json!(600),
                "spec.terminationGracePeriodSeconds",
            ),
            ("/spec/restartPolicy", json!("OnFailure"), "spec.restartPolicy"),
            (
                "/spec/containers/1/resources/requests/cpu",
                json!("8"),
                "spec.containers[runner].resources.requests[cpu]",
            ),
        ] {
            let mut written = written();
            match written.pointer_mut(pointer) {
                Some(place) => *place = value,
                None => written["spec"][pointer.rsplit('/').next().unwrap()] = value,
            }
            let found = differences(&written, &patched());
            assert_eq!(paths(&found, Class::Different), [path], "{found:#?}");
        }
    }

    #[test]
    fn explicit_default_below_a_pod_that_is_non_root_is_different() {
        let pod = |container: Value| {
            json!({"spec": {"securityContext": {"runAsNonRoot": true},
            "containers": [{"name": "c", "securityContext": container}]}})
        };
        let found = differences(&pod(json!({})), &pod(json!({"runAsNonRoot": false})));
        assert_eq!(paths(&found, Class::Different).len(), 1, "{found:#?}");
    }
}
