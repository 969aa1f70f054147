//! What comes of a check, in words that stay.

use super::Unknown;

/// How bad a finding is, from nothing to mend to the worst.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Good to know; nothing to mend.
    Info,
    /// It could not be found out.
    Unknown,
    /// It works, and will not in some event; or it may be meant so.
    Warning,
    /// Runners are lost, late or bare because of it.
    Error,
}

impl Level {
    /// The word of reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $level:ident;)+) => {
        /// What was found. The words are stable: programs read them.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Code { $($(#[$doc])* $name,)+ }

        impl Code {
            /// All of them, check by check.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The fixed word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// How bad it is, always.
            pub const fn level(self) -> Level {
                match self { $(Self::$name => Level::$level,)+ }
            }
        }
    };
}

codes! {
    /// Something could not be read.
    Unknown = "unknown", Unknown;
    /// No answer from the API server.
    ApiServerUnreachable = "api-server-unreachable", Error;
    /// Native sidecars are not on by default.
    ApiServerTooOld = "api-server-too-old", Error;
    /// A minor version that the suite does not run on.
    ApiServerUntested = "api-server-untested", Info;
    /// There is no registration of ours.
    RegistrationMissing = "registration-missing", Error;
    /// It is not about the creation of pods.
    RulesDiffer = "rules-differ", Error;
    /// Which pods we are called for is not what `arc-rocm manifests` prints.
    ObjectSelectorDiffers = "object-selector-differs", Warning;
    /// The webhook's own namespace or `kube-system` waits for the webhook.
    NamespaceSelectorDiffers = "namespace-selector-differs", Warning;
    /// Runners come up bare during an outage.
    FailurePolicyIgnore = "failure-policy-ignore", Warning;
    /// What a later webhook changes is not repaired.
    ReinvocationNever = "reinvocation-never", Warning;
    /// The API server refuses every dry run of a runner pod.
    SideEffectsDiffer = "side-effects-differ", Warning;
    /// The API server trusts nobody for us.
    CaBundleEmpty = "ca-bundle-empty", Error;
    /// The `caBundle` is no PEM certificates.
    CaBundleBroken = "ca-bundle-broken", Error;
    /// No authority in the `caBundle` is valid any more.
    CaExpired = "ca-expired", Error;
    /// The last valid authority in the `caBundle` ends soon.
    CaExpiresSoon = "ca-expires-soon", Warning;
    /// The Service that is registered does not exist.
    ServiceMissing = "service-missing", Error;
    /// The Deployment does not exist.
    DeploymentMissing = "deployment-missing", Warning;
    /// No pod is ready to answer.
    NoReadyEndpoints = "no-ready-endpoints", Error;
    /// Fewer pods are ready than there should be.
    ReplicasNotReady = "replicas-not-ready", Warning;
    /// The pods do not run the same image.
    ImagesDiffer = "images-differ", Warning;
    /// A pod was started again several times.
    Restarts = "restarts", Warning;
    /// The API server did not call the webhook for a runner pod.
    WebhookNotCalled = "webhook-not-called", Error;
    /// The API server got no answer from the webhook.
    WebhookFails = "webhook-fails", Error;
    /// Another webhook keeps runner pods from being created.
    OtherWebhookFails = "other-webhook-fails", Error;
    /// The Secret with the serving certificate does not exist.
    CertificateMissing = "certificate-missing", Error;
    /// The serving certificate cannot be read.
    CertificateBroken = "certificate-broken", Error;
    /// The `caBundle` does not vouch for the serving certificate.
    CertificateUntrusted = "certificate-untrusted", Error;
    /// The serving certificate has expired.
    CertificateExpired = "certificate-expired", Error;
    /// The serving certificate ends soon.
    CertificateExpiresSoon = "certificate-expires-soon", Warning;
    /// A namespace refuses privileged containers.
    PodSecurity = "pod-security", Error;
    /// There is no controller of ARC.
    ControllerMissing = "controller-missing", Info;
    /// ARC's controller does not count as such.
    ControllerUserMismatch = "controller-user-mismatch", Error;
    /// The webhook's profiles do not compile.
    ProfilesBroken = "profiles-broken", Error;
    /// A `RunnerProfile` was not accepted.
    ProfileRejected = "profile-rejected", Error;
    /// There are `RunnerProfile` objects, and the webhook does not watch them.
    ProfilesUnwatched = "profiles-unwatched", Warning;
    /// A profile that no scale set matches.
    ProfileUnused = "profile-unused", Info;
    /// A scale set names a profile that does not exist.
    ScaleSetUnknownProfile = "scale-set-unknown-profile", Error;
    /// No profile matches a scale set.
    ScaleSetWithoutProfile = "scale-set-without-profile", Warning;
    /// A scale set gets the built-in profile.
    ScaleSetBuiltIn = "scale-set-built-in", Info;
    /// No node offers GPUs.
    NoGpuNodes = "no-gpu-nodes", Warning;
    /// No node has room for a scale set's runner.
    GpusDoNotFit = "gpus-do-not-fit", Warning;
    /// A runner pod that should have been patched and was not.
    RunnerUnpatched = "runner-unpatched", Warning;
    /// A runner pod that is left alone on purpose.
    RunnerLeftAlone = "runner-left-alone", Info;
    /// A runner that a policy or a webhook has ended for good.
    RunnerRefused = "runner-refused", Error;
    /// A runner that has failed for another reason.
    RunnerFailed = "runner-failed", Warning;
}

/// Something to look at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What it is.
    pub code: Code,
    /// What was seen, in a sentence or two without a line break.
    pub message: String,
    /// What to do about it; empty where there is nothing to do.
    pub remedy: String,
}

/// One check and what came of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// Its name, which stays.
    pub name: &'static str,
    /// What was seen, where nothing is wrong.
    pub summary: String,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Check {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, summary: String::new(), findings: Vec::new() }
    }

    pub(super) fn add(
        &mut self,
        code: Code,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.findings.push(Finding { code, message: message.into(), remedy: remedy.into() });
    }

    pub(super) fn unknown(&mut self, unknown: &Unknown) {
        let remedy = match unknown {
            Unknown::Forbidden(_) => "bind the ClusterRole of docs/doctor.md to your user",
            Unknown::Failed(_) => "",
        };
        self.add(Code::Unknown, unknown.to_string(), remedy);
    }

    /// Notes that a list was cut.
    pub(super) fn cut(&mut self, cut: bool, what: &str) {
        if cut {
            self.add(Code::Unknown, format!("there are more {what} than are looked at"), "");
        }
    }

    /// The worst finding's level; `None` where all is well.
    pub fn level(&self) -> Option<Level> {
        self.findings.iter().map(|finding| finding.code.level()).max()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_findings_have_the_same_word() {
        let words: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
    }

    #[test]
    fn a_check_is_as_bad_as_its_worst_finding() {
        let mut check = Check::new("x");
        assert_eq!(check.level(), None);
        check.add(Code::ProfileUnused, "", "");
        assert_eq!(check.level(), Some(Level::Info));
        check.add(Code::PodSecurity, "", "");
        check.unknown(&Unknown::Failed("no answer".to_owned()));
        assert_eq!(check.level(), Some(Level::Error));
    }
}
