//! Existing runners: patched, skipped, or Failed.

use std::collections::BTreeMap;

use super::{count, names};
use crate::{
    annotations::STATUS,
    doctor::{
        Check, Facts, FailedRunner, FindingCode,
        facts::{full_name, text, texts},
        sample::{Samples, evaluate},
    },
    inject::Skip,
};

/// Failed runners that are listed one by one.
const FAILED: usize = 5;
/// Parts of the API server's refusals (Pod Security, validation, webhooks and policies).
const REFUSALS: [&str; 5] =
    ["violates PodSecurity", "is forbidden", "is invalid", "admission webhook", "denied"];

pub(super) fn check(facts: &Facts, samples: &Samples) -> Check {
    let mut check = Check::new("runners");
    match &facts.runners {
        Ok(runners) => {
            check.cut(runners.cut, "runner pods");
            let patched = pods(&mut check, &runners.items, samples);
            check.summary =
                format!("{patched} of {} patched", count(runners.items.len(), "runner pod"));
        }
        Err(unknown) => check.unknown(unknown),
    }
    match &facts.failed {
        Ok(failed) => {
            let failed = failed.as_ref();
            check.cut(failed.is_some_and(|failed| failed.cut), "EphemeralRunners");
            ended(&mut check, failed.map(|failed| failed.items.as_slice()).unwrap_or_default());
        }
        Err(unknown) => check.unknown(unknown),
    }
    check
}

/// Adds findings for unpatched pods, by reason. Returns the number of patched pods.
fn pods(check: &mut Check, pods: &[serde_json::Value], samples: &Samples) -> usize {
    let mut unpatched = Vec::new();
    let mut skipped: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for pod in pods {
        if texts(pod, "/metadata/annotations").contains_key(STATUS) {
            continue;
        }
        match evaluate(pod, text(pod, "/metadata/namespace"), &samples.config) {
            Ok(_) if samples.known => unpatched.push(full_name(pod)),
            // With unknown profiles the built-in one was used.
            Ok(_) => skipped.entry("the profiles are not known").or_default().push(full_name(pod)),
            // A finding of its own for the scale set.
            Err(Skip::NoProfile | Skip::UnknownProfile) => {
                skipped.entry("no profile applies").or_default().push(full_name(pod));
            }
            Err(skip) => skipped.entry(skip.sentence()).or_default().push(full_name(pod)),
        }
    }
    let without = unpatched.len() + skipped.values().map(Vec::len).sum::<usize>();
    if !unpatched.is_empty() {
        check.add(
            FindingCode::RunnerUnpatched,
            format!(
                "{} without {STATUS}, created before the webhook was installed or while it was not called: \
                 {}",
                count(unpatched.len(), "runner pod"),
                names(unpatched.iter().map(String::as_str))
            ),
            "delete idle runner pods, and ARC creates new ones; a busy one loses its job",
        );
    }
    for (why, pods) in skipped {
        check.add(
            FindingCode::RunnerSkipped,
            format!(
                "{} skipped, because {why}: {}",
                count(pods.len(), "runner pod"),
                names(pods.iter().map(String::as_str))
            ),
            "",
        );
    }
    pods.len() - without
}

fn ended(check: &mut Check, failed: &[FailedRunner]) {
    let is_refused = |runner: &&FailedRunner| {
        REFUSALS.iter().any(|part| runner.message.contains(part)) || runner.reason == "InvalidPod"
    };
    let (refused, others): (Vec<_>, Vec<_>) = failed.iter().partition(is_refused);
    for (code, runners) in
        [(FindingCode::RunnerRefused, refused), (FindingCode::RunnerFailed, others)]
    {
        for runner in runners.iter().take(FAILED) {
            let FailedRunner { namespace, name, reason, message } = runner;
            check.add(
                code,
                format!("EphemeralRunner {namespace}/{name} is Failed ({reason}): {message}"),
                format!(
                    "remove the cause, then run kubectl --namespace {namespace} delete ephemeralrunner \
                     {name}; until then it counts as a runner of the scale set"
                ),
            );
        }
        if runners.len() > FAILED {
            let more = count(runners.len() - FAILED, "more EphemeralRunner");
            check.add(
                code,
                format!("{more} like this"),
                "kubectl get ephemeralrunners --all-namespaces",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::{
        Listed,
        testing::{codes, healthy, pod},
    };

    fn with(change: impl FnOnce(&mut Facts)) -> Check {
        let mut facts = healthy();
        change(&mut facts);
        check(&facts, &Samples::of(&facts))
    }

    #[test]
    fn unpatched_and_opted_out_runners_differ() {
        assert!(codes(&with(|_| {})).is_empty());
        let found = with(|facts| {
            let pods = &mut facts.runners.as_mut().unwrap().items;
            pods.push(pod("old", false));
            let mut out = pod("out", false);
            out["metadata"]["labels"]["arc-rocm.dev/inject"] = json!("false");
            pods.push(out);
        });
        assert_eq!(codes(&found), ["runner-unpatched", "runner-skipped"]);
        assert!(found.findings[0].message.ends_with(": arc-runners/old"), "{found:?}");
        assert!(found.findings[1].message.ends_with(": arc-runners/out"), "{found:?}");
        assert_eq!(found.summary, "1 of 3 runner pods patched");
    }

    #[test]
    fn refused_runner_is_worse_than_a_failed_one() {
        let runner = |reason: &str, message: &str| FailedRunner {
            namespace: "arc-runners".to_owned(),
            name: "r".to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        let secure =
            "pods \"r\" is forbidden: violates PodSecurity \"baseline:latest\": privileged";
        let mut items = vec![runner("InvalidPod", secure), runner("TooManyPodFailures", "5 times")];
        items.extend((0..7).map(|_| runner("InvalidPod", "x")));
        let found = with(|facts| facts.failed = Ok(Some(Listed { items, cut: false })));
        let mut expected = vec!["runner-refused"; 6];
        expected.push("runner-failed");
        assert_eq!(codes(&found), expected);
        assert!(found.findings[5].message.starts_with("3 more EphemeralRunners"));
    }
}
