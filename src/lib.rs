//! `arc-rocm`: a mutating admission webhook, and a CLI on the same core, that make plain GitHub
//! Actions Runner Controller (ARC) scale sets ROCm-ready.
//!
//! Each module imports only modules that stand below it in this list (`tests/house` holds it to that):
//!
//! - [`cli`]: the commands.
//! - [`doctor`]: reads an installation and says what is wrong with it.
//! - [`controller`]: talks to the API server, beside the way of a review and never on it.
//! - [`server`]: bytes over TLS in, bytes out.
//! - [`telemetry`]: logs and metrics.
//! - [`certs`]: makes certificates and says when to renew them.
//! - [`tls`]: uses certificates.
//! - [`files`]: reads files within bounds.
//! - [`import`]: hand-written scale sets in, profiles and plain values out.
//! - [`admission`]: a review in, its answer out.
//! - [`inject`]: selects the profile of a pod, plans what goes in, and writes the JSON patch.
//! - [`compare`]: two pods in, their differences out.
//! - [`arc`]: what ARC's chart and controller make of values and objects: the runner pod.
//! - [`profile`]: a profile's text or object in, its template out.
//! - [`podspec`]: Kubernetes' rules for pods.
//! - [`scripts`]: the shell scripts that go into a pod.
//! - [`annotations`]: the annotations that the webhook reads and writes.
//!
//! A review goes from [`server`] to [`admission`] to [`inject`] and back. [`import`] and all below it are
//! pure: no I/O, no clock, no async.

pub mod admission;
pub mod annotations;
pub mod arc;
pub mod certs;
pub mod cli;
pub mod compare;
pub mod controller;
pub mod doctor;
pub mod files;
pub mod import;
pub mod inject;

pub mod podspec;
pub mod profile;

pub mod scripts;

pub mod server;
pub mod telemetry;
pub mod tls;

/// This build's version, as written into the status annotation and the metrics.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
