//! Whether the API server takes the next runner pod of each scale set, by its response to a dry run: Pod
//! Security, quotas, limit ranges, runtime classes, service accounts and policies.

use std::collections::{BTreeMap, BTreeSet};

use kube::{ResourceExt, core::Status};

use super::{Grouped, count, names, needs_profiles};
use crate::doctor::{
    Check, Facts, FindingCode,
    facts::Unknown,
    sample::{Sample, Samples},
};

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
/// The one refusal with 403 after which ARC tries again (actions-runner-controller,
/// `ephemeralrunner_controller.go`).
const QUOTA: &str = "exceeded quota:";

pub(super) fn check(facts: &Facts, samples: &Samples) -> Check {
    let mut check = Check::new("runner-pods");
    check.known(&facts.scale_sets);
    check.known(&facts.namespaces);
    needs_profiles(&mut check, samples);
    let mut unknowns = BTreeSet::new();
    let mut accepted = 0;
    for (namespace, samples) in by_namespace(facts, samples) {
        let level = level(facts, namespace);
        let trials = || samples.iter().filter_map(|one| Some((one, facts.trials.get(&one.name)?)));
        let taken = trials().filter(|(_, trial)| matches!(trial, Ok(None))).count();
        accepted += taken;
        if let (Some(level @ ("baseline" | "restricted")), 0) = (level, taken) {
            check.add(
                FindingCode::PodSecurity,
                format!(
                    "namespace {namespace} enforces Pod Security {level}, and dind is privileged: the API \
                     server refuses its runner pods with 403"
                ),
                &[("NAMESPACE", namespace)],
            );
            continue;
        }
        let mut refused = Grouped::default();
        for (sample, trial) in trials() {
            match trial {
                Ok(None) => {}
                Ok(Some(status)) if is_final(status) => {
                    let is_quota = status.message.contains(QUOTA);
                    let code =
                        if is_quota { FindingCode::PodOverQuota } else { FindingCode::PodRefused };
                    refused.say(code, &sample.name, status.message.clone());
                }
                Ok(Some(status)) => drop(unknowns.insert(status.message.clone())),
                Err(unknown) => drop(unknowns.insert(match (unknown, level) {
                    (Unknown::Forbidden(_), None) => format!(
                        "{unknown}, because the cluster-wide default of Pod Security cannot be read"
                    ),
                    _ => unknown.to_string(),
                })),
            }
        }
        refused.add_to(&mut check, "the API server refuses the next runner pod of");
        let untried = samples.iter().filter(|one| !facts.trials.contains_key(&one.name));
        let untried: Vec<&str> = untried.map(|one| one.name.as_str()).collect();
        if !untried.is_empty() {
            unknowns.insert(format!("not tried: the runner pods of {}", names(untried)));
        }
    }
    for unknown in unknowns {
        check.unknown(unknown);
    }
    check.summary = format!(
        "the API server takes the next runner pod of {accepted} of {}",
        count(samples.injected().count(), "scale set")
    );
    check
}

/// Whether ARC does not try again after a refusal (actions-runner-controller,
/// `ephemeralrunner_controller.go`: `IsForbidden`, `IsInvalid`).
fn is_final(status: &Status) -> bool {
    matches!(status.reason.as_str(), "Forbidden" | "Invalid") || matches!(status.code, 403 | 422)
}

/// The scale sets that are injected, by namespace. A namespace whose scale sets are not known is there
/// for its EphemeralRunners.
fn by_namespace<'f>(facts: &'f Facts, samples: &'f Samples) -> BTreeMap<&'f str, Vec<&'f Sample>> {
    let mut all: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for (sample, _) in samples.injected() {
        all.entry(&sample.namespace).or_default().push(sample);
    }
    let known: BTreeSet<&str> = samples.all.iter().map(|one| one.namespace.as_str()).collect();
    let runners = facts.runners.iter().flatten();
    for namespace in runners.filter_map(|runner| runner.metadata.namespace.as_deref()) {
        if !known.contains(namespace) {
            all.entry(namespace).or_default();
        }
    }
    all
}

