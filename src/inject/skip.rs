//! Why a pod is skipped: one table has the word, the sentence, and who is told.

macro_rules! skips {
    ($($name:ident = $word:literal, $warned:literal, $event:literal, $sentence:literal;)+) => {
        /// Why a pod is skipped.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Skip { $(#[doc = $sentence] $name,)+ }

        impl Skip {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The fixed word used in logs, metrics and audit annotations.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The reason in one sentence, lower case, no full stop.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)+ }
            }

            /// Whether the pod's creator gets a warning: the pod looks as if a patch was expected.
            pub const fn is_warned(self) -> bool {
                match self { $(Self::$name => $warned,)+ }
            }

            /// Whether the EphemeralRunner gets an Event: each reason for which a runner with an owner
            /// is not injected.
            pub const fn has_event(self) -> bool {
                match self { $(Self::$name => $event,)+ }
            }
        }
    };
}

// Name, word, whether it is warned of, whether it has an Event, sentence.
skips! {
    NotAPod = "not-a-pod", false, false,
        "the object is not a pod";
    NotACreate = "not-a-create", false, false,
        "the request does not create a pod";
    NotARunner = "not-a-runner", false, false,
        "the pod has no label actions-ephemeral-runner: \"True\"";
    OptedOut = "opted-out", false, true,
        "arc-rocm.dev/inject says false";
    Windows = "windows", true, true,
        "the pod runs on Windows";
    NoOwner = "no-owner", true, false,
        "no EphemeralRunner owns the pod, so it gets nothing privileged";
    ControllerUser = "controller-user", true, true,
        "the pod is not created by ARC's controller (--arc-controller-user), so it gets nothing privileged";
    NoRunnerContainer = "no-runner-container", true, true,
        "the pod has no container named runner";
    OtherGpu = "other-gpu", true, true,
        "the pod asks for GPUs of another vendor than its profile gives";
    NoProfile = "no-profile", false, true,
        "no profile matches the pod";
    UnknownProfile = "unknown-profile", true, true,
        "arc-rocm.dev/profile names a profile that does not exist";
    KubernetesMode = "kubernetes-mode", false, true,
        "the runner is in ARC's kubernetes mode, and its profile skips those";
}
