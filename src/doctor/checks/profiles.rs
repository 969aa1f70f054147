//! Whether the profiles are in use, and for which scale sets.

use kube::ResourceExt;
use serde_json::Value;

use super::{count, names};
use crate::{
    doctor::{
        Check, Facts, FindingCode,
        sample::{Samples, watches},
    },
    inject::Skip,
    profile::{Origin, Profile},
};

pub(super) fn check(facts: &Facts, samples: &Samples) -> Check {
    let mut check = Check::new("profiles");
    check.known(&facts.profiles);
    check.known(&facts.config_map);
    check.known(&facts.scale_sets);
    check.known(&facts.runtime_classes);
    for (name, why) in &samples.rejected {
        let message = format!("RunnerProfile {name} is not used: {why}");
        check.add(FindingCode::ProfileRejected, message, &[("PROFILE", name)]);
    }
    let objects = facts.profiles.iter().flatten().count();
    if objects > 0 && !watches(facts) {
        let objects = count(objects, "RunnerProfile");
        let message = format!("{objects} in the cluster, and the webhook does not watch them");
        check.add(FindingCode::ProfilesUnwatched, message, &[]);
    }
    if let Some(first) = samples.problems.first() {
        let problems = count(samples.problems.len(), "problem");
        let message = format!("the profiles do not compile ({problems}); first: {first}");
        check.add(FindingCode::ProfilesBroken, message, &[]);
    }
    check.summary = format!(
        "{} for {} of {}",
        count(samples.config.profiles.len(), "profile"),
        samples.injected().count(),
        count(samples.all.len(), "scale set")
    );
    // With unknown profiles the choice for each scale set is unknown too.
    if samples.known {
        scale_sets(&mut check, samples);
        own_profiles(&mut check, facts, samples);
    }
    check
}

fn scale_sets(check: &mut Check, samples: &Samples) {
    for (skip, code, why) in [
        (
            Skip::UnknownProfile,
            FindingCode::ScaleSetUnknownProfile,
            "the annotation arc-rocm.dev/profile names no profile",
        ),
        (Skip::NoProfile, FindingCode::ScaleSetWithoutProfile, "no profile matches"),
    ] {
        // A scale set that is not for ROCm needs no profile.
        let wants = |wants_rocm| wants_rocm || skip == Skip::UnknownProfile;
        let all = samples.all.iter().filter(|one| one.outcome.as_ref().err() == Some(&skip));
        let all: Vec<&str> =
            all.filter(|one| wants(one.wants_rocm)).map(|one| one.name.as_str()).collect();
        if !all.is_empty() {
            let message = format!("{why}: the runners of {} are not injected", names(all));
            check.add(code, message, &[]);
        }
    }
}

fn own_profiles(check: &mut Check, facts: &Facts, samples: &Samples) {
    let own = || samples.config.profiles.iter().filter(|one| one.origin != Origin::BuiltIn);
    let is_used =
        |profile: &Profile| samples.injected().any(|(_, one)| one.profile == profile.name);
    // A profile without match is extended or named.
    let unused = own().filter(|profile| profile.matcher.is_some() && !is_used(profile));
    let unused: Vec<&str> = unused.map(|profile| profile.name.as_str()).collect();
    if !unused.is_empty() && !samples.all.is_empty() {
        check.add(FindingCode::ProfileUnused, format!("no scale set uses {}", names(unused)), &[]);
    }
    for profile in own() {
        runtime_class(check, facts, profile);
    }
}

