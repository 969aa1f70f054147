//! The webhook's Deployment.

use k8s_openapi::api::apps::v1::Deployment;

use super::installation;
use crate::{
    VERSION,
    doctor::{Check, Facts, FindingCode, Settings, deployment},
};

pub(super) fn check(facts: &Facts) -> Check {
    let mut check = Check::new("serving");
    let url = facts.webhook().and_then(|webhook| webhook.client_config.url.as_ref());
    if let Some(url) = url {
        check.summary = format!("registered by URL, {url}: the webhook is not in the cluster");
        return check;
    }
    match check.known(&facts.deployment) {
        Some(Some(deployment)) => rollout(&mut check, facts, deployment),
        Some(None) => {
            let Settings { name, namespace } = &facts.settings;
            let message = format!("Deployment {name} does not exist in namespace {namespace}");
            check.add(FindingCode::DeploymentMissing, message, &[]);
        }
        None => {}
    }
    check
}

fn rollout(check: &mut Check, facts: &Facts, deployment: &Deployment) {
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    let ready = status.ready_replicas.unwrap_or_default();
    let updated = status.updated_replicas.unwrap_or_default();
    let names = installation(&facts.settings);
    let image = deployment::image(deployment).unwrap_or_default();
    check.summary =
        format!("{ready} of {wanted} pods ready, image {image}; this is arc-rocm {VERSION}");
    if ready == 0 {
        check.add(FindingCode::NoReadyPods, "no pod of the webhook is ready", &names);
    } else if ready < wanted || updated < wanted {
        let message =
            format!("of {wanted} pods, {ready} are ready and {updated} of the newest revision");
        check.add(FindingCode::RolloutIncomplete, message, &names);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::testing::{change, codes, healthy};

    fn with(change: impl FnOnce(&mut Facts)) -> Check {
        let mut facts = healthy();
        change(&mut facts);
        check(&facts)
    }

    #[test]
    fn deployment_needs_ready_pods_of_its_revision() {
        let status = |status| {
            let found = with(|facts| {
                change(facts.deployment.as_mut().unwrap(), |one| one["status"] = status);
            });
            codes(&found)
        };
        assert!(status(json!({"readyReplicas": 2, "updatedReplicas": 2})).is_empty());
        assert_eq!(status(json!({"updatedReplicas": 2})), ["no-ready-pods"]);
        for (ready, updated) in [(1, 2), (2, 1)] {
            let found = status(json!({"readyReplicas": ready, "updatedReplicas": updated}));
            assert_eq!(found, ["rollout-incomplete"]);
        }
        assert_eq!(codes(&with(|facts| facts.deployment = Ok(None))), ["deployment-missing"]);
    }
}
