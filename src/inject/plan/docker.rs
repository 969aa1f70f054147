//! Who provides Docker to the pod: the dind that we add, the pod's own, or somebody elsewhere.

use serde_json::Value;

use super::{
    Conflict, ConflictCode, Place, Planner, Reason, Winner, all_containers, list, text, volumes,
};
use crate::{
    inject::patch::Step,
    podspec::{
        Json,
        equal::covers,
        merge::{Owner, is_default},
        paths::canonical,
    },
    profile::template::{
        DIND, DIND_VOLUMES, EXTERNALS_VOLUME, INIT_EXTERNALS, RUNNER, SOCKET_VOLUME, Template,
        name_of,
    },
    scripts,
};

/// The environment variable by which Docker's CLI finds its daemon.
const DOCKER_HOST: &str = "DOCKER_HOST";
/// The fields that make a dind container what it is; an author's own keeps all of them. The last one
/// is what the template may give to an init container of its own name that has none.
const IDENTITY: [&str; 12] = [
    "args",
    "command",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "restartPolicyRules",
    "securityContext",
    "startupProbe",
    "workingDir",
    "restartPolicy",
];

/// From SIGTERM to SIGKILL for a pod with our dind (`docs/profiles.md`, "How a pod starts and ends"). The
/// kubelet stops a sidecar when the containers have ended, and gives it what is left: of
/// Kubernetes' 30 s that is too little after a job that had to be cancelled.
const GRACE_SECONDS: u32 = 90;
/// The pod's field for it.
const GRACE: &str = "terminationGracePeriodSeconds";

/// Shells that take a script after `-c`.
const SHELLS: [&str; 4] = ["ash", "bash", "dash", "sh"];

/// Words of a script that the command itself comes after, as it does after `VARIABLE=value`.
const BEFORE_COMMANDS: [&str; 3] = ["exec", "nohup", "sudo"];

/// Who provides Docker.
#[derive(Clone, Copy)]
pub(super) enum Docker<'p> {
    /// The dind container of the template.
    Ours,
    /// A dind container that the author wrote.
    Own(Place<'p>),
    /// Nobody in this pod, or nobody we know.
    Elsewhere,
}

impl<'p> Docker<'p> {
    pub(super) fn of(
        spec: &'p Json<'p>,
        runner: &'p Json<'p>,
        template: &'p Template,
        conflicts: &mut Vec<Conflict>,
    ) -> Self {
        let mut note = |code, path: String, message: &str| {
            let message = message.to_owned();
            conflicts.push(Conflict { code, winner: Winner::Author, path, message });
        };
        let wanted = template.dind();
        let is_ours =
            |wanted| all_containers(spec).any(|place| is_same_daemon(place.container, wanted));
        if wanted.is_some_and(is_ours) {
            return Self::Ours;
        }
        // The externals are copied from the runner's image, whatever that is called.
        let is_own = |place: &Place<'_>| {
            ![RUNNER, INIT_EXTERNALS].contains(&place.container.text("name"))
                && is_dind(place, template)
        };
        if let Some(own) = all_containers(spec).find(is_own) {
            if wanted.is_some() {
                let message = "the pod has its own Docker-in-Docker, which is kept as it is";
                note(ConflictCode::DindKept, own.label(""), message);
            }
            return Self::Own(own);
        }
        let Some(wanted) = wanted else { return Self::Elsewhere };
        if let Some(taken) = Place::find(spec, "initContainers", DIND) {
            let message = "the name is taken by an init container that is no sidecar, so no \
                           Docker-in-Docker is added";
            note(ConflictCode::NameTaken, taken.label(""), message);
            return Self::Elsewhere;
        }
        if let Some((path, why)) = obstacle(spec, runner, wanted, template) {
            note(
                ConflictCode::DindLeftOut,
                path,
                &format!("{why}, so no Docker-in-Docker is added"),
            );
            return Self::Elsewhere;
        }
        Self::Ours
    }
}