/// The Pod Security level that a namespace enforces; `None` for the cluster's default.
fn level<'f>(facts: &'f Facts, namespace: &str) -> Option<&'f str> {
    let mut all = facts.namespaces.iter().flatten();
    all.find(|one| one.name_any() == namespace)?.labels().get(ENFORCE).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;
    use crate::doctor::testing::{codes, ephemeral_runner, healthy, opted_out, scale_set, status};

    const SET: &str = "arc-runners/linux.rocm.gpu.gfx942.2";

    /// A namespace with this label, and the API server's response to the pod of its scale set.
    fn with(level: &str, trial: Option<(u16, &str)>) -> Facts {
        let mut facts = healthy();
        let namespace = json!({"metadata": {"name": "arc-runners", "labels": {ENFORCE: level}}});
        if !level.is_empty() {
            facts.namespaces = Ok(vec![from_value(namespace).unwrap()]);
        }
        facts.trials.insert(SET.to_owned(), Ok(trial.map(|(code, message)| status(code, message))));
        facts
    }

    fn check(facts: &Facts) -> Check {
        super::check(facts, &Samples::of(facts))
    }

    #[test]
    fn refused_pod_is_found_with_the_api_servers_message() {
        assert!(codes(&check(&with("", None))).is_empty());
        for message in [
            "pods \"x\" is forbidden: violates PodSecurity \"baseline:latest\": privileged",
            "pods \"x\" is forbidden: maximum memory usage per Container is 64Gi",
            "pods \"x\" is forbidden: failed quota: q: must specify limits.cpu for: dind",
            "pods \"x\" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[pytorch] = kata; \
             pod.spec.nodeSelector[pytorch] = yes",
            "pods \"x\" is forbidden: error looking up service account arc-runners/x",
        ] {
            let found = check(&with("", Some((403, message))));
            assert_eq!(codes(&found), ["pod-refused"]);
            let text = &found.findings[0].message;
            assert!(text.contains(SET) && text.ends_with(message), "{text}");
        }
        assert_eq!(codes(&check(&with("", Some((422, "Invalid value"))))), ["pod-refused"]);
        let over = check(&with("", Some((403, "exceeded quota: q, requested: cpu=40"))));
        assert_eq!(codes(&over), ["pod-over-quota"]);
        // ARC tries again, so no runner is lost; or another webhook takes no dry runs.
        for code in [400, 409, 500] {
            assert_eq!(codes(&check(&with("", Some((code, "x"))))), ["unknown"]);
        }
    }

    #[test]
    fn scale_sets_with_one_reason_are_one_finding() {
        let mut facts = with("", Some((403, "no")));
        facts.scale_sets.as_mut().unwrap().push(scale_set("rocm-two"));
        facts.trials.insert("arc-runners/rocm-two".to_owned(), Ok(Some(status(403, "no"))));
        facts.config_map = Ok(None);
        let found = check(&facts);
        assert_eq!(codes(&found), ["pod-refused"]);
        let both = format!(
            "the API server refuses the next runner pod of {SET}, arc-runners/rocm-two: no"
        );
        assert_eq!(found.findings[0].message, both);
    }

    #[test]
    fn pod_security_label_is_explained() {
        for level in ["baseline", "restricted"] {
            let found = check(&with(level, Some((403, "violates PodSecurity"))));
            assert_eq!(codes(&found), ["pod-security"], "one cause, one finding");
            assert!(found.findings[0].remedy.contains("namespace arc-runners pod-security"));
            // A profile may have no privileged container.
            assert!(codes(&check(&with(level, None))).is_empty());
        }
        assert!(codes(&check(&with("privileged", None))).is_empty());
    }

    #[test]
    fn without_permission_the_label_decides() {
        let forbidden = Err(Unknown::Forbidden("create pods in namespace arc-runners".to_owned()));
        let found = |level| {
            let mut facts = with(level, None);
            facts.trials.insert(SET.to_owned(), forbidden.clone());
            check(&facts)
        };
        assert_eq!(codes(&found("baseline")), ["pod-security"]);
        assert_eq!(codes(&found("privileged")), ["unknown"], "quotas are not known");
        let default = found("");
        assert_eq!(codes(&default), ["unknown"]);
        assert!(default.findings[0].message.ends_with("default of Pod Security cannot be read"));
    }

    #[test]
    fn unknown_profiles_make_the_pods_unknown() {
        let hidden = Err(Unknown::Forbidden("get configmaps arc-rocm-profiles".to_owned()));
        let facts = Facts { config_map: hidden, ..with("", Some((403, "no"))) };
        assert_eq!(codes(&check(&facts)), ["unknown"]);
    }

    #[test]
    fn untried_scale_set_is_unknown() {
        let mut facts = with("", None);
        facts.trials.clear();
        assert_eq!(codes(&check(&facts)), ["unknown"]);
    }

    #[test]
    fn namespace_of_opted_out_scale_sets_may_be_restricted() {
        let mut facts = with("restricted", None);
        facts.trials.clear();
        facts.scale_sets.as_mut().unwrap().iter_mut().for_each(opted_out);
        facts.runner_pods = Ok(Vec::new());
        facts.runners = Ok(vec![ephemeral_runner("r", &json!({}))]);
        assert!(codes(&check(&facts)).is_empty());
        facts.scale_sets = Ok(Vec::new());
        assert_eq!(codes(&check(&facts)), ["pod-security"], "its runners show that it has some");
    }
}
