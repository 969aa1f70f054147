//! Kubernetes' rules for pods, as far as profiles and pods need them: one JSON tree, when two values
//! are equal, which list items are the same, what the API server fills in, what a name may be.
//!
//! Nothing here knows of profiles or of what is injected.

mod containers;
pub mod equal;
pub mod image;
pub mod json;
pub mod merge;
pub mod names;
pub mod paths;
pub mod quantity;
pub mod resources;
pub mod runner_pod;

pub use containers::{ContainerRef, LISTS, all_containers};
pub use json::{Bounded, Json, MAX_VALUES, Text};
pub use quantity::{Quantity, QuantityError};
pub use runner_pod::{
    OWNER_KIND, RUNNER, RUNNER_LABEL, RunnerPod, asked, is_kubernetes_mode, owner,
};
