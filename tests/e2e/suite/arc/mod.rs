//! A stand-in for the controller of ARC 0.14.2: EphemeralRunners in, runner pods out, by its
//! ServiceAccount, and its reactions to what the API server answers and the kubelet reports.
//!
//! Sources, by path in actions/actions-runner-controller at tag gha-runner-scale-set-0.14.2:
//! `controllers/actions.github.com/resourcebuilder.go` (the pod) and
//! `ephemeralrunner_controller.go` (the reactions). What stands for GitHub is left out: there is
//! no listener, no registration, and the JIT token is any text.
//!
//! Its honesty is tested: the AdmissionReviews of its pods equal those captured from ARC itself
//! (`cases/honest.rs`).

pub(crate) mod access;
pub(crate) mod controller;
pub(crate) mod kinds;
pub(crate) mod pod;
pub(crate) mod scale_set;

/// The namespace of ARC's controller.
pub(crate) const NAMESPACE: &str = "arc-systems";
/// Its ServiceAccount, as the chart names it for the release `arc`.
pub(crate) const ACCOUNT: &str = "arc-gha-rs-controller";
/// The label of every runner pod, in every version of ARC.
pub(crate) const RUNNER_LABEL: &str = "actions-ephemeral-runner";

/// The EphemeralRunners of a namespace.
pub(crate) fn runners(namespace: &str) -> String {
    format!("/apis/actions.github.com/v1alpha1/namespaces/{namespace}/ephemeralrunners")
}
