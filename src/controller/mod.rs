//! Everything that talks to the API server. Nothing here is on the admission path.
//!
//! Each part is a task. A failing API server slows a task down and never ends it. This folder does
//! the I/O; the decisions are pure code elsewhere.

pub mod certificates;
mod connect;
pub mod dry_run;
pub mod events;
pub mod profiles;
mod proxy;
mod watch;

use std::time::Duration;

pub use connect::{ConnectError, connect};

/// The time for one request that is no watch.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The field manager of server-side apply, and the reporter of events.
pub const MANAGER: &str = "arc-rocm";
