//! Which container provides Docker to the pod: the dind of the template, one of the scale set's own,
//! or none in this pod.

use super::{
    changes::Changes,
    conflict::{ConflictCode, Winner},
    dind_mounts::{Unshared, is_shareable},
    env::variable,
    facts::Facts,
    pod_fields::host_network_obstacle,
};
use crate::{
    podspec::{
        ContainerRef, Json, all_containers, equal::is_subset, image::is_at_mirror, paths::canonical,
    },
    profile::template::{
        DIND, DIND_VOLUMES, EXTERNALS_VOLUME, INIT_EXTERNALS, RUNNER, SOCKET_VOLUME, Template,
    },
    scripts,
};

/// The environment variable by which Docker's CLI finds its daemon.
pub(super) const DOCKER_HOST: &str = "DOCKER_HOST";
/// The fields that make a dind container what it is; a scale set's own keeps all of them. The last
/// one is what the template may give to an init container of its own name that has none.
const IDENTITY: [&str; 11] = [
    "args",
    "command",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "securityContext",
    "startupProbe",
    "workingDir",
    "restartPolicy",
];

/// Shells that take a script after `-c`.
const SHELLS: [&str; 4] = ["ash", "bash", "dash", "sh"];

/// Words of a script that the command itself comes after, as it does after `VARIABLE=value`.
const BEFORE_COMMANDS: [&str; 3] = ["exec", "nohup", "sudo"];

/// How the names of Sysbox's runtime classes begin: `sysbox-runc` (nestybox/sysbox, its
/// installation guide for Kubernetes).
const SYSBOX: &str = "sysbox";

/// The annotation by which CRI-O gives a pod a user namespace (cri-o `pkg/annotations`).
const CRIO_USER_NAMESPACE: &str = "io.kubernetes.cri-o.userns-mode";

/// Which container provides Docker.
#[derive(Clone, Debug)]
pub(super) enum Docker<'p> {
    /// The dind container of the template.
    Profile,
    /// A dind container of the scale set's own.
    Own(ContainerRef<'p>),
    /// None in this pod, or none that is known.
    Elsewhere {
        /// What keeps the template's dind out of the pod.
        obstacle: Option<Obstacle>,
    },
}

/// What keeps the template's dind out of a pod.
#[derive(Clone, Debug)]
pub(super) struct Obstacle {
    code: ConflictCode,
    /// The field of the pod.
    path: String,
    why: &'static str,
}

/// Says which Docker is used instead of the template's.
pub(super) fn rule<'p>(facts: &Facts<'p>, changes: &mut Changes<'p>) {
    match &facts.docker {
        Docker::Own(own) if facts.template.dind().is_some() => {
            let message = "the pod has its own Docker-in-Docker, which is kept as it is";
            changes.conflict(ConflictCode::DindKept, Winner::ScaleSet, own.path(""), message);
        }
        Docker::Elsewhere { obstacle: Some(Obstacle { code, path, why }) } => {
            let message = format!("{why}, so no Docker-in-Docker is added");
            changes.conflict(*code, Winner::ScaleSet, path, message);
        }
        Docker::Profile => of_added(facts, changes),
        Docker::Own(_) | Docker::Elsewhere { obstacle: None } => {}
    }
}

/// Says where the template's dind is less apart than usual, or sees less.
fn of_added(facts: &Facts<'_>, changes: &mut Changes<'_>) {
    let there = facts.spec.get("hostNetwork").and_then(Json::as_bool);
    let is_templates = || {
        facts.template.field("hostNetwork").and_then(Json::as_bool) == Some(true)
            && host_network_obstacle(facts).is_none()
    };
    if there.unwrap_or_else(is_templates) {
        let message = "dockerd makes docker0 and its iptables chains on the node, which all runners \
                       of the node share";
        let code = ConflictCode::DindHostNetwork;
        changes.conflict(code, Winner::ScaleSet, "spec.hostNetwork", message);
    }
    for Unshared { path, variable } in facts.placements.iter().flat_map(|one| &one.unshared) {
        let message = format!(
            "dind does not have this mount, because {variable} of its subPathExpr has another value \
             there: docker run -v finds no file of it"
        );
        let path = facts.runner.path(&format!(".volumeMounts[{path}]"));
        changes.conflict(ConflictCode::MountUnshared, Winner::ScaleSet, path, message);
    }
}

