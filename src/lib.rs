//! `arc-rocm`: a mutating admission webhook, and a CLI on the same core, that make plain GitHub
//! Actions Runner Controller (ARC) scale sets ROCm-ready.
//!
//! One review goes through the modules in this order, and no module reaches back:
//!
//! [`server`] (bytes over TLS) → [`admission`] (review) → [`selection`] (is it a runner, which
//! profile) → [`plan`] (what to add, and why) → [`patch`] (JSON patch) → bytes.
//!
//! Everything between the two ends is pure: no I/O, no clock, no async. [`profile`] compiles
//! the configuration ahead, [`pod`] is the read-only view that all of them share. [`cluster`] talks
//! to the API server, beside that way and never on it.

pub mod admission;
pub mod annotations;
pub mod certs;
pub mod cli;
pub mod cluster;
pub mod inject;
pub mod manifests;

pub mod podspec;
pub mod profile;

pub mod scripts;

pub mod server;
pub mod telemetry;
pub mod tls;

/// This build's version, as written into the status annotation and the metrics.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
