//! Findings: one table has the code, level, meaning and remedy of each. Codes are stable.

use super::Known;

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
    ($($name:ident = $word:literal, $level:ident, $meaning:literal, $remedy:literal;)+) => {
        /// What was found. The codes are stable: programs read them.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        #[expect(clippy::doc_markdown, reason = "the same text is printed")]
        pub enum FindingCode { $(#[doc = $meaning] $name,)+ }

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

            /// What it means, for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)+ }
            }

            /// What to do; empty if nothing. Words in capitals, such as `NAMESPACE`, stand for names.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)+ }
            }
        }
    };
}

codes! {
    Unknown = "unknown", Unknown,
        "It could not be checked; the message has the reason",
        "check it yourself; docs/doctor.md, \"Permissions\", has what the doctor reads";
    ApiServerUnreachable = "api-server-unreachable", Error,
        "The API server does not answer; nothing else was checked",
        "check the kubeconfig (--kubeconfig, --context), the proxy and the network";
    ApiServerTooOld = "api-server-too-old", Error,
        "It is older than the chart supports: 1.28 has no native sidecars, 1.29 no ValidatingAdmissionPolicy v1",
        "update the cluster before you install the webhook";
    ApiServerUntested = "api-server-untested", Info,
        "The suite does not run on this version",
        "";
    RegistrationMissing = "registration-missing", Error,
        "No MutatingWebhookConfiguration of this name has the webhook: runners are not injected",
        "helm upgrade --install NAME CHART --namespace NAMESPACE, or run doctor with the right --name";
    FailurePolicyIgnore = "failure-policy-ignore", Warning,
        "During an outage runners start without GPUs and Docker, and fail their jobs",
        "set the chart's value webhook.failurePolicy=Fail: runners then wait for the webhook";
    ReinvocationNever = "reinvocation-never", Warning,
        "The webhook does not see changes by later webhooks",
        "helm upgrade NAME CHART --namespace NAMESPACE --reset-then-reuse-values, which sets IfNeeded";
    CaBundleUnusable = "ca-bundle-unusable", Error,
        "The caBundle is empty, or has something other than PEM certificates",
        "kubectl --namespace NAMESPACE logs deployment/NAME has the reason, or cert-manager's cainjector; with your own Secret, set the chart's value certificates.caBundle";
    CertificateMissing = "certificate-missing", Error,
        "The Secret does not exist, or has no certificate",
        "kubectl --namespace NAMESPACE logs deployment/NAME has the reason; with your own Secret, create it: deploy/README.md, \"A new certificate\"";
    CertificateUntrusted = "certificate-untrusted", Error,
        "No CA in the caBundle signed the certificate, or it has another name",
        "kubectl --namespace NAMESPACE logs deployment/NAME has the reason; with your own Secret, set the chart's value certificates.caBundle to the CA that signed it";
    CertificateExpired = "certificate-expired", Error,
        "The certificate, or every CA in the caBundle, has expired",
        "kubectl --namespace NAMESPACE logs deployment/NAME, or cmctl status certificate, has the reason; with your own Secret: deploy/README.md, \"A new certificate\"";
    CertificateExpiresSoon = "certificate-expires-soon", Warning,
        "The certificate, or the last CA in the caBundle, ends soon and was not renewed",
        "kubectl --namespace NAMESPACE logs deployment/NAME, or cmctl status certificate, has the reason; with your own Secret: deploy/README.md, \"A new certificate\"";
    DeploymentMissing = "deployment-missing", Warning,
        "The Deployment does not exist",
        "run doctor with the --name and --namespace of the release: helm list --all-namespaces";
    NoReadyPods = "no-ready-pods", Error,
        "No pod of the webhook is ready: no runner pod is created, or with failurePolicy Ignore none is injected",
        "kubectl --namespace NAMESPACE describe pods and their logs have the reason";
    RolloutIncomplete = "rollout-incomplete", Warning,
        "Some pods are not ready or not of the newest revision",
        "kubectl --namespace NAMESPACE rollout status deployment/NAME";
    WebhookNotCalled = "webhook-not-called", Error,
        "The API server created a runner pod without calling the webhook",
        "compare the registration with helm get manifest NAME --namespace NAMESPACE; with failurePolicy Ignore also check the network and the webhook";
    WebhookFails = "webhook-fails", Error,
        "The API server got no usable response from the webhook: no runner pod is created",
        "docs/troubleshooting.md, \"failed calling webhook\", has the causes by the end of the message";
    OtherWebhookFails = "other-webhook-fails", Error,
        "Another webhook, or the API server itself, fails for runner pods: no runner pod is created",
        "repair the webhook that the message names, or delete its registration";
    ControllerMissing = "controller-missing", Info,
        "No Deployment has the labels of ARC's controller",
        "install ARC; if it has other labels, compare its service account with the chart's value arcControllerUsers";
    ControllerUserMismatch = "controller-user-mismatch", Error,
        "The service account of ARC's controller is not among arcControllerUsers: runners are not injected",
        "helm upgrade NAME CHART --namespace NAMESPACE --reset-then-reuse-values --set 'arcControllerUsers={USERS}'";
    ProfilesBroken = "profiles-broken", Error,
        "The profiles of the ConfigMap do not compile: running pods keep the last good ones, a starting pod exits with code 2",
        "arc-rocm profiles check shows each problem with its place; then helm upgrade, or kubectl apply the ConfigMap";
    ProfileRejected = "profile-rejected", Error,
        "A RunnerProfile object is not used",
        "kubectl edit runnerprofile PROFILE: the message has each field";
    ProfilesUnwatched = "profiles-unwatched", Warning,
        "The webhook does not watch the RunnerProfile objects",
        "set the chart's value runnerProfiles.watch=true";
    ProfileUnused = "profile-unused", Info,
        "No scale set uses the profile",
        "arc-rocm explain --scale-set NAME shows why";
    RuntimeClassMissing = "runtime-class-missing", Error,
        "A profile names a RuntimeClass that does not exist: the API server refuses its runner pods with 403",
        "create the RuntimeClass, or correct runtimeClassName of the profile";
    RuntimeClassConflict = "runtime-class-conflict", Error,
        "A profile and its RuntimeClass give one nodeSelector key two values: the API server refuses its runner pods with 403",
        "remove the key from one of them: kubectl edit runtimeclass CLASS, or nodeSelector of the profile";
    ScaleSetUnknownProfile = "scale-set-unknown-profile", Error,
        "Its annotation names a profile that does not exist: runners are not injected",
        "add the profile, or correct the annotation arc-rocm.dev/profile";
    ScaleSetWithoutProfile = "scale-set-without-profile", Warning,
        "No profile matches a scale set whose name says ROCm, or whose runner asks for amd.com/gpu: runners are not injected",
        "add it to match.scaleSets of a profile, or opt it out with the label arc-rocm.dev/inject=false";
    PodSecurity = "pod-security", Error,
        "The namespace refuses privileged containers: each runner is Failed, and ARC does not retry",
        "kubectl label --overwrite namespace NAMESPACE pod-security.kubernetes.io/enforce=privileged, then delete the failed EphemeralRunners";
    PodRefused = "pod-refused", Error,
        "The API server refuses the next runner pod of a scale set: each runner is Failed, and ARC does not retry",
        "docs/troubleshooting.md, \"A runner is Failed\", has the causes by the message";
    PodOverQuota = "pod-over-quota", Warning,
        "The next runner pod of a scale set does not fit into a ResourceQuota now: the runner waits",
        "kubectl --namespace NAMESPACE describe resourcequota: a runner that asks for more than the whole quota waits without limit";
    RunnerDoesNotFit = "runner-does-not-fit", Warning,
        "No node can hold a runner of the scale set, even if it is empty: the runner stays Pending",
        "check node labels, AMD's device plugin, and the profile's gpu, resources and nodeSelector; if an autoscaler adds nodes from zero, this is expected";
    ImageVolumesUnsupported = "image-volumes-unsupported", Error,
        "The webhook runs with --scripts-image, and a node for runners has no image volumes: a runner there finds no scripts and ends",
        "set the chart's value scripts.image=false, or update the node: docs/profiles.md, \"Scripts from an image\"";
    ScaleSetOutdated = "scale-set-outdated", Error,
        "ARC has stopped the scale set, because GitHub no longer accepts this version of the runner (exit code 7)",
        "use a newer runner image in the profile or the scale set, then change the scale set: helm upgrade it";
    RunnerUnpatched = "runner-unpatched", Warning,
        "A runner pod without the annotation arc-rocm.dev/status that would be patched today",
        "kubectl --namespace NAMESPACE delete pod POD while it is idle, and ARC creates a new one";
    RunnerOutdated = "runner-outdated", Warning,
        "An idle runner pod of another profile, or of an older one, than it would get today",
        "kubectl --namespace NAMESPACE delete pod POD while it is idle; else it runs one more job as it is";
    RunnerSkipped = "runner-skipped", Info,
        "A runner pod that the webhook skips, with the reason, such as an opt-out",
        "";
    RunnerRefused = "runner-refused", Error,
        "An EphemeralRunner that is Failed because the API server refused its pod (InvalidPod)",
        "remove the cause, then kubectl --namespace NAMESPACE delete ephemeralrunner RUNNER; until then it counts as a runner of the scale set";
    RunnerFailed = "runner-failed", Warning,
        "An EphemeralRunner that is Failed for another reason",
        "remove the cause, then kubectl --namespace NAMESPACE delete ephemeralrunner RUNNER; until then it counts as a runner of the scale set";
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

    /// Adds a finding. `names` are the words of the remedy that stand for names.
    pub(super) fn add(
        &mut self,
        code: FindingCode,
        message: impl Into<String>,
        names: &[(&str, &str)],
    ) {
        let words = code.remedy().split_inclusive(|c: char| !c.is_ascii_uppercase());
        let filled = words.map(|word| {
            let bare = word.trim_end_matches(|c: char| !c.is_ascii_uppercase());
            let name = names.iter().find(|(placeholder, _)| *placeholder == bare);
            name.map_or_else(|| word.to_owned(), |(_, name)| word.replacen(bare, name, 1))
        });
        self.findings.push(Finding { code, message: message.into(), remedy: filled.collect() });
    }

    pub(super) fn unknown(&mut self, why: impl Into<String>) {
        self.add(FindingCode::Unknown, why, &[]);
    }

    /// A fact; without it the reason becomes a finding.
    pub(super) fn known<'f, T>(&mut self, fact: &'f Known<T>) -> Option<&'f T> {
        fact.as_ref().inspect_err(|unknown| self.unknown(unknown.to_string())).ok()
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
        check.add(FindingCode::ProfileUnused, "", &[]);
        assert_eq!(check.level(), Some(Level::Info));
        check.add(FindingCode::PodSecurity, "", &[]);
        check.unknown("no answer");
        assert_eq!(check.level(), Some(Level::Error));
    }

    #[test]
    fn remedy_names_the_objects() {
        let mut check = Check::new("x");
        check.add(
            FindingCode::ControllerUserMismatch,
            "",
            &[("NAME", "rocm"), ("NAMESPACE", "infra"), ("USERS", "a,b")],
        );
        assert_eq!(
            check.findings[0].remedy,
            "helm upgrade rocm CHART --namespace infra --reset-then-reuse-values --set \
             'arcControllerUsers={a,b}'"
        );
    }

    #[test]
    fn remedy_of_every_error_and_warning_says_what_to_do() {
        for code in FindingCode::ALL {
            assert_eq!(
                code.remedy().is_empty(),
                matches!(code, FindingCode::ApiServerUntested | FindingCode::RunnerSkipped),
                "{code:?}"
            );
        }
    }
}