impl<'p> Docker<'p> {
    pub(super) fn of(facts: &Facts<'p>) -> Self {
        let Facts { spec, template, .. } = *facts;
        let wanted = template.dind();
        let is_templates = |wanted: &Json<'_>| {
            all_containers(spec).any(|place| is_same_daemon(place.container, wanted))
        };
        if wanted.is_some_and(is_templates) {
            return Self::Profile;
        }
        // The externals are copied from the runner's image, whatever that is called.
        let is_own = |place: &ContainerRef<'_>| {
            ![RUNNER, INIT_EXTERNALS].contains(&place.name()) && is_dind(place, template)
        };
        if let Some(own) = all_containers(spec).find(is_own) {
            return Self::Own(own);
        }
        let obstacle = wanted.and_then(|wanted| obstacle(facts, wanted));
        match (wanted, obstacle) {
            (Some(_), None) => Self::Profile,
            (_, obstacle) => Self::Elsewhere { obstacle },
        }
    }

    /// Whether it is the dind of the template.
    pub(super) fn is_profiles(&self) -> bool {
        matches!(self, Self::Profile)
    }

    /// Whether the container at `place` is a dind of the scale set's own.
    pub(super) fn is_own_dind(&self, place: ContainerRef<'_>) -> bool {
        matches!(self, Self::Own(own) if own.is(place))
    }

    /// The scale set's own dind, where the template's is laid under it, whatever its name: not
    /// where another container of the template, by its name, already is.
    pub(super) fn replaced_dind(&self, template: &Template) -> Option<ContainerRef<'p>> {
        let Self::Own(own) = self else { return None };
        let Template { init_containers, containers, .. } = template;
        let is_named = |wanted: &Json<'_>| wanted.text("name") == own.name();
        let is_taken = own.name() != DIND && init_containers.iter().chain(containers).any(is_named);
        (!is_taken).then_some(*own)
    }

    /// Whether a field of the template goes into the pod's container at `place`.
    pub(super) fn wants_field(&self, place: ContainerRef<'_>, field: &str) -> bool {
        let is_kept = IDENTITY.contains(&field) && !(field == "restartPolicy" && place.runs_once());
        !(is_kept && self.is_own_dind(place))
    }

    /// Whether Docker's daemon is in this pod, so that the start wrapper has something to wait for.
    pub(super) fn is_in_pod(&self) -> bool {
        !matches!(self, Self::Elsewhere { .. })
    }

    /// Whether the template's init container or container `name` goes into this pod.
    pub(super) fn wants_container(&self, facts: &Facts<'_>, name: &str) -> bool {
        match self {
            Self::Elsewhere { .. } => name != DIND && name != INIT_EXTERNALS,
            Self::Own(_) if name == DIND => self.replaced_dind(facts.template).is_some(),
            Self::Own(_) if name == INIT_EXTERNALS => {
                ContainerRef::find(facts.spec, "initContainers", name).is_some()
            }
            Self::Profile | Self::Own(_) => true,
        }
    }

    /// Whether the runner gets the template's mount. What belongs to dind alone goes in only
    /// where the pod's dind has the same: an empty volume over the runner's externals would leave
    /// it without node.
    pub(super) fn wants_runner_mount(&self, facts: &Facts<'_>, mount: &Json<'_>) -> bool {
        if !facts.is_dinds(mount) {
            return true;
        }
        let name = mount.text("name");
        let is_externals = facts.volume_names.template_name(name) == Some(EXTERNALS_VOLUME);
        match self {
            // Nothing can copy them where the name of the init container is taken.
            Self::Profile => {
                !is_externals
                    || ContainerRef::find(facts.spec, "containers", INIT_EXTERNALS).is_none()
            }
            Self::Own(own) => {
                let path = canonical(mount.text("mountPath"));
                let mut mounts = own.container.list("volumeMounts").iter();
                let is_there = mounts.any(|there| {
                    there.text("name") == name && canonical(there.text("mountPath")) == path
                });
                !is_externals && is_there
            }
            Self::Elsewhere { .. } => false,
        }
    }

    /// Whether the runner gets the template's environment variable.
    pub(super) fn wants_runner_env(&self, name: &str) -> bool {
        match self {
            _ if name != DOCKER_HOST => true,
            Self::Profile => true,
            Self::Own(own) => {
                let mut mounts = own.container.list("volumeMounts").iter();
                mounts.any(|mount| mount.text("name") == SOCKET_VOLUME)
            }
            Self::Elsewhere { .. } => false,
        }
    }
}

impl Facts<'_> {
    /// Whether the pod's Docker is the template's, run by `dind.sh`.
    pub(super) fn runs_dind_script(&self) -> bool {
        let names = [scripts::DIND_NAME, scripts::image::DIND_FILE].map(Some);
        let is_script = |word: &Json<'_>| names.contains(&word.as_str());
        let dind = self.template.dind().filter(|_| matches!(self.docker, Docker::Profile));
        dind.is_some_and(|dind| dind.list("command").iter().any(is_script))
    }

    /// Whether the template's mount, by its volume's name here, is of what belongs to dind alone.
    pub(super) fn is_dinds(&self, mount: &Json<'_>) -> bool {
        let name = self.volume_names.template_name(mount.text("name"));
        name.is_some_and(|name| DIND_VOLUMES.contains(&name))
    }
}

