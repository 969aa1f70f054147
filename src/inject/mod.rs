//! What goes into one pod: selection, plan, patch. Pure: a pod and the compiled configuration in,
//! operations and conflicts out.

mod config;
mod controller_users;
mod own_gpus;
pub mod patch;
mod plan;
mod select;
mod skip;

pub use config::Config;
pub(crate) use controller_users::ARC_CONTROLLER;
pub use controller_users::{ControllerUsers, DEFAULT_CONTROLLER_USER};
pub use plan::{ChangeReason, Conflict, ConflictCode, Plan, Winner, plan};
pub(crate) use select::identify;
pub use select::{GpusFrom, Selection, Subject, select};
pub use skip::Skip;
