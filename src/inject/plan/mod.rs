//! The plan: what goes into one pod, why, and where the author's word stands against the
//! profile's. Pure: a pod and a compiled template in, edits and conflicts out.
//!
//! The plan never looks at whether it was here before. It compares, item by item, what the
//! template wants with what the pod has, so a second pass over its own result finds nothing to
//! do, and a pass after another webhook's change finds just that.

mod budget;
mod conflict;
mod container;
mod docker;
mod field;
mod fit;
mod metadata;
mod mounts;
mod resources;
mod security;
mod share;
mod start;
mod users;
mod volumes;

pub use conflict::{Conflict, ConflictCode, Reason, Winner};

use serde_json::Value;

use crate::{
    inject::patch::{Edits, Step},
    podspec::Json,
    profile::{Selected, template::Template},
};
use budget::Requested;
use docker::Docker;
use volumes::VolumeNames;

/// What is to be done with one pod.
#[derive(Clone, Debug)]
pub struct Plan<'p> {
    /// What goes in, each with its reason.
    pub edits: Edits<'p, Reason>,
    /// Where author and profile differ.
    pub conflicts: Vec<Conflict>,
}

/// Lays the selected profile's template under `pod`. `runner` is the index of the container that
/// ARC watches.
pub fn plan<'p>(pod: &'p Json<'p>, runner: usize, selected: Selected<'p>) -> Plan<'p> {
    let mut planner = Planner::new(pod, runner, selected);
    planner.overruled_gpus();
    planner.containers();
    planner.volumes();
    planner.pod_fields();
    planner.grace();
    planner.metadata();
    Plan { edits: planner.edits, conflicts: planner.conflicts }
}

/// The state of one plan.
struct Planner<'p> {
    pod: &'p Json<'p>,
    /// `spec`, or null.
    spec: &'p Json<'p>,
    /// The runner container.
    runner: &'p Json<'p>,
    runner_index: usize,
    template: &'p Template,
    selected: Selected<'p>,
    /// Who provides Docker to this pod.
    docker: Docker<'p>,
    /// What the template's volumes are called in this pod.
    volume_names: VolumeNames<'p>,
    /// Volumes of the template that something mounts.
    volumes_used: Vec<&'p str>,
    /// What our containers ask for, so that pod-level resources are not exceeded.
    requested: Requested<'p>,
    edits: Edits<'p, Reason>,
    conflicts: Vec<Conflict>,
}

static NULL: Json<'static> = Json::Null;

impl<'p> Planner<'p> {
    fn new(pod: &'p Json<'p>, runner_index: usize, selected: Selected<'p>) -> Self {
        let spec = pod.get("spec").unwrap_or(&NULL);
        let runner = spec.list("containers").get(runner_index).unwrap_or(&NULL);
        let template = selected.template;
        let mut conflicts = Vec::new();
        let volume_names = VolumeNames::new(spec, template);
        let docker = Docker::of(spec, runner, template, &mut conflicts);
        Self {
            pod,
            spec,
            runner,
            runner_index,
            template,
            selected,
            docker,
            volume_names,
            volumes_used: Vec::new(),
            requested: Requested::default(),
            edits: Edits::default(),
            conflicts,
        }
    }

    /// Fields of `spec` that are neither containers nor volumes.
    fn pod_fields(&mut self) {
        for (field, wanted) in &self.template.spec {
            self.pod_field(field, wanted);
        }
    }

    fn conflict(
        &mut self,
        code: ConflictCode,
        winner: Winner,
        path: impl Into<String>,
        message: String,
    ) {
        self.conflicts.push(Conflict { code, winner, path: path.into(), message });
    }

    /// A conflict that the author won.
    fn kept(&mut self, code: ConflictCode, path: impl Into<String>) {
        let message = format!("the pod's own value is kept, profile {} differs", self.profile());
        self.conflict(code, Winner::Author, path, message);
    }

    fn profile(&self) -> &'p str {
        self.selected.name
    }
}

/// A container of the pod: the list that it is in, its index and itself.
#[derive(Clone, Copy)]
struct Place<'p> {
    list: &'static str,
    index: usize,
    container: &'p Json<'p>,
}

impl<'p> Place<'p> {
    /// The container `name` in `list`.
    fn find(spec: &'p Json<'p>, list: &'static str, name: &str) -> Option<Self> {
        Self::all(spec, list).find(|place| place.container.text("name") == name)
    }

    /// All containers of `list`.
    fn all(spec: &'p Json<'p>, list: &'static str) -> impl Iterator<Item = Self> {
        spec.list(list).iter().enumerate().map(move |(index, container)| Self {
            list,
            index,
            container,
        })
    }

    /// Whether it is an init container that ends before the containers start, rather than a sidecar.
    fn runs_once(&self) -> bool {
        self.list == "initContainers" && self.container.text("restartPolicy") != "Always"
    }

    /// The steps to the field of this container.
    fn steps<'s>(&self, rest: &[Step<'s>]) -> Vec<Step<'s>> {
        let mut steps = vec![Step::Key("spec"), Step::Key(self.list), Step::Index(self.index)];
        steps.extend_from_slice(rest);
        steps
    }

    /// The path shown to people.
    fn label(&self, rest: &str) -> String {
        format!("spec.{}[{}]{rest}", self.list, self.container.text("name"))
    }
}

/// The lists that hold containers.
const LISTS: [&str; 2] = ["initContainers", "containers"];

/// All containers of the pod, of both lists.
fn all_containers<'p>(spec: &'p Json<'p>) -> impl Iterator<Item = Place<'p>> {
    LISTS.into_iter().flat_map(move |list| Place::all(spec, list))
}

/// The string member of a template's item.
fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The list member of a template's item.
fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
