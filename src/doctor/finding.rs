//! Findings of checks. Their codes are stable.

use super::Unknown;

/// How bad a finding is, in rising order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Good to know; nothing to do.
    Info,
    /// It could not be checked.
    Unknown,
    /// It works now and may fail later, or it may be intended.
    Warning,
    /// Runners are lost, late or not injected because of it.
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
        /// What was found. The codes are stable: programs read them.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum FindingCode { $($(#[$doc])* $name,)+ }

        impl FindingCode {
            /// All of them, check by check.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The code in reports.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// Its level.
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
    /// The API server is older than the oldest supported version.
    ApiServerTooOld = "api-server-too-old", Error;
    /// A minor version that the suite does not run on.
    ApiServerUntested = "api-server-untested", Info;
    /// The webhook is not registered.
    RegistrationMissing = "registration-missing", Error;
    /// No rule of the registration covers the creation of pods.
    RulesDiffer = "rules-differ", Error;
    /// The objectSelector differs from the one of `arc-rocm manifests`.
    ObjectSelectorDiffers = "object-selector-differs", Warning;
    /// The namespaceSelector includes the webhook's own namespace or `kube-system`.
    NamespaceSelectorDiffers = "namespace-selector-differs", Warning;
    /// Runners are not injected during an outage.
    FailurePolicyIgnore = "failure-policy-ignore", Warning;
    /// Changes by later webhooks are not repaired.
    ReinvocationNever = "reinvocation-never", Warning;
    /// The API server refuses every dry run of a runner pod.
    SideEffectsDiffer = "side-effects-differ", Warning;
    /// The caBundle is empty.
    CaBundleEmpty = "ca-bundle-empty", Error;
    /// The caBundle has no PEM certificates.
    CaBundleBroken = "ca-bundle-broken", Error;
    /// Every CA in the caBundle has expired.
    CaExpired = "ca-expired", Error;
    /// The last CA in the caBundle expires soon.
    CaExpiresSoon = "ca-expires-soon", Warning;
    /// The registered Service does not exist.
    ServiceMissing = "service-missing", Error;
    /// The Deployment does not exist.
    DeploymentMissing = "deployment-missing", Warning;
    /// No pod of the webhook is ready.
    NoReadyEndpoints = "no-ready-endpoints", Error;
    /// Some pods of the webhook are not ready.
    ReplicasNotReady = "replicas-not-ready", Warning;
    /// The webhook's pods run different images.
    ImagesDiffer = "images-differ", Warning;
    /// A pod of the webhook restarted several times.
    Restarts = "restarts", Warning;
    /// The API server did not call the webhook for a runner pod.
    WebhookNotCalled = "webhook-not-called", Error;
    /// The API server got no usable response from the webhook.
    WebhookFails = "webhook-fails", Error;
    /// Another webhook fails for runner pods.
    OtherWebhookFails = "other-webhook-fails", Error;
    /// The Secret with the serving certificate does not exist.
    CertificateMissing = "certificate-missing", Error;
    /// The serving certificate cannot be read.
    CertificateBroken = "certificate-broken", Error;
    /// The caBundle does not verify the serving certificate.
    CertificateUntrusted = "certificate-untrusted", Error;
    /// The serving certificate has expired.
    CertificateExpired = "certificate-expired", Error;
    /// The serving certificate expires soon.
    CertificateExpiresSoon = "certificate-expires-soon", Warning;
    /// A namespace refuses privileged containers.
    PodSecurity = "pod-security", Error;
    /// There is no ARC controller.
    ControllerMissing = "controller-missing", Info;
    /// `--arc-controller-user` does not match ARC's controller.
    ControllerUserMismatch = "controller-user-mismatch", Error;
    /// The webhook's profiles do not compile.
    ProfilesBroken = "profiles-broken", Error;
    /// A `RunnerProfile` was not accepted.
    ProfileRejected = "profile-rejected", Error;
    /// The webhook does not watch the `RunnerProfile` objects.
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
    /// A runner pod that was not patched although a profile matches it.
    RunnerUnpatched = "runner-unpatched", Warning;
    /// A runner pod that the webhook skips.
    RunnerSkipped = "runner-skipped", Info;
    /// An EphemeralRunner that is Failed because the API server refused its pod.
    RunnerRefused = "runner-refused", Error;
    /// An EphemeralRunner that is Failed for another reason.
    RunnerFailed = "runner-failed", Warning;
}

/// One finding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Its code.
    pub code: FindingCode,
    /// What was found, in a sentence or two on one line.
    pub message: String,
    /// What to do; empty if nothing.
    pub remedy: String,
}

/// One check with its findings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// Its stable name.
    pub name: &'static str,
    /// What the check saw.
    pub summary: String,
    /// Its findings.
    pub findings: Vec<Finding>,
}

impl Check {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, summary: String::new(), findings: Vec::new() }
    }

    pub(super) fn add(
        &mut self,
        code: FindingCode,
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
        self.add(FindingCode::Unknown, unknown.to_string(), remedy);
    }

    /// Adds a finding if a list was cut.
    pub(super) fn cut(&mut self, cut: bool, what: &str) {
        if cut {
            self.add(
                FindingCode::Unknown,
                format!("there are more {what} than doctor reads; the rest was not checked"),
                "",
            );
        }
    }

    /// The worst level; `None` without findings.
    pub fn level(&self) -> Option<Level> {
        self.findings.iter().map(|finding| finding.code.level()).max()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn finding_codes_are_unique() {
        let words: BTreeSet<&str> = FindingCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), FindingCode::ALL.len());
    }

    #[test]
    fn check_has_the_level_of_its_worst_finding() {
        let mut check = Check::new("x");
        assert_eq!(check.level(), None);
        check.add(FindingCode::ProfileUnused, "", "");
        assert_eq!(check.level(), Some(Level::Info));
        check.add(FindingCode::PodSecurity, "", "");
        check.unknown(&Unknown::Failed("no answer".to_owned()));
        assert_eq!(check.level(), Some(Level::Error));
    }
}
