//! Whether `--arc-controller-user` matches the service account of ARC's controller.

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use super::{installation, names};
use crate::{
    doctor::{Check, Facts, FindingCode, deployment, facts::full_name, gather::CONTROLLER_NAME},
    inject::{ControllerUsers, DEFAULT_CONTROLLER_USER},
};

/// The label with the namespace of ARC's service account.
const CONTROLLER_NAMESPACE: &str = "actions.github.com/controller-service-account-namespace";

pub(super) fn check(facts: &Facts) -> Check {
    let mut check = Check::new("controller");
    let (deployment, controllers) =
        (check.known(&facts.deployment), check.known(&facts.controllers));
    let (Some(Some(deployment)), Some(controllers)) = (deployment, controllers) else {
        return check;
    };
    let patterns = patterns(deployment);
    if controllers.is_empty() {
        check.add(
            FindingCode::ControllerMissing,
            "no Deployment has the labels of ARC's controller",
            &[],
        );
    }
    let strangers = strangers(facts);
    for controller in &strangers {
        let user = user(controller);
        let all: Vec<&str> = patterns.iter().copied().chain([user.as_str()]).collect();
        let [name, namespace] = installation(&facts.settings);
        check.add(
            FindingCode::ControllerUserMismatch,
            format!(
                "ARC's controller {} runs as {user}, and --arc-controller-user has {}: its runners are not \
                 injected",
                full_name(*controller),
                names(&patterns)
            ),
            &[name, namespace, ("USERS", &all.join(","))],
        );
    }
    if strangers.is_empty() && !controllers.is_empty() {
        check.summary =
            format!("--arc-controller-user matches {}", names(controllers.iter().map(user)));
    }
    check
}

/// ARC's controllers whose runners the webhook skips.
pub(super) fn strangers(facts: &Facts) -> Vec<&Deployment> {
    let Some(deployment) = facts.deployment() else { return Vec::new() };
    // The webhook does not start with a bad pattern.
    let Ok(users) = ControllerUsers::parse(patterns(deployment)) else { return Vec::new() };
    let controllers = facts.controllers.iter().flatten();
    controllers.filter(|controller| !users.contain(&user(controller))).collect()
}

fn patterns(deployment: &Deployment) -> Vec<&str> {
    match deployment::flag(deployment, "arc-controller-user") {
        patterns if patterns.is_empty() => vec![DEFAULT_CONTROLLER_USER],
        patterns => patterns,
    }
}

/// The user name of a controller at the API server.
fn user(controller: &Deployment) -> String {
    let label = |key: &str| controller.labels().get(key).cloned();
    let namespace = label(CONTROLLER_NAMESPACE).or_else(|| controller.namespace());
    let (namespace, name) =
        (namespace.unwrap_or_default(), label(CONTROLLER_NAME).unwrap_or_default());
    format!("system:serviceaccount:{namespace}:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::testing::{codes, controller, flags, healthy};

    fn with(args: &[&str], account: &str) -> Check {
        let mut facts = healthy();
        flags(&mut facts, args);
        facts.controllers = Ok(vec![controller(account)]);
        check(&facts)
    }

    #[test]
    fn controller_account_must_match_a_pattern() {
        let renamed = "system:serviceaccount:arc-systems:my-arc";
        assert!(codes(&with(&[], "arc-gha-rs-controller")).is_empty());
        assert!(codes(&with(&["--arc-controller-user", renamed], "my-arc")).is_empty());
        let found = with(&["--arc-controller-user=system:serviceaccount:a:b"], "my-arc");
        assert_eq!(codes(&found), ["controller-user-mismatch"]);
        assert!(
            found.findings[0].remedy.ends_with(&format!(
                "--set 'arcControllerUsers={{system:serviceaccount:a:b,{renamed}}}'"
            )),
            "{found:?}"
        );
    }

    #[test]
    fn missing_controller_is_info() {
        let facts = Facts { controllers: Ok(Vec::new()), ..healthy() };
        assert_eq!(codes(&check(&facts)), ["controller-missing"]);
    }
}
