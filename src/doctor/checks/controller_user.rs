//! Whether `--arc-controller-user` matches the service account of ARC's controller.

use super::names;
use crate::{
    doctor::{Check, Facts, FindingCode, Unknown, deployment},
    inject::{ControllerUsers, DEFAULT_CONTROLLER_USER},
};

pub(super) fn check(facts: &Facts) -> Check {
    let mut check = Check::new("controller");
    let deployment = match &facts.deployment {
        Ok(deployment) => deployment.as_ref(),
        Err(unknown) => {
            check.unknown(unknown);
            return check;
        }
    };
    let controllers = match &facts.controllers {
        Ok(controllers) => controllers,
        Err(unknown) => {
            check.unknown(unknown);
            return check;
        }
    };
    let mut patterns =
        deployment.map(|d| deployment::flag(d, "arc-controller-user")).unwrap_or_default();
    if deployment.is_none() {
        "the webhook's Deployment does not exist".clone_into(&mut check.summary);
        return check;
    }
    if patterns.is_empty() {
        patterns.push(DEFAULT_CONTROLLER_USER);
    }
    let users = match ControllerUsers::parse(patterns.iter().copied()) {
        Ok(users) => users,
        Err(error) => {
            check.unknown(&Unknown::Failed(format!("--arc-controller-user: {error}")));
            return check;
        }
    };
    check.cut(controllers.cut, "Deployments of ARC");
    if controllers.items.is_empty() {
        check.add(
            FindingCode::ControllerMissing,
            "no Deployment has the labels of ARC's controller",
            "install ARC; if it is installed with other labels, compare its service account with \
             --arc-controller-user",
        );
    }
    for controller in &controllers.items {
        if !users.contain(&controller.user) {
            check.add(
                FindingCode::ControllerUserMismatch,
                format!(
                    "ARC's controller {} runs as {}, and --arc-controller-user has {}: its runners are not injected",
                    controller.deployment,
                    controller.user,
                    names(patterns.iter().copied())
                ),
                format!("add it: arc-rocm manifests --arc-controller-user {} ...", controller.user),
            );
        }
    }
    let known = controllers.items.iter().map(|controller| controller.user.as_str());
    if check.findings.is_empty() {
        check.summary = format!("--arc-controller-user matches {}", names(known));
    }
    check
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::testing::{codes, healthy};

    fn with(args: &[&str], user: &str) -> Vec<&'static str> {
        let mut facts = healthy();
        let deployment = facts.deployment.as_mut().unwrap().as_mut().unwrap();
        let more = deployment.pointer_mut("/spec/template/spec/containers/0/args").unwrap();
        more.as_array_mut().unwrap().extend(args.iter().map(|arg| json!(arg)));
        facts.controllers.as_mut().unwrap().items[0].user = user.to_owned();
        codes(&check(&facts))
    }

    #[test]
    fn controller_account_must_match_a_pattern() {
        let usual = "system:serviceaccount:arc-systems:arc-gha-rs-controller";
        let renamed = "system:serviceaccount:arc-systems:my-arc";
        assert!(with(&[], usual).is_empty());
        assert_eq!(with(&[], renamed), ["controller-user-mismatch"]);
        assert!(with(&["--arc-controller-user", renamed], renamed).is_empty());
        assert_eq!(
            with(&["--arc-controller-user=system:serviceaccount:a:b"], usual),
            ["controller-user-mismatch"]
        );
    }

    #[test]
    fn missing_controller_is_info() {
        let mut facts = healthy();
        facts.controllers.as_mut().unwrap().items.clear();
        assert_eq!(codes(&check(&facts)), ["controller-missing"]);
    }
}
