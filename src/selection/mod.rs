//! Selection: is this pod our business, and which profile does it get.

mod index;
mod matcher;
pub mod pattern;
mod runner_pod;
mod skip;

pub(crate) use index::Index;
pub use matcher::{Matcher, Mismatch};
pub use pattern::{Pattern, PatternError};
pub(crate) use runner_pod::{ARC_CONTROLLER, OWNER_KIND, RUNNER_LABEL, owner};
pub use runner_pod::{DEFAULT_REQUESTER, Requesters, RunnerPod};
pub use skip::Skip;
