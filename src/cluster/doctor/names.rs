//! Names in a cluster that are the same in every installation.

/// The webhook's name in its registration, as the manifests have it.
pub(super) const WEBHOOK: &str = "mutate.arc-rocm.dev";
/// The label that every namespace has with its own name.
pub(super) const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";
