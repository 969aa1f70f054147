//! The CustomResourceDefinition of RunnerProfile.
//!
//! Kubernetes' own types stay open in it (`x-kubernetes-preserve-unknown-fields`): spelt out, the
//! pod template alone would be larger than what client-side `kubectl apply` can store in its
//! annotation, and would be of one Kubernetes version. The webhook finds what is misspelt in there
//! by the same checks as in files, and refuses the object.

/// The definition, as the chart installs it. It is generated from the types that files are read with:
/// after a change of those, `ARC_ROCM_UPDATE=1 cargo test --lib crd` writes it anew.
pub const CRD: &str =
    include_str!("../../deploy/helm/arc-rocm/crds/runnerprofiles.arc-rocm.dev.yaml");

#[cfg(test)]
mod tests;
