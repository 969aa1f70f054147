//! The runners that are there: patched, left alone, or ended for good.

use std::collections::BTreeMap;

use super::{count, names};
use crate::{
    annotations::STATUS,
    cluster::doctor::{
        Check, Code, Facts, FailedRunner,
        facts::{full_name, text, texts},
        sample::{Samples, judge},
    },
    inject::Skip,
};

/// Failed runners that are told one by one.
const FAILED: usize = 5;
/// What a refusal of the API server has in it (Pod Security, validation, webhooks and policies).
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

/// Tells those that were not patched by why. Returns how many were.
fn pods(check: &mut Check, pods: &[serde_json::Value], samples: &Samples) -> usize {
    let mut bare = Vec::new();
    let mut alone: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for pod in pods {
        if texts(pod, "/metadata/annotations").contains_key(STATUS) {
            continue;
        }
        match judge(pod, text(pod, "/metadata/namespace"), &samples.config) {
            Ok(_) if samples.known => bare.push(full_name(pod)),
            // The built-in profile stands in for those that are not known.
            Ok(_) => alone
                .entry("which profile it should have is not known")
                .or_default()
                .push(full_name(pod)),
            // With the scale sets, where it is a finding of its own.
            Err(Skip::NoProfile | Skip::UnknownProfile) => {
                alone
                    .entry("its profile is none of those that there are")
                    .or_default()
                    .push(full_name(pod));
            }
            Err(skip) => alone.entry(skip.sentence()).or_default().push(full_name(pod)),
        }
    }
    let untouched = bare.len() + alone.values().map(Vec::len).sum::<usize>();
    if !bare.is_empty() {
        check.add(
            Code::RunnerUnpatched,
            format!(
                "{} without {STATUS}, made before the webhook was installed or while it was not \
                 called: {}",
                count(bare.len(), "runner pod"),
                names(bare.iter().map(String::as_str))
            ),
            "kubectl delete pod those that are idle, and ARC makes them anew; one that is at work \
             loses its job",
        );
    }
    for (why, pods) in alone {
        check.add(
            Code::RunnerLeftAlone,
            format!(
                "{} left alone, because {why}: {}",
                count(pods.len(), "runner pod"),
                names(pods.iter().map(String::as_str))
            ),
            "",
        );
    }
    pods.len() - untouched
}

fn ended(check: &mut Check, failed: &[FailedRunner]) {
    let is_refused = |runner: &&FailedRunner| {
        REFUSALS.iter().any(|part| runner.message.contains(part)) || runner.reason == "InvalidPod"
    };
    let (refused, others): (Vec<_>, Vec<_>) = failed.iter().partition(is_refused);
    for (code, runners) in [(Code::RunnerRefused, refused), (Code::RunnerFailed, others)] {
        for runner in runners.iter().take(FAILED) {
            let FailedRunner { namespace, name, reason, message } = runner;
            check.add(
                code,
                format!("EphemeralRunner {namespace}/{name} is Failed ({reason}): {message}"),
                format!(
                    "remove the cause, then kubectl --namespace {namespace} delete \
                     ephemeralrunner {name}: until then it keeps its place in the scale set"
                ),
            );
        }
        if runners.len() > FAILED {
            let more = count(runners.len() - FAILED, "more EphemeralRunner");
            check.add(
                code,
                format!("{more} like these"),
                "kubectl get ephemeralrunners --all-namespaces",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::doctor::{
        Listed,
        testing::{codes, healthy, pod},
    };

    fn with(change: impl FnOnce(&mut Facts)) -> Check {
        let mut facts = healthy();
        change(&mut facts);
        check(&facts, &Samples::of(&facts))
    }

    #[test]
    fn bare_runners_are_told_from_those_that_opted_out() {
        assert!(codes(&with(|_| {})).is_empty());
        let found = with(|facts| {
            let pods = &mut facts.runners.as_mut().unwrap().items;
            pods.push(pod("old", false));
            let mut out = pod("out", false);
            out["metadata"]["labels"]["arc-rocm.dev/inject"] = json!("false");
            pods.push(out);
        });
        assert_eq!(codes(&found), ["runner-unpatched", "runner-left-alone"]);
        assert!(found.findings[0].message.ends_with(": arc-runners/old"), "{found:?}");
        assert!(found.findings[1].message.ends_with(": arc-runners/out"), "{found:?}");
        assert_eq!(found.summary, "1 of 3 runner pods patched");
    }

    #[test]
    fn a_refused_runner_is_worse_than_one_that_failed_by_itself() {
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
