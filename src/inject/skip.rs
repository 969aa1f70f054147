//! Why a pod is skipped.

/// Why a pod is skipped.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Skip {
    /// The object is not a pod.
    NotAPod,
    /// The request is not a CREATE, or is about a subresource.
    NotACreate,
    /// The pod lacks ARC's label `actions-ephemeral-runner: "True"`.
    NotARunner,
    /// Label or annotation `arc-rocm.dev/inject` says `false`.
    OptedOut,
    /// The pod runs on Windows.
    Windows,
    /// The pod has ARC's label, but no `EphemeralRunner` owns it.
    NoOwner,
    /// The pod looks like a runner, but another user than ARC's controller creates it.
    ControllerUser,
    /// The pod has no container named `runner`, the only one that ARC looks at.
    NoRunnerContainer,
    /// The pod asks for GPUs of another vendor, which its profile does not give.
    OtherGpu,
    /// No profile matches.
    NoProfile,
    /// The annotation `arc-rocm.dev/profile` names a profile that does not exist.
    UnknownProfile,
    /// A runner of ARC's kubernetes modes, and the profile says to skip those.
    KubernetesMode,
}

impl Skip {
    /// Every reason.
    pub const ALL: [Self; 12] = [
        Self::NotAPod,
        Self::NotACreate,
        Self::NotARunner,
        Self::OptedOut,
        Self::Windows,
        Self::NoOwner,
        Self::ControllerUser,
        Self::NoRunnerContainer,
        Self::OtherGpu,
        Self::NoProfile,
        Self::UnknownProfile,
        Self::KubernetesMode,
    ];

    /// The fixed word used in logs, metrics and audit annotations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAPod => "not-a-pod",
            Self::NotACreate => "not-a-create",
            Self::NotARunner => "not-a-runner",
            Self::OptedOut => "opted-out",
            Self::Windows => "windows",
            Self::NoOwner => "no-owner",
            Self::ControllerUser => "controller-user",
            Self::NoRunnerContainer => "no-runner-container",
            Self::OtherGpu => "other-gpu",
            Self::NoProfile => "no-profile",
            Self::UnknownProfile => "unknown-profile",
            Self::KubernetesMode => "kubernetes-mode",
        }
    }

    /// The reason in one sentence, lower case, no full stop.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotAPod => "the object is not a pod",
            Self::NotACreate => "the request does not create a pod",
            Self::NotARunner => "the pod has no label actions-ephemeral-runner: \"True\"",
            Self::OptedOut => "arc-rocm.dev/inject says false",
            Self::Windows => "the pod runs on Windows",
            Self::NoOwner => "no EphemeralRunner owns the pod, so it gets nothing privileged",
            Self::ControllerUser => {
                "the pod is not created by ARC's controller (--arc-controller-user), so it gets nothing \
                 privileged"
            }
            Self::NoRunnerContainer => "the pod has no container named runner",
            Self::OtherGpu => "the pod asks for GPUs of another vendor than its profile gives",
            Self::NoProfile => "no profile matches the pod",
            Self::UnknownProfile => "arc-rocm.dev/profile names a profile that does not exist",
            Self::KubernetesMode => {
                "the runner is in ARC's kubernetes mode, and its profile skips those"
            }
        }
    }

    /// Whether the pod's creator gets a warning: the pod looks as if a patch was expected.
    pub const fn is_warned(self) -> bool {
        matches!(
            self,
            Self::Windows
                | Self::NoOwner
                | Self::ControllerUser
                | Self::NoRunnerContainer
                | Self::OtherGpu
                | Self::UnknownProfile
        )
    }

    /// Whether the EphemeralRunner gets an Event: each reason for which a runner with an owner is not
    /// injected.
    pub const fn has_event(self) -> bool {
        matches!(
            self,
            Self::OptedOut
                | Self::Windows
                | Self::ControllerUser
                | Self::NoRunnerContainer
                | Self::OtherGpu
                | Self::NoProfile
                | Self::UnknownProfile
                | Self::KubernetesMode
        )
    }
}
