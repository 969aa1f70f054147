//! Names in a cluster that are the same in every installation.

/// The webhook's name in its registration, as the manifests have it.
pub(super) const WEBHOOK: &str = "mutate.arc-rocm.dev";
/// The label that every namespace has with its own name.
pub(super) const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";
/// Set by ARC's controller on runner pods alone, to `True` (actions-runner-controller
/// `resourcebuilder.go`).
pub(super) const RUNNER_LABEL: &str = "actions-ephemeral-runner";
