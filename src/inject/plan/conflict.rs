//! Where the scale set's template and the profile want different things, and who won.

use std::fmt;

/// Who won a conflict.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Winner {
    /// What the scale set's template says stays.
    ScaleSet,
    /// The profile's value was used, changed so that the pod stays valid.
    Profile,
}

impl Winner {
    /// The word used in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ScaleSet => "scale set",
            Self::Profile => "profile",
        }
    }
}

macro_rules! codes {
    ($(#[$outer:meta])* pub enum $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+ }) => {
        $(#[$outer])*
        pub enum $name { $($(#[doc = $doc])+ $variant,)+ }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The fixed word used in metrics, logs and `-o json`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// What it means, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    /// The kinds of conflict. Each has a fixed word, which is a metric's label and stays stable.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
    pub enum ConflictCode {
        /// A field of the scale set's template differs from the profile's and is kept.
        FieldKept = "field-kept",
        /// An environment variable of the scale set's template is kept.
        EnvKept = "env-kept",
        /// The scale set's own image is kept.
        ImageKept = "image-kept",
        /// The scale set's own command is kept; the start wrapper runs it.
        CommandKept = "command-kept",
        /// The scale set's template mounts something else at this path, and it is kept.
        MountKept = "mount-kept",
        /// The scale set's own volume of this name is used instead of the profile's.
        VolumeKept = "volume-kept",
        /// The scale set's volume of this name cannot serve, so the profile's goes in under another name.
        VolumeRenamed = "volume-renamed",
        /// A volume that a mount needs was missing; an emptyDir was added.
        VolumeMissing = "volume-missing",
        /// A request or limit of the scale set's template is kept.
        ResourceKept = "resource-kept",
        /// A request or limit was changed or left out so that the pod stays valid.
        ResourceAdjusted = "resource-adjusted",
        /// The pod already asks for GPUs in its own way.
        GpuKept = "gpu-kept",
        /// A container's name is taken in the other list, so the profile's container is left out.
        NameTaken = "name-taken",
        /// A port's name or host port is taken, so the profile's port is left out.
        PortTaken = "port-taken",
        /// Two security settings exclude each other, so the profile's is left out.
        SecurityKept = "security-kept",
        /// A pod-level user would keep dockerd from being root, so dind gets its own.
        DindRoot = "dind-root",
        /// The pod has its own Docker-in-Docker container, which is kept as it is.
        DindKept = "dind-kept",
        /// No Docker-in-Docker is added, because the pod uses another Docker or could not run one.
        DindLeftOut = "dind-left-out",
        /// dockerd runs on the node's network, where all runners of the node share its devices and rules.
        DindHostNetwork = "dind-host-network",
        /// dind does not have a mount of the runner, whose subPathExpr would be another directory there.
        MountUnshared = "mount-unshared",
        /// The start wrapper is left out, because the command is not known.
        StartLeftOut = "start-left-out",
        /// The files for jobs cannot be written, because something read-only is mounted there.
        PodinfoReadOnly = "podinfo-read-only",
        /// The pod's annotations have no room for the status annotation, so it is left out.
        StatusLeftOut = "status-left-out",
    }
}

codes! {
    /// Why something is added.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
    pub enum ChangeReason {
        /// The profile's template says so.
        Profile = "profile",
        /// Docker-in-Docker, as a sidecar that starts before the runner.
        Dind = "dind",
        /// The runner's externals, copied so that dockerd's containers find them at the same path.
        Externals = "externals",
        /// The start wrapper finds the GPUs and waits for Docker, then runs the pod's own command.
        Start = "start",
        /// GPUs, and what they come with.
        Resources = "resources",
        /// Only a default of the API server or of ARC's chart was there.
        Default = "default",
        /// An extended resource needs a limit equal to its request.
        ExtendedResource = "extended-resource",
        /// A mount needs this volume and the pod lacks it.
        MissingVolume = "missing-volume",
        /// The priority admission plugin computes this anew for the profile's priority class.
        Priority = "priority",
        /// What was done to this pod, for people and for doctor.
        Status = "status",
    }
}

/// One conflict. The message names fields and variables, never the value of a variable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conflict {
    /// The kind.
    pub code: ConflictCode,
    /// Who won.
    pub winner: Winner,
    /// The field, by names rather than indices: `spec.containers[runner].env[DOCKER_HOST]`.
    pub path: String,
    /// What was done, lower case, no full stop.
    pub message: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code: _, winner: _, path, message } = self;
        write!(formatter, "{path}: {message}")
    }
}
