//! Existing scale sets and runners: stopped, patched, skipped, or Failed.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde::Deserialize;

use super::{Grouped, controller, count};
use crate::{
    VERSION,
    annotations::STATUS,
    doctor::{
        Check, EphemeralRunner, Facts, FindingCode,
        api::cut,
        deployment,
        facts::full_name,
        sample::{Samples, profile_of},
    },
    inject::Skip,
};

/// Failed runners of one code that are listed one by one.
const FAILED: usize = 5;

pub(super) fn check(facts: &Facts, samples: &Samples) -> Check {
    let mut check = Check::new("runners");
    let stopped = facts
        .scale_sets
        .iter()
        .flatten()
        .filter(|set| set.status.as_ref().is_some_and(|status| status.phase == "Outdated"));
    for set in stopped {
        let message = format!("scale set {} is Outdated: ARC has stopped it", full_name(set));
        check.add(FindingCode::ScaleSetOutdated, message, &[]);
    }
    if let Some(all) = check.known(&facts.runner_pods) {
        let patched = all.iter().filter(|pod| pod.annotations().contains_key(STATUS)).count();
        check.summary = format!("{patched} of {} patched", count(all.len(), "runner pod"));
        pods(&mut check, facts, all, samples);
    }
    if let Some(runners) = check.known(&facts.runners) {
        failed(&mut check, runners);
    }
    check
}

/// Adds findings for pods that are not as the webhook would patch them today, by reason.
fn pods(check: &mut Check, facts: &Facts, pods: &[Pod], samples: &Samples) {
    let busy = busy(facts);
    // The digest covers the scripts of this version, so those of others do not compare.
    let image = facts.deployment().and_then(deployment::image);
    let serves_this_version = image.is_some_and(|image| image.contains(&format!(":{VERSION}")));
    let is_controller_known = controller::strangers(facts).is_empty();
    let mut grouped = Grouped::default();
    let names: Vec<String> = pods.iter().map(full_name).collect();
    for (pod, name) in pods.iter().zip(&names) {
        let namespace = pod.namespace().unwrap_or_default();
        let object = serde_json::to_value(pod).unwrap_or_default();
        let profile = profile_of(&object, &namespace, &samples.config);
        let status = pod.annotations().get(STATUS);
        let (code, why) = match (status, profile) {
            // A busy runner ends after its job. With unknown profiles the built-in ones were used.
            (Some(_), _) if !samples.known || busy.contains(name) => continue,
            (Some(status), Ok((profile, digest))) => {
                match serde_json::from_str::<Status>(status).ok() {
                    Some(status) if status.digest == digest => continue,
                    Some(status) if status.version != VERSION && !serves_this_version => continue,
                    Some(status) if status.profile == profile => {
                        (FindingCode::RunnerOutdated, format!("profile {profile} has changed"))
                    }
                    _ => (FindingCode::RunnerOutdated, format!("the profile is {profile} today")),
                }
            }
            (Some(_), Err(_)) => continue,
            (None, Ok(_)) if !samples.known => {
                (FindingCode::RunnerSkipped, "the profiles are not known".to_owned())
            }
            (None, Ok(_)) => (
                FindingCode::RunnerUnpatched,
                if is_controller_known {
                    "from before the installation, or while the webhook was not called"
                } else {
                    "the webhook does not know ARC's controller, as the controller check says"
                }
                .to_owned(),
            ),
            // Findings of their own for the scale set.
            (None, Err(Skip::NoProfile | Skip::UnknownProfile)) => {
                (FindingCode::RunnerSkipped, "no profile applies".to_owned())
            }
            (None, Err(skip)) => (FindingCode::RunnerSkipped, skip.sentence().to_owned()),
        };
        grouped.say(code, name, why);
    }
    grouped.add_to(check, "runner pods");
}

/// The status annotation of a patched pod.
#[derive(Deserialize)]
struct Status {
    profile: String,
    version: String,
    digest: String,
}

/// The runners that have a job, by name. ARC gives a runner and its pod the same.
fn busy(facts: &Facts) -> BTreeSet<String> {
    let runners = facts.runners.iter().flatten();
    let busy = runners.filter(|runner| {
        let status = runner.status.as_ref();
        status.is_some_and(|status| !status.job_id.is_empty() || status.job_request_id != 0)
    });
    busy.map(full_name).collect()
}

