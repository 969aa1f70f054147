//! Names that are the same in every installation.

/// The webhook's name in its registration.
pub(super) const WEBHOOK: &str = "mutate.arc-rocm.dev";
/// The label that holds a namespace's name.
pub(super) const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";