/// What speaks against adding a dind container: the field and the reason.
fn obstacle(
    spec: &Json<'_>,
    runner: &Json<'_>,
    dind: &Value,
    template: &Template,
) -> Option<(String, String)> {
    let runner_label = |rest: &str| format!("spec.containers[runner]{rest}");
    let profiles = template.container(RUNNER).map(|wanted| text(wanted, "image"));
    let image = runner.text("image");
    if is_runner_with_dind(image) && profiles != Some(image) {
        return Some((runner_label(""), "the runner container runs its own dockerd".into()));
    }
    let wanted_host = template
        .container(RUNNER)
        .and_then(|runner| list(runner, "env").iter().find(|env| text(env, "name") == DOCKER_HOST));
    if let Some(host) = env(runner, DOCKER_HOST)
        && wanted_host.is_none_or(|wanted| !covers(host, wanted))
    {
        let path = runner_label(".env[DOCKER_HOST]");
        return Some((path, "the pod's own value points to another Docker".into()));
    }
    if spec.get("hostUsers").and_then(Json::as_bool) == Some(false) {
        let why = "dockerd cannot run in a user namespace (hostUsers false)";
        return Some(("spec.hostUsers".into(), why.into()));
    }
    let socket_dir = list(dind, "volumeMounts")
        .iter()
        .find(|mount| text(mount, "name") == SOCKET_VOLUME)
        .map(|mount| text(mount, "mountPath"))?;
    for mount in runner.list("volumeMounts") {
        let path = mount.text("mountPath");
        let label = || runner_label(&format!(".volumeMounts[{path}]"));
        let parent = canonical(path).rsplit_once('/').map(|(parent, _)| parent);
        if parent == Some(canonical(socket_dir)) && path.strip_suffix(".sock").is_some() {
            return Some((label(), "the pod mounts a Docker socket of its own".into()));
        }
        if canonical(path) == canonical(socket_dir)
            && !volumes::is_writable_mount(spec, template, mount)
        {
            let why = "what the pod mounts here cannot hold Docker's socket";
            return Some((label(), why.into()));
        }
    }
    None
}

/// Whether a container runs a Docker daemon for the pod: by its name, its image or its command
/// line. An init container that ends does not, whatever is in its image: it may copy Docker's CLI
/// from there, or wait for a daemon. What the template makes of it counts, so that a second look
/// finds the same.
fn is_dind(place: &Place<'_>, template: &Template) -> bool {
    let container = place.container;
    let name = container.text("name");
    let is_made_sidecar = || {
        place.container.get("restartPolicy").is_none()
            && name != DIND
            && template
                .init_containers
                .iter()
                .any(|wanted| name_of(wanted) == name && text(wanted, "restartPolicy") == "Always")
    };
    (!place.runs_once() || is_made_sidecar())
        && (name == DIND || is_dind_image(container.text("image")) || runs_dockerd(container))
}

/// The name and the tag of an image, without registry and digest.
fn name_and_tag(image: &str) -> (&str, &str) {
    let image = image.rsplit_once('/').map_or(image, |(_, name)| name);
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    image.split_once(':').unwrap_or((image, ""))
}

/// Whether an image's entrypoint is dockerd: `dind`, or Docker's own with a tag such as
/// `27-dind-rootless`. Others have the word in their names too (`dind-exporter`).
fn is_dind_image(image: &str) -> bool {
    match name_and_tag(image) {
        (DIND, _) => true,
        ("docker", tag) => tag.split('-').any(|word| word == DIND),
        _ => false,
    }
}

/// Whether a runner's own image starts dockerd beside the runner, as `actions-runner-dind` does.
fn is_runner_with_dind(image: &str) -> bool {
    let (name, _) = name_and_tag(image);
    is_dind_image(image) || name.split(['-', '_', '.']).any(|word| word == DIND)
}

/// Whether a container's command line starts dockerd, itself or from a shell's script. One that
/// only speaks of it (`until pgrep dockerd`) does not.
fn runs_dockerd(container: &Json<'_>) -> bool {
    let mut line =
        ["command", "args"].iter().flat_map(|field| container.list(field)).filter_map(Json::as_str);
    let Some(program) = line.next() else { return false };
    if !SHELLS.contains(&base_name(program)) {
        return is_dockerd(program);
    }
    // `-c`, or the last of several: `-ec`.
    let has_script = line.any(|flag| flag.starts_with('-') && flag.ends_with('c'));
    let script = line.next().filter(|_| has_script).unwrap_or_default();
    script.split(['\n', ';', '&', '|']).any(|command| {
        let mut words = command.split_ascii_whitespace();
        words
            .find(|word| !BEFORE_COMMANDS.contains(word) && !word.contains('='))
            .is_some_and(is_dockerd)
    })
}

fn is_dockerd(program: &str) -> bool {
    ["dockerd", "dockerd-entrypoint.sh"].contains(&base_name(program))
}

fn base_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Whether the pod's container is the template's, seen again. Where the template has a command,
/// that tells; others may have rewritten the image to a mirror in between.
fn is_same_daemon(there: &Json<'_>, wanted: &Value) -> bool {
    let fields: &[&str] = if wanted.get("command").is_some() {
        &["name", "command"]
    } else {
        &["name", "image", "args"]
    };
    fields.iter().all(|&field| match (there.get(field), wanted.get(field)) {
        (None, None) => true,
        (Some(there), Some(wanted)) => covers(there, wanted),
        _ => false,
    })
}

