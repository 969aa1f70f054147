//! The labels and annotations of runner pods that the webhook reads and writes.

/// Names the profile to use, whatever the profiles' own `match` says.
pub const PROFILE: &str = "arc-rocm.dev/profile";
/// `"false"` skips the pod. As a label, it keeps the API server from calling the webhook.
pub const INJECT: &str = "arc-rocm.dev/inject";
/// The number of GPUs, for scale sets whose name does not say it.
pub const GPUS: &str = "arc-rocm.dev/gpus";
/// Written by the webhook: a JSON object with the profile, the version and the digest of what was applied.
pub const STATUS: &str = "arc-rocm.dev/status";
/// Paths of fields, comma-separated, in which the scale set differs from its profile on purpose:
/// no warning is given for them.
pub const OVERRIDES: &str = "arc-rocm.dev/overrides";
