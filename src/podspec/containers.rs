//! Containers of a pod, in both lists.

use super::Json;

/// The lists that hold containers.
pub const LISTS: [&str; 2] = ["initContainers", "containers"];

/// A container of a pod: the list that it is in, its index there and itself.
#[derive(Clone, Copy, Debug)]
pub struct ContainerRef<'p> {
    /// `initContainers` or `containers`.
    pub list: &'static str,
    /// The index in that list.
    pub index: usize,
    /// The container.
    pub container: &'p Json<'p>,
}

impl<'p> ContainerRef<'p> {
    /// The container `name` in `list`.
    pub fn find(spec: &'p Json<'p>, list: &'static str, name: &str) -> Option<Self> {
        Self::all(spec, list).find(|one| one.name() == name)
    }

    /// All containers of `list`.
    pub fn all(spec: &'p Json<'p>, list: &'static str) -> impl Iterator<Item = Self> {
        let containers = spec.list(list).iter().enumerate();
        containers.map(move |(index, container)| Self { list, index, container })
    }

    /// The container's name.
    pub fn name(&self) -> &'p str {
        self.container.text("name")
    }

    /// Whether the two are one place of a pod.
    pub fn is(&self, other: ContainerRef<'_>) -> bool {
        self.list == other.list && self.index == other.index
    }

    /// Whether it is an init container that ends before the containers start, rather than a
    /// sidecar.
    pub fn runs_once(&self) -> bool {
        self.list == "initContainers" && self.container.text("restartPolicy") != "Always"
    }

    /// The path of a field shown to people: `spec.containers[runner].image`.
    pub fn path(&self, field: &str) -> String {
        format!("spec.{}[{}]{field}", self.list, self.name())
    }
}

/// All containers of the pod, of both lists.
pub fn all_containers<'p>(spec: &'p Json<'p>) -> impl Iterator<Item = ContainerRef<'p>> {
    LISTS.into_iter().flat_map(move |list| ContainerRef::all(spec, list))
}
