//! The webhook's Service, endpoints, Deployment and pods.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{count, names};
use crate::{
    VERSION,
    doctor::{
        Check, Facts, FindingCode,
        facts::{list, text},
        gather::our_webhook,
    },
};

/// Restarts of one pod that are worth a finding.
const RESTARTS: u64 = 3;

pub(super) fn check(facts: &Facts) -> Check {
    let mut check = Check::new("serving");
    let webhook = facts.registration.iter().flatten().find_map(our_webhook);
    let url = webhook.map(|webhook| text(webhook, "/clientConfig/url")).unwrap_or_default();
    if !url.is_empty() {
        check.summary = format!("registered by URL, {url}: the webhook is not in the cluster");
        return check;
    }
    if webhook.is_some() {
        endpoints(&mut check, facts, webhook);
    }
    match &facts.deployment {
        Ok(Some(deployment)) => pods(&mut check, facts, deployment),
        Ok(None) => check.add(
            FindingCode::DeploymentMissing,
            format!(
                "Deployment {} does not exist in namespace {}",
                facts.settings.name, facts.settings.namespace
            ),
            "run doctor with the --name and --namespace of the installation, or apply the output of \
             arc-rocm manifests",
        ),
        Err(unknown) => check.unknown(unknown),
    }
    check
}

fn endpoints(check: &mut Check, facts: &Facts, webhook: Option<&Value>) {
    let of = |field: &str| {
        let pointer = format!("/clientConfig/service/{field}");
        webhook.map(|webhook| text(webhook, &pointer)).unwrap_or_default()
    };
    let service = format!("{}/{}", of("namespace"), of("name"));
    match &facts.service {
        Ok(true) => {}
        Ok(false) => {
            check.add(
                FindingCode::ServiceMissing,
                format!("the registered Service {service} does not exist"),
                "apply the output of arc-rocm manifests",
            );
            return;
        }
        Err(unknown) => check.unknown(unknown),
    }
    let slices = match &facts.slices {
        Ok(slices) => slices,
        Err(unknown) => return check.unknown(unknown),
    };
    let ready = slices
        .items
        .iter()
        .flat_map(|slice| list(slice, "/endpoints"))
        // An endpoint without the condition counts as ready (EndpointConditions).
        .filter(|endpoint| endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false)))
        .count();
    check.summary = format!("{} ready behind {service}", count(ready, "pod"));
    if ready == 0 {
        let ignores = webhook.is_some_and(|webhook| text(webhook, "/failurePolicy") == "Ignore");
        let effect = if ignores {
            "until then runners are not injected"
        } else {
            "until then no runner pod is created"
        };
        check.add(
            FindingCode::NoReadyEndpoints,
            format!("no pod behind Service {service} is ready: {effect}"),
            format!(
                "run kubectl --namespace {} get pods; /readyz and the log have the reason",
                of("namespace")
            ),
        );
    }
}

fn pods(check: &mut Check, facts: &Facts, deployment: &Value) {
    let number = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_u64);
    let wanted = number("/spec/replicas").unwrap_or(1);
    let ready = number("/status/readyReplicas").unwrap_or_default();
    if ready < wanted && ready > 0 {
        check.add(
            FindingCode::ReplicasNotReady,
            format!("{ready} of {wanted} pods are ready"),
            "run kubectl describe on the others; without any ready pod runners wait",
        );
    }
    let pods = match &facts.pods {
        Ok(pods) => &pods.items,
        Err(unknown) => return check.unknown(unknown),
    };
    let images: BTreeSet<&str> = pods.iter().map(|pod| pod.image.as_str()).collect();
    if images.len() > 1 {
        check.add(
            FindingCode::ImagesDiffer,
            format!("the pods run different images: {}", names(images.iter().copied())),
            "a rollout is in progress or stuck: run kubectl rollout status",
        );
    }
    for pod in pods.iter().filter(|pod| pod.restarts >= RESTARTS) {
        let end = match pod.last_end.as_str() {
            "" => String::new(),
            end => format!(", the last time because of {end}"),
        };
        check.add(
            FindingCode::Restarts,
            format!("{} restarted {} times{end}", pod.name, pod.restarts),
            format!("run kubectl logs --previous {}", pod.name),
        );
    }
    if let [image] = images.iter().copied().collect::<Vec<_>>().as_slice() {
        check.summary = format!("{}, image {image}; this is arc-rocm {VERSION}", check.summary);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::{
        Unknown,
        testing::{codes, healthy},
    };

    fn with(change: impl FnOnce(&mut Facts)) -> Vec<&'static str> {
        let mut facts = healthy();
        change(&mut facts);
        codes(&check(&facts))
    }

    #[test]
    fn service_without_ready_endpoints_is_an_error() {
        assert!(with(|_| {}).is_empty());
        assert_eq!(with(|facts| facts.service = Ok(false)), ["service-missing"]);
        let unready = |facts: &mut Facts| {
            facts.slices.as_mut().unwrap().items[0]["endpoints"] =
                json!([{"conditions": {"ready": false}}]);
        };
        assert_eq!(with(unready), ["no-ready-endpoints"]);
        assert_eq!(with(|facts| facts.deployment = Ok(None)), ["deployment-missing"]);
    }

    #[test]
    fn differing_or_restarting_pods_are_found() {
        let replicas = |facts: &mut Facts| {
            let deployment = facts.deployment.as_mut().unwrap().as_mut().unwrap();
            deployment["status"]["readyReplicas"] = json!(1);
        };
        assert_eq!(with(replicas), ["replicas-not-ready"]);
        let image =
            |facts: &mut Facts| facts.pods.as_mut().unwrap().items[0].image = "x:1".to_owned();
        assert_eq!(with(image), ["images-differ"]);
        let restarts = |number: u64| {
            move |facts: &mut Facts| facts.pods.as_mut().unwrap().items[0].restarts = number
        };
        assert!(with(restarts(2)).is_empty());
        assert_eq!(with(restarts(3)), ["restarts"]);
    }

    #[test]
    fn missing_permission_is_unknown_and_nothing_else() {
        let blind = |facts: &mut Facts| {
            facts.pods = Err(Unknown::Forbidden("list pods".to_owned()));
            facts.service = Ok(false);
        };
        assert_eq!(with(blind), ["service-missing", "unknown"]);
    }
}
