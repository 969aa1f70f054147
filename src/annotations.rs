//! The keys by which a scale set's author talks to us, on the template's metadata.

/// Names the profile to use, whatever the profiles' own `match` says.
pub const PROFILE: &str = "arc-rocm.dev/profile";
/// `"false"` leaves the pod alone. Works as an annotation and as a label; as a label the API
/// server does not even call us.
pub const INJECT: &str = "arc-rocm.dev/inject";
/// The number of GPUs, for scale sets whose name does not say it.
pub const GPUS: &str = "arc-rocm.dev/gpus";
/// Written by us: a JSON object with the profile, the version and the digest of what was applied.
pub const STATUS: &str = "arc-rocm.dev/status";
/// Paths of fields, comma-separated, in which the scale set differs from its profile on purpose:
/// no warning is given for them.
pub const OVERRIDES: &str = "arc-rocm.dev/overrides";
