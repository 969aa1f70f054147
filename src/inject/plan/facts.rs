//! What all rules read: the pod, the template, and what follows from the two.

use std::collections::{HashMap, HashSet};

use super::{
    dind_mounts::{self, Rewritten, Unshared},
    docker::Docker,
    gpus::Gpus,
    resources::Budget,
    scripts_image,
    volume_names::VolumeNames,
};
use crate::{
    podspec::{ContainerRef, Json, all_containers},
    profile::{
        Selected,
        template::{DIND, HAS_RUNNERS_IMAGE, RUNNER, Template},
    },
};

/// `null`, for pods without a part that is asked for.
static NULL: Json<'static> = Json::Null;

/// What all rules read. Computed once, before any rule runs.
pub(super) struct Facts<'p> {
    pub(super) pod: &'p Json<'p>,
    /// `spec`, or null.
    pub(super) spec: &'p Json<'p>,
    /// The container that ARC watches.
    pub(super) runner: ContainerRef<'p>,
    pub(super) template: &'p Template,
    pub(super) selected: Selected<'p>,
    /// The pod's volumes by name.
    pub(super) volumes: HashMap<&'p str, &'p Json<'p>>,
    /// The pod's volumes that a container has as a block device.
    pub(super) devices: HashSet<&'p str>,
    /// What the template's volumes are called in this pod.
    pub(super) volume_names: VolumeNames<'p>,
    /// Which container provides Docker.
    pub(super) docker: Docker<'p>,
    /// Where the template's containers go, the runner's first.
    pub(super) placements: Vec<Placement<'p>>,
    /// Where the runner's GPUs come from.
    pub(super) gpus: Gpus,
    /// Requests and limits of all containers.
    pub(super) budget: Budget<'p>,
}

/// Where one container of the template goes.
pub(super) struct Placement<'p> {
    /// The container as this pod is to have it: volumes by their names here, and for dind what it
    /// shares with the runner.
    pub(super) wanted: Json<'p>,
    pub(super) at: Target<'p>,
    /// Mounts of the runner that dind cannot have.
    pub(super) unshared: Vec<Unshared<'p>>,
}

impl Placement<'_> {
    /// Whether the webhook added the container in an earlier call: its command is the template's,
    /// which for containers of the short forms no other has. The runner is never added.
    pub(super) fn is_added(&self) -> bool {
        let Target::There(place) = self.at else { return false };
        let command = |container: &Json<'_>| container.get("command").is_some();
        place.name() != RUNNER
            && command(&self.wanted)
            && self.wanted.list("command") == place.container.list("command")
    }
}

/// Where a container of the template goes.
#[derive(Clone, Copy)]
pub(super) enum Target<'p> {
    /// Under the pod's container of its name.
    There(ContainerRef<'p>),
    /// Into the list, before the container that has this index; at the end without one.
    New { list: &'static str, before: Option<usize> },
    /// Nowhere: the other list has a container of its name.
    Taken(ContainerRef<'p>),
}

impl<'p> Facts<'p> {
    pub(super) fn new(pod: &'p Json<'p>, runner: usize, selected: Selected<'p>) -> Self {
        let spec = pod.get("spec").unwrap_or(&NULL);
        let container = spec.list("containers").get(runner).unwrap_or(&NULL);
        let named = spec.list("volumes").iter().rev().map(|volume| (volume.text("name"), volume));
        let volumes = named.collect();
        let template = scripts_image::template(selected.template, container, &volumes);
        let devices = all_containers(spec).flat_map(|one| one.container.list("volumeDevices"));
        let mut facts = Self {
            pod,
            spec,
            runner: ContainerRef { list: "containers", index: runner, container },
            template,
            selected,
            volumes,
            devices: devices.map(|device| device.text("name")).collect(),
            volume_names: VolumeNames::default(),
            docker: Docker::Elsewhere { obstacle: None },
            placements: Vec::new(),
            gpus: Gpus::default(),
            budget: Budget::default(),
        };
        facts.volume_names = VolumeNames::new(&facts);
        facts.docker = Docker::of(&facts);
        facts.placements = facts.placements();
        facts.gpus = Gpus::new(&facts);
        facts.budget = Budget::new(&facts);
        facts
    }

    /// The profile's name.
    pub(super) fn profile(&self) -> &'p str {
        self.selected.name
    }

    /// The template's runner container.
    pub(super) fn wanted_runner(&self) -> Option<&'p Json<'static>> {
        self.template.container(RUNNER)
    }

    /// The containers of the template that go under one of the pod, with that one.
    pub(super) fn merged(&self) -> impl Iterator<Item = (ContainerRef<'p>, &Placement<'p>)> {
        self.placements.iter().filter_map(|placement| match placement.at {
            Target::There(place) => Some((place, placement)),
            Target::New { .. } | Target::Taken(_) => None,
        })
    }

    /// Whether a container of the pod is the runner.
    pub(super) fn is_runner(&self, place: ContainerRef<'_>) -> bool {
        place.is(self.runner)
    }

    fn placements(&self) -> Vec<Placement<'p>> {
        let Template { init_containers, containers, .. } = self.template;
        let mut placements = Vec::new();
        if let Some(wanted) = self.wanted_runner() {
            let at = Target::There(self.runner);
            placements.push(self.placement(wanted, at));
        }
        // The template's init containers go in before the scale set's own, in their order.
        let mut next = 0;
        for wanted in init_containers {
            let Some(at) = self.target("initContainers", wanted, Some(next)) else { continue };
            if let Target::There(place) = at
                && place.list == "initContainers"
            {
                next = next.max(place.index + 1);
            }
            placements.push(self.placement(wanted, at));
        }
        for wanted in containers.iter().filter(|wanted| wanted.text("name") != RUNNER) {
            if let Some(at) = self.target("containers", wanted, None) {
                placements.push(self.placement(wanted, at));
            }
        }
        placements
    }

    /// Where a container of the template goes; `None` where Docker in this pod has no need of it.
    fn target(
        &self,
        list: &'static str,
        wanted: &Json<'_>,
        before: Option<usize>,
    ) -> Option<Target<'p>> {
        let name = wanted.text("name");
        if !self.docker.wants_container(self, name) {
            return None;
        }
        let other = if list == "containers" { "initContainers" } else { "containers" };
        let own_dind = if name == DIND { self.docker.replaced_dind(self.template) } else { None };
        let there = own_dind.or_else(|| ContainerRef::find(self.spec, list, name));
        Some(match (there, ContainerRef::find(self.spec, other, name)) {
            (Some(place), _) => Target::There(place),
            (None, Some(place)) => Target::Taken(place),
            (None, None) => Target::New { list, before },
        })
    }

    fn placement(&self, wanted: &'p Json<'static>, at: Target<'p>) -> Placement<'p> {
        let Rewritten { container: mut wanted, unshared } = dind_mounts::rewritten(self, wanted);
        if HAS_RUNNERS_IMAGE.contains(&wanted.text("name")) && wanted.get("image").is_none() {
            let (image, policy) = super::image::of_runner(self);
            wanted.set("image", image.into());
            if !policy.is_empty() {
                wanted.set("imagePullPolicy", policy.into());
            }
        }
        Placement { wanted, at, unshared }
    }
}
