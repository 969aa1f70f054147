//! Whether the profiles are in use, and for which scale sets.

use super::{count, names};
use crate::{
    doctor::{
        Check, Facts, FindingCode,
        facts::text,
        sample::{Sample, Samples, rejection, watched},
    },
    inject::Skip,
    profile::BUILTIN,
};

pub(super) fn check(facts: &Facts, samples: &Samples) -> Check {
    let mut check = Check::new("profiles");
    let unknown = [facts.profiles.as_ref().err(), facts.config_map.as_ref().err()];
    for unknown in unknown.into_iter().flatten() {
        check.unknown(unknown);
    }
    objects(&mut check, facts);
    if let Some(first) = samples.problems.first() {
        check.add(
            FindingCode::ProfilesBroken,
            format!(
                "the profiles do not compile ({}); first: {first}",
                count(samples.problems.len(), "problem")
            ),
            "run arc-rocm profiles check FILES; running pods keep the last good profiles, a starting pod \
             exits with code 2",
        );
    }
    if let Err(unknown) = &facts.scale_sets {
        check.unknown(unknown);
    }
    check.summary = format!(
        "{} for {}",
        count(samples.config.profiles.len(), "profile"),
        count(samples.all.len(), "scale set")
    );
    // With unknown profiles the choice for each scale set is unknown too.
    if samples.known {
        scale_sets(&mut check, samples);
        unused(&mut check, samples);
    }
    check
}

fn objects(check: &mut Check, facts: &Facts) {
    let Ok(Some(objects)) = &facts.profiles else { return };
    check.cut(objects.cut, "RunnerProfiles");
    for object in &objects.items {
        if let Some(why) = rejection(object) {
            check.add(
                FindingCode::ProfileRejected,
                format!("RunnerProfile {} is not accepted: {why}", text(object, "/metadata/name")),
                "correct it: arc-rocm profiles check shows each problem with its place",
            );
        }
    }
    if !objects.items.is_empty() && !watched(facts) {
        check.add(
            FindingCode::ProfilesUnwatched,
            format!(
                "{} in the cluster, and the webhook does not watch them",
                count(objects.items.len(), "RunnerProfile")
            ),
            "run serve with --watch-profiles",
        );
    }
}

fn scale_sets(check: &mut Check, samples: &Samples) {
    let of = |wanted: &dyn Fn(&Sample) -> bool| {
        let full = |sample: &Sample| format!("{}/{}", sample.namespace, sample.name);
        samples.all.iter().filter(|sample| wanted(sample)).map(full).collect::<Vec<_>>()
    };
    let unknown = of(&|sample| matches!(sample.outcome, Err(Skip::UnknownProfile)));
    if !unknown.is_empty() {
        check.add(
            FindingCode::ScaleSetUnknownProfile,
            format!(
                "the annotation arc-rocm.dev/profile of {} names a profile that does not exist: their \
                 runners are not injected",
                names(unknown.iter().map(String::as_str))
            ),
            "add the profile, or correct the annotation",
        );
    }
    let without = of(&|sample| matches!(sample.outcome, Err(Skip::NoProfile)));
    if !without.is_empty() {
        check.add(
            FindingCode::ScaleSetWithoutProfile,
            format!(
                "no profile matches {}: their runners are not injected",
                names(without.iter().map(String::as_str))
            ),
            "add them to a profile's match.scaleSets; nothing to do if they need no ROCm",
        );
    }
    let built_in = of(&|sample| {
        sample.outcome.as_ref().is_ok_and(super::super::sample::Resolved::is_built_in)
    });
    if !built_in.is_empty() {
        check.add(
            FindingCode::ScaleSetBuiltIn,
            format!(
                "{} get the built-in profile {BUILTIN}",
                names(built_in.iter().map(String::as_str))
            ),
            "",
        );
    }
}

fn unused(check: &mut Check, samples: &Samples) {
    if samples.all.is_empty() {
        return;
    }
    let used: Vec<&str> = samples
        .all
        .iter()
        .filter_map(|sample| sample.outcome.as_ref().ok())
        .map(|chosen| chosen.profile.as_str())
        .collect();
    // A profile without match is extended or named.
    let unused: Vec<&str> = samples
        .config
        .profiles
        .iter()
        .filter(|profile| profile.matcher.is_some() && !used.contains(&profile.name.as_str()))
        .map(|profile| profile.name.as_str())
        .collect();
    if !unused.is_empty() {
        check.add(
            FindingCode::ProfileUnused,
            format!("no scale set uses {}", names(unused)),
            "run arc-rocm explain --scale-set NAME to see why",
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::testing::{codes, healthy, profile, scale_set};

    fn with(change: impl FnOnce(&mut Facts)) -> Vec<&'static str> {
        let mut facts = healthy();
        change(&mut facts);
        codes(&check(&facts, &Samples::of(&facts)))
    }

    fn file(text: &str) -> std::collections::BTreeMap<String, String> {
        [("fleet.yaml".to_owned(), text.to_owned())].into()
    }

    #[test]
    fn built_in_profile_alone_is_info() {
        assert_eq!(with(|facts| facts.config_map = Ok(None)), ["scale-set-built-in"]);
        assert!(with(|_| {}).is_empty());
    }

    #[test]
    fn unmatched_scale_set_and_unused_profile_are_found() {
        let other = profile("other", "other-*");
        assert_eq!(
            with(|facts| facts.config_map = Ok(Some(file(&other)))),
            ["scale-set-without-profile", "profile-unused"]
        );
        let named = |facts: &mut Facts| {
            let mut set = scale_set("named");
            set["spec"]["template"]["metadata"] =
                json!({"annotations": {"arc-rocm.dev/profile": "missing"}});
            facts.scale_sets.as_mut().unwrap().as_mut().unwrap().items.push(set);
        };
        assert_eq!(with(named), ["scale-set-unknown-profile"]);
    }

    #[test]
    fn broken_profiles_are_one_finding() {
        let broken = "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\n\
                      metadata: {name: x}\nspec: {gpus: 2}\n";
        assert_eq!(with(|facts| facts.config_map = Ok(Some(file(broken)))), ["profiles-broken"]);
    }

    #[test]
    fn objects_are_checked_by_status_and_watch() {
        let object = |status: &str| {
            json!({
                "apiVersion": "arc-rocm.dev/v1alpha1",
                "kind": "RunnerProfile",
                "metadata": {"name": "mi300", "uid": "x"},
                "spec": {"extends": "rocm", "match": {"scaleSets": ["mi300-*"]}},
                "status": {"conditions": [
                    {"type": "Accepted", "status": status, "message": "spec.x: no such field"},
                ]},
            })
        };
        let list = |status: &str| {
            let items = vec![object(status)];
            Ok(Some(crate::doctor::Listed { items, cut: false }))
        };
        assert_eq!(
            with(|facts| facts.profiles = list("False")),
            ["profile-rejected", "profiles-unwatched"]
        );
        let watched = |facts: &mut Facts| {
            facts.profiles = list("True");
            let deployment = facts.deployment.as_mut().unwrap().as_mut().unwrap();
            let args = deployment.pointer_mut("/spec/template/spec/containers/0/args").unwrap();
            args.as_array_mut().unwrap().push(json!("--watch-profiles"));
        };
        assert_eq!(with(watched), ["profile-unused"]);
    }
}
