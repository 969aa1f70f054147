//! Namespaces that refuse what a patched runner needs.

use super::names;
use crate::cluster::doctor::{
    Check, Code, Facts, Unknown, gather::runner_namespaces, sample::Samples,
};

pub(super) fn check(facts: &Facts, samples: &Samples) -> Check {
    let mut check = Check::new("pod-security");
    let levels = match &facts.namespaces {
        Ok(levels) => levels,
        Err(unknown) => {
            check.unknown(unknown);
            return check;
        }
    };
    if let Err(unknown) = &facts.scale_sets {
        check.unknown(unknown);
    }
    let mut unlabelled = Vec::new();
    for namespace in runner_namespaces(facts) {
        let level = levels.get(namespace).map(String::as_str).unwrap_or_default();
        let mut here = samples.all.iter().filter(|sample| sample.namespace == namespace).peekable();
        // A namespace whose scale sets are all left alone gets nothing privileged from us.
        let spared = here.peek().is_some() && here.all(|sample| sample.outcome.is_err());
        match level {
            "baseline" | "restricted" if !spared => check.add(
                Code::PodSecurity,
                format!(
                    "namespace {namespace} enforces Pod Security {level}: the API server refuses \
                     its runner pods with 403, because dind is privileged, and ARC marks each \
                     runner as Failed for ever"
                ),
                format!(
                    "kubectl label --overwrite namespace {namespace} \
                     pod-security.kubernetes.io/enforce=privileged, then delete the failed \
                     EphemeralRunners"
                ),
            ),
            "" if levels.contains_key(namespace) => unlabelled.push(namespace),
            "" => check.unknown(&Unknown::Failed(format!("namespace {namespace} was not listed"))),
            _ => {}
        }
    }
    if check.findings.iter().any(|finding| finding.code == Code::PodSecurity) {
        return check;
    }
    check.summary = if unlabelled.is_empty() {
        "no namespace with runners enforces less than privileged".to_owned()
    } else {
        format!(
            "no namespace with runners enforces less than privileged by label; the cluster's \
             default, which cannot be read, holds in {}",
            names(unlabelled)
        )
    };
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::doctor::testing::{codes, healthy, opted_out};

    fn with(level: &str, change: impl FnOnce(&mut Facts)) -> Check {
        let mut facts = healthy();
        let levels = facts.namespaces.as_mut().unwrap();
        levels.insert("arc-runners".to_owned(), level.to_owned());
        change(&mut facts);
        check(&facts, &Samples::of(&facts))
    }

    #[test]
    fn a_level_below_privileged_is_an_error_where_runners_are() {
        for level in ["baseline", "restricted"] {
            assert_eq!(codes(&with(level, |_| {})), ["pod-security"]);
        }
        for level in ["privileged", ""] {
            assert!(codes(&with(level, |_| {})).is_empty());
        }
        let found = with("privileged", |facts| {
            facts.namespaces.as_mut().unwrap().insert("web".to_owned(), "restricted".to_owned());
        });
        assert!(codes(&found).is_empty());
    }

    #[test]
    fn a_namespace_whose_scale_sets_opted_out_may_be_restricted() {
        let found = with("restricted", |facts| {
            for set in &mut facts.scale_sets.as_mut().unwrap().as_mut().unwrap().items {
                opted_out(set);
            }
        });
        assert!(codes(&found).is_empty(), "{found:?}");
    }

    #[test]
    fn the_clusters_default_is_not_taken_for_known() {
        let found = with("", |_| {});
        assert!(found.summary.contains("default, which cannot be read, holds in arc-runners"));
    }
}