/// What speaks against adding the template's dind.
fn obstacle(facts: &Facts<'_>, dind: &Json<'_>) -> Option<Obstacle> {
    let Facts { spec, runner, .. } = *facts;
    let left_out = |path: String, why| Obstacle { code: ConflictCode::DindLeftOut, path, why };
    if let Some(taken) = ContainerRef::find(spec, "initContainers", DIND) {
        let why = "the name is taken by an init container that is no sidecar";
        return Some(Obstacle { code: ConflictCode::NameTaken, path: taken.path(""), why });
    }
    let profiles = facts.wanted_runner().map(|wanted| wanted.text("image"));
    let image = runner.container.text("image");
    if is_runner_with_dind(image) && !profiles.is_some_and(|own| is_at_mirror(image, own)) {
        return Some(left_out(runner.path(""), "the runner container runs its own dockerd"));
    }
    let wanted_host = facts.wanted_runner().and_then(|runner| variable(runner, DOCKER_HOST));
    if let Some(host) = variable(runner.container, DOCKER_HOST)
        && wanted_host.is_none_or(|wanted| !is_subset(wanted, host))
    {
        let why = "the pod's own value points to another Docker";
        return Some(left_out(runner.path(".env[DOCKER_HOST]"), why));
    }
    if let Some((path, why)) = user_namespace(facts) {
        return Some(left_out(path, why));
    }
    let mut mounts = dind.list("volumeMounts").iter();
    let socket = mounts.find(|mount| mount.text("name") == SOCKET_VOLUME)?;
    let socket_dir = canonical(socket.text("mountPath"));
    for mount in runner.container.list("volumeMounts") {
        let path = mount.text("mountPath");
        let parent = canonical(path).rsplit_once('/').map(|(parent, _)| parent);
        let why = if parent == Some(socket_dir) && path.strip_suffix(".sock").is_some() {
            "the pod mounts a Docker socket of its own"
        } else if canonical(path) == socket_dir
            && !(facts.is_writable_mount(mount) && is_shareable(facts, mount, dind))
        {
            "what the pod mounts here cannot hold Docker's socket"
        } else {
            continue;
        };
        return Some(left_out(runner.path(&format!(".volumeMounts[{path}]")), why));
    }
    None
}

/// The setting by which the pod gets a user namespace, in which no container can be privileged. What
/// the profile gives counts as the pod's own does.
fn user_namespace(facts: &Facts<'_>) -> Option<(String, &'static str)> {
    let Facts { pod, spec, template, .. } = *facts;
    if spec.get("hostUsers").and_then(Json::as_bool) == Some(false) {
        let why = "dockerd cannot run in a user namespace (hostUsers false)";
        return Some(("spec.hostUsers".to_owned(), why));
    }
    let class = spec.get("runtimeClassName").or_else(|| template.field("runtimeClassName"));
    if class.and_then(Json::as_str).is_some_and(|class| class.starts_with(SYSBOX)) {
        let why = "Sysbox runs no privileged container, and the runner can run its own dockerd";
        return Some(("spec.runtimeClassName".to_owned(), why));
    }
    let has = |key: &str| {
        pod.at(&["metadata", "annotations", key]).is_some()
            || template.annotations.iter().any(|(own, _)| own == key)
    };
    has(CRIO_USER_NAMESPACE).then(|| {
        let path = format!("metadata.annotations[{CRIO_USER_NAMESPACE}]");
        (path, "dockerd cannot run in a user namespace of CRI-O")
    })
}

/// Whether a container runs a Docker daemon for the pod: by its name, its image or its command
/// line. An init container that ends does not, whatever is in its image: it may copy Docker's CLI
/// from there, or wait for a daemon. What the template makes of it counts, so that a second look
/// finds the same.
fn is_dind(place: &ContainerRef<'_>, template: &Template) -> bool {
    let container = place.container;
    let name = container.text("name");
    let is_made_sidecar = || {
        place.container.get("restartPolicy").is_none()
            && name != DIND
            && template.init_containers.iter().any(|wanted| {
                wanted.text("name") == name && wanted.text("restartPolicy") == "Always"
            })
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
fn is_same_daemon(there: &Json<'_>, wanted: &Json<'_>) -> bool {
    let fields: &[&str] = if wanted.get("command").is_some() {
        &["name", "command"]
    } else {
        &["name", "image", "args"]
    };
    fields.iter().all(|&field| match (wanted.get(field), there.get(field)) {
        (None, None) => true,
        (Some(wanted), Some(there)) => is_subset(wanted, there),
        _ => false,
    })
}