/// The pod container's environment variable `name`.
pub(super) fn env<'p>(container: &'p Json<'p>, name: &str) -> Option<&'p Json<'p>> {
    // Of two of one name the last one counts.
    container.list("env").iter().rev().find(|env| env.text("name") == name)
}

impl<'p> Planner<'p> {
    /// Raises the grace of a pod whose dind needs it and where neither the author nor the profile
    /// says another. Another dind may know nothing of SIGTERM, and would only be waited for longer.
    pub(super) fn grace(&mut self) {
        let is_ours = matches!(self.docker, Docker::Ours)
            && self.template.dind().is_some_and(|dind| {
                list(dind, "command").iter().any(|word| word == scripts::DIND_NAME)
            });
        let wanted = Value::from(GRACE_SECONDS);
        if is_ours
            && !self.template.spec.contains_key(GRACE)
            && self.spec.get(GRACE).is_none_or(|there| is_default(Owner::Pod, GRACE, there))
        {
            self.edits.set(&[Step::Key("spec"), Step::Key(GRACE)], wanted, Reason::Dind);
        }
    }

    /// Whether the container at `place` is a dind container that the author wrote.
    pub(super) fn is_own_dind(&self, place: Place<'_>) -> bool {
        matches!(self.docker, Docker::Own(own) if own.list == place.list && own.index == place.index)
    }

    /// The dind container that the author wrote, where the template's is laid under it, whatever
    /// its name.
    pub(super) fn own_dind(&self) -> Option<Place<'p>> {
        match self.docker {
            Docker::Own(own) if self.stands_for_dind(own) => Some(own),
            _ => None,
        }
    }

    /// Whether the template's dind is laid under the author's own: not where another container of
    /// the template, by its name, already is.
    fn stands_for_dind(&self, own: Place<'_>) -> bool {
        let name = own.container.text("name");
        let Template { init_containers, containers, .. } = self.template;
        name == DIND
            || !init_containers.iter().chain(containers).any(|wanted| name_of(wanted) == name)
    }

    /// The fields of the template's container that do not go into the pod's container at `place`.
    pub(super) fn fields_kept(&self, place: Place<'_>) -> &'static [&'static str] {
        match IDENTITY.split_last() {
            Some((_, others)) if self.is_own_dind(place) && place.runs_once() => others,
            _ if self.is_own_dind(place) => &IDENTITY,
            _ => &[],
        }
    }

    /// Whether Docker's daemon is in this pod, so that the start wrapper has something to wait for.
    pub(super) fn has_docker(&self) -> bool {
        !matches!(self.docker, Docker::Elsewhere)
    }

    /// Whether the template's init container or container `name` goes into this pod.
    pub(super) fn wants_container(&self, name: &str) -> bool {
        match self.docker {
            Docker::Elsewhere => name != DIND && name != INIT_EXTERNALS,
            Docker::Own(own) if name == DIND => self.stands_for_dind(own),
            Docker::Own(_) if name == INIT_EXTERNALS => {
                Place::find(self.spec, "initContainers", name).is_some()
            }
            Docker::Ours | Docker::Own(_) => true,
        }
    }

    /// Whether the template's mount, by its volume's name here, is of what belongs to dind alone.
    pub(super) fn is_dinds(&self, mount: &Value) -> bool {
        let name = self.volume_names.of(text(mount, "name"));
        name.is_some_and(|name| DIND_VOLUMES.contains(&name))
    }

    /// Whether the runner gets the template's mount. What belongs to dind alone goes in only
    /// where the pod's dind has the same: an empty volume over the runner's externals would leave
    /// it without node.
    pub(super) fn wants_runner_mount(&self, mount: &Value) -> bool {
        let name = text(mount, "name");
        if !self.is_dinds(mount) {
            return true;
        }
        match self.docker {
            // An empty volume would hide the runner's externals where nothing can copy them.
            Docker::Ours => {
                self.volume_names.of(name) != Some(EXTERNALS_VOLUME)
                    || Place::find(self.spec, "containers", INIT_EXTERNALS).is_none()
            }
            Docker::Own(own) => {
                self.volume_names.of(name) != Some(EXTERNALS_VOLUME)
                    && own.container.list("volumeMounts").iter().any(|there| {
                        there.text("name") == name
                            && canonical(there.text("mountPath"))
                                == canonical(text(mount, "mountPath"))
                    })
            }
            Docker::Elsewhere => false,
        }
    }

    /// Whether the runner gets the template's environment variable.
    pub(super) fn wants_runner_env(&self, name: &str) -> bool {
        match self.docker {
            _ if name != DOCKER_HOST => true,
            Docker::Ours => true,
            Docker::Own(own) => own
                .container
                .list("volumeMounts")
                .iter()
                .any(|mount| mount.text("name") == SOCKET_VOLUME),
            Docker::Elsewhere => false,
        }
    }
}
