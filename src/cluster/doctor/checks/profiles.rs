//! The profiles: are they in force, and for whom.

use super::{count, names};
use crate::{
    cluster::doctor::{
        Check, Code, Facts,
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
            Code::ProfilesBroken,
            format!(
                "the profiles do not compile ({}); the first: {first}",
                count(samples.problems.len(), "problem")
            ),
            "arc-rocm profiles check FILES; running pods keep the last good ones, one that starts \
             now ends with exit code 2",
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
    // What the profiles are is not known, so neither is who gets which.
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
                Code::ProfileRejected,
                format!("RunnerProfile {} is not accepted: {why}", text(object, "/metadata/name")),
                "mend it: arc-rocm profiles check tells each problem with its place",
            );
        }
    }
    if !objects.items.is_empty() && !watched(facts) {
        check.add(
            Code::ProfilesUnwatched,
            format!(
                "{} in the cluster, and the webhook does not look at them",
                count(objects.items.len(), "RunnerProfile")
            ),
            "serve with --watch-profiles",
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
            Code::ScaleSetUnknownProfile,
            format!(
                "the annotation arc-rocm.dev/profile of {} names a profile that does not exist: \
                 their runners come up bare",
                names(unknown.iter().map(String::as_str))
            ),
            "add the profile, or mend the annotation",
        );
    }
    let without = of(&|sample| matches!(sample.outcome, Err(Skip::NoProfile)));
    if !without.is_empty() {
        check.add(
            Code::ScaleSetWithoutProfile,
            format!(
                "no profile matches {}: their runners come up bare",
                names(without.iter().map(String::as_str))
            ),
            "widen a profile's match.scaleSets, unless they are to be left alone",
        );
    }
    let built_in =
        of(&|sample| sample.outcome.as_ref().is_ok_and(super::super::sample::Chosen::is_built_in));
    if !built_in.is_empty() {
        check.add(
            Code::ScaleSetBuiltIn,
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
    // One without a match is there to be extended or named.
    let unused: Vec<&str> = samples
        .config
        .profiles
        .iter()
        .filter(|profile| profile.matcher.is_some() && !used.contains(&profile.name.as_str()))
        .map(|profile| profile.name.as_str())
        .collect();
    if !unused.is_empty() {
        check.add(
            Code::ProfileUnused,
            format!("no scale set gets {}", names(unused)),
            "arc-rocm explain --scale-set NAME says why a profile is not used",
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::doctor::testing::{codes, healthy, profile, scale_set};

    fn with(change: impl FnOnce(&mut Facts)) -> Vec<&'static str> {
        let mut facts = healthy();
        change(&mut facts);
        codes(&check(&facts, &Samples::of(&facts)))
    }

    fn file(text: &str) -> std::collections::BTreeMap<String, String> {
        [("fleet.yaml".to_owned(), text.to_owned())].into()
    }

    #[test]
    fn the_built_in_profile_is_mentioned_where_it_is_all_there_is() {
        assert_eq!(with(|facts| facts.config_map = Ok(None)), ["scale-set-built-in"]);
        assert!(with(|_| {}).is_empty());
    }

    #[test]
    fn what_matches_nothing_is_found_on_both_sides() {
        let other = profile("other", "other-*");
        assert_eq!(
            with(|facts| facts.config_map = Ok(Some(file(&other)))),
            ["scale-set-without-profile", "profile-unused"]
        );
        let named = |facts: &mut Facts| {
            let mut set = scale_set("named");
            set["spec"]["template"]["metadata"] =
                json!({"annotations": {"arc-rocm.dev/profile": "nobody"}});
            facts.scale_sets.as_mut().unwrap().as_mut().unwrap().items.push(set);
        };
        assert_eq!(with(named), ["scale-set-unknown-profile"]);
    }

    #[test]
    fn broken_profiles_are_one_finding_and_no_guesses() {
        let broken = "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\n\
                      metadata: {name: x}\nspec: {gpus: 2}\n";
        assert_eq!(with(|facts| facts.config_map = Ok(Some(file(broken)))), ["profiles-broken"]);
    }

    #[test]
    fn objects_are_judged_by_their_status_and_by_whether_they_are_watched() {
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
            Ok(Some(crate::cluster::doctor::Listed { items, cut: false }))
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