/// The admission plugin merges the nodeSelector of a RuntimeClass into the pod, and refuses two values
/// for one key (kubernetes `plugin/pkg/admission/runtimeclass`).
fn runtime_class(check: &mut Check, facts: &Facts, profile: &Profile) {
    let Ok(classes) = &facts.runtime_classes else { return };
    let template = profile.pod_template(profile.default_gpus());
    let Some(name) = template.pointer("/spec/runtimeClassName").and_then(Value::as_str) else {
        return;
    };
    let profile = &profile.name;
    let Some(class) = classes.iter().find(|class| class.name_any() == name) else {
        let message = format!("profile {profile}: there is no RuntimeClass {name}");
        return check.add(FindingCode::RuntimeClassMissing, message, &[]);
    };
    let selector = class.scheduling.iter().flat_map(|one| &one.node_selector).flatten();
    for (key, value) in selector {
        let own = template.pointer("/spec/nodeSelector").and_then(|all| all.get(key));
        if let Some(own) = own.and_then(Value::as_str).filter(|own| own != value) {
            let message = format!(
                "nodeSelector {key} is {own:?} in profile {profile} and {value:?} in its RuntimeClass {name}"
            );
            check.add(FindingCode::RuntimeClassConflict, message, &[("CLASS", name)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;
    use crate::doctor::testing::{
        codes, config_map, flags, healthy, profile, profile_object, scale_set,
    };

    fn with(change: impl FnOnce(&mut Facts)) -> Check {
        let mut facts = healthy();
        change(&mut facts);
        check(&facts, &Samples::of(&facts))
    }

    /// On a fresh install no profile is meant for a scale set without GPUs.
    #[test]
    fn plain_scale_set_needs_no_profile() {
        for own in [None, Some(profile("fleet", "linux.rocm.gpu.*.{gpus}"))] {
            let found = with(|facts| {
                facts.config_map = Ok(own.as_deref().map(config_map));
                let sets = facts.scale_sets.as_mut().unwrap();
                sets.extend(["linux-amd64", "windows-2022"].map(scale_set));
            });
            assert!(codes(&found).is_empty(), "{found:?}");
            assert!(found.summary.ends_with("for 1 of 3 scale sets"), "{found:?}");
        }
    }

    #[test]
    fn unmatched_rocm_scale_set_and_unused_profile_are_found() {
        let other =
            with(|facts| facts.config_map = Ok(Some(config_map(&profile("other", "other-*")))));
        assert_eq!(codes(&other), ["scale-set-without-profile", "profile-unused"]);
        let named = with(|facts| {
            let mut set = scale_set("named");
            set.spec["template"]["metadata"] =
                json!({"annotations": {"arc-rocm.dev/profile": "missing"}});
            facts.scale_sets.as_mut().unwrap().push(set);
        });
        assert_eq!(codes(&named), ["scale-set-unknown-profile"]);
    }

    #[test]
    fn broken_profiles_are_one_finding() {
        let broken = "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\n\
                      metadata: {name: x}\nspec: {gpus: 2}\n";
        let found = with(|facts| facts.config_map = Ok(Some(config_map(broken))));
        assert_eq!(codes(&found), ["profiles-broken"]);
    }

    #[test]
    fn objects_are_checked_by_status_and_watch() {
        let spec = json!({"extends": "rocm", "match": {"scaleSets": ["mi300-*"]}});
        let found = |accepted, args: &[&str]| {
            let found = with(|facts| {
                facts.profiles = Ok(vec![profile_object("mi300", &spec, Some(accepted))]);
                flags(facts, args);
            });
            codes(&found)
        };
        assert_eq!(found("True", &[]), ["profiles-unwatched"]);
        assert_eq!(found("True", &["--watch-profiles"]), ["profile-unused"]);
        assert_eq!(found("False", &["--watch-profiles"]), ["profile-rejected"]);
    }

    /// redhat-best-practices-for-k8s/certsuite#3716, kubermatic#10698: one key with two values is refused.
    #[test]
    fn runtime_class_must_exist_and_agree_with_the_profile() {
        let with = |class: &str, selector: Value| {
            let class = json!({"metadata": {"name": class}, "handler": "kata", "scheduling": {"nodeSelector": selector}});
            let own = profile("kata", "*")
                .replace("extends", "template: {spec: {runtimeClassName: kata-gpu}}, extends");
            with(|facts| {
                facts.config_map = Ok(Some(config_map(&own)));
                facts.runtime_classes = Ok(vec![from_value(class).unwrap()]);
            })
        };
        let conflict = with("kata-gpu", json!({"pytorch": "kata", "kata": "yes"}));
        assert_eq!(codes(&conflict), ["runtime-class-conflict"]);
        assert!(
            conflict.findings[0]
                .message
                .starts_with("nodeSelector pytorch is \"yes\" in profile kata and \"kata\""),
            "{conflict:?}"
        );
        for selector in [json!({"pytorch": "yes", "kata": "yes"}), json!({}), Value::Null] {
            assert!(codes(&with("kata-gpu", selector)).is_empty());
        }
        assert_eq!(codes(&with("gvisor", json!({}))), ["runtime-class-missing"]);
    }
}
