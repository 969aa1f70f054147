//! Namespaces whose Pod Security level refuses patched runners.

use super::names;
use crate::doctor::{
    Check, Facts, FindingCode, Unknown, gather::runner_namespaces, sample::Samples,
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
        // The webhook adds nothing privileged if it skips every scale set of the namespace.
        let skipped = here.peek().is_some() && here.all(|sample| sample.outcome.is_err());
        match level {
            "baseline" | "restricted" if !skipped => check.add(
                FindingCode::PodSecurity,
                format!(
                    "namespace {namespace} enforces Pod Security {level}: dind is privileged, so the API \
                     server refuses its runner pods with 403, and ARC marks each runner as Failed and does not \
                     retry"
                ),
                format!(
                    "run kubectl label --overwrite namespace {namespace} \
                     pod-security.kubernetes.io/enforce=privileged, then delete the failed \
                     EphemeralRunners"
                ),
            ),
            "" if levels.contains_key(namespace) => unlabelled.push(namespace),
            "" => check.unknown(&Unknown::Failed(format!("namespace {namespace} was not listed"))),
            _ => {}
        }
    }
    if check.findings.iter().any(|finding| finding.code == FindingCode::PodSecurity) {
        return check;
    }
    check.summary = if unlabelled.is_empty() {
        "every namespace with runners allows privileged pods".to_owned()
    } else {
        format!(
            "every labelled namespace with runners allows privileged pods; in {} the cluster's default \
             applies, which cannot be read",
            names(unlabelled)
        )
    };
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::testing::{codes, healthy, opted_out};

    fn with(level: &str, change: impl FnOnce(&mut Facts)) -> Check {
        let mut facts = healthy();
        let levels = facts.namespaces.as_mut().unwrap();
        levels.insert("arc-runners".to_owned(), level.to_owned());
        change(&mut facts);
        check(&facts, &Samples::of(&facts))
    }

    #[test]
    fn level_below_privileged_is_an_error_with_runners() {
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
    fn namespace_of_opted_out_scale_sets_may_be_restricted() {
        let found = with("restricted", |facts| {
            for set in &mut facts.scale_sets.as_mut().unwrap().as_mut().unwrap().items {
                opted_out(set);
            }
        });
        assert!(codes(&found).is_empty(), "{found:?}");
    }

    #[test]
    fn cluster_default_is_reported_as_unreadable() {
        let found = with("", |_| {});
        let default = "in arc-runners the cluster's default applies, which cannot be read";
        assert!(found.summary.contains(default), "{found:?}");
    }
}