/// Adds findings for Failed runners.
fn failed(check: &mut Check, runners: &[EphemeralRunner]) {
    let failed = runners.iter().filter_map(|runner| {
        let status = runner.status.as_ref().filter(|status| status.phase == "Failed")?;
        Some((runner, status))
    });
    let (refused, others): (Vec<_>, Vec<_>) =
        failed.partition(|(_, status)| status.reason == "InvalidPod");
    for (code, runners) in
        [(FindingCode::RunnerRefused, refused), (FindingCode::RunnerFailed, others)]
    {
        for (runner, status) in runners.iter().take(FAILED) {
            let (reason, message) = (&status.reason, cut(&status.message));
            check.add(
                code,
                format!("EphemeralRunner {} is Failed ({reason}): {message}", full_name(*runner)),
                &[
                    ("NAMESPACE", &runner.namespace().unwrap_or_default()),
                    ("RUNNER", &runner.name_any()),
                ],
            );
        }
        if runners.len() > FAILED {
            let more = count(runners.len() - FAILED, "more EphemeralRunner");
            check.add(
                code,
                format!("{more} like this: kubectl get ephemeralrunners --all-namespaces"),
                &[],
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::doctor::testing::{
        change, codes, controller, ephemeral_runner, healthy, pod, status_of,
    };

    fn with(change: impl FnOnce(&mut Facts)) -> Check {
        let mut facts = healthy();
        change(&mut facts);
        check(&facts, &Samples::of(&facts))
    }

    #[test]
    fn unpatched_and_opted_out_runners_differ() {
        assert!(codes(&with(|_| {})).is_empty());
        let add = |facts: &mut Facts| {
            let mut out = pod("out", None);
            out.labels_mut().insert("arc-rocm.dev/inject".to_owned(), "false".to_owned());
            facts.runner_pods.as_mut().unwrap().extend([pod("old", None), out]);
        };
        let found = with(add);
        assert_eq!(codes(&found), ["runner-unpatched", "runner-skipped"]);
        assert!(found.findings[0].message.starts_with("runner pods arc-runners/old: from before"));
        assert!(
            found.findings[1].message.starts_with("runner pods arc-runners/out: "),
            "{found:?}"
        );
        assert_eq!(found.summary, "1 of 3 runner pods patched");

        let unknown_controller = with(|facts| {
            add(facts);
            facts.controllers = Ok(vec![controller("my-arc")]);
        });
        let message = &unknown_controller.findings[0].message;
        assert!(message.ends_with("as the controller check says"), "one cause: {message}");
    }

    #[test]
    fn idle_runner_of_an_older_profile_is_found() {
        let found = |profile: &str, digest: &str, status: Value| {
            with(|facts| {
                let old = status_of(profile, digest);
                facts.runner_pods.as_mut().unwrap().push(pod("old", Some(&old)));
                facts.runners.as_mut().unwrap().push(ephemeral_runner("old", &status));
            })
        };
        let changed = found("fleet", "000000000000", json!({"phase": "Running"}));
        assert_eq!(codes(&changed), ["runner-outdated"]);
        let message = &changed.findings[0].message;
        assert_eq!(message, "runner pods arc-runners/old: profile fleet has changed");
        let other = found("gone", "000000000000", json!({"phase": "Running"}));
        assert!(other.findings[0].message.ends_with("the profile is fleet today"), "{other:?}");
        for busy in [json!({"jobId": "3d1c"}), json!({"jobRequestId": 7})] {
            assert!(codes(&found("fleet", "000000000000", busy)).is_empty());
        }
    }

    #[test]
    fn digests_of_another_version_are_not_compared() {
        let found = |image: &str| {
            with(|facts| {
                change(facts.deployment.as_mut().unwrap(), |one| {
                    one["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
                });
                let old = status_of("fleet", "000000000000").replace(VERSION, "0.0.1");
                facts.runner_pods.as_mut().unwrap().push(pod("old", Some(&old)));
            })
        };
        assert!(codes(&found("registry.example/arc-rocm:0.0.1")).is_empty());
        let same = format!("registry.example/arc-rocm:{VERSION}@sha256:0");
        assert_eq!(codes(&found(&same)), ["runner-outdated"]);
    }

    #[test]
    fn outdated_scale_set_is_an_error() {
        let found = with(|facts| {
            let set = &mut facts.scale_sets.as_mut().unwrap()[0];
            set.status.as_mut().unwrap().phase = "Outdated".to_owned();
        });
        assert_eq!(codes(&found), ["scale-set-outdated"]);
    }

    #[test]
    fn refused_runner_is_worse_than_a_failed_one() {
        let runner = |reason: &str| {
            let status = json!({"phase": "Failed", "reason": reason, "message": "x"});
            ephemeral_runner("r", &status)
        };
        let found = with(|facts| {
            let runners =
                (0..8).map(|_| runner("InvalidPod")).chain([runner("TooManyPodFailures")]);
            facts.runners = Ok(runners.collect());
        });
        let mut expected = vec!["runner-refused"; 6];
        expected.push("runner-failed");
        assert_eq!(codes(&found), expected);
        assert!(found.findings[5].message.starts_with("3 more EphemeralRunners"));
        assert!(
            found.findings[6].remedy.contains("--namespace arc-runners delete ephemeralrunner r;")
        );
    }
}
