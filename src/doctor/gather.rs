//! Gathers the facts, all requests in parallel. A missing permission makes one fact unknown and no
//! other.

use std::collections::{BTreeMap, BTreeSet};

use kube::Client;
use serde_json::Value;

use super::{
    call::{cut, encoded, get, list},
    deployment, dry_run,
    facts::{
        Controller, Facts, FailedRunner, Known, Listed, Node, Settings, Unknown, WebhookPod, found,
        full_name, list as members, text, texts,
    },
    names::{NAMESPACE_LABEL, WEBHOOK},
};
use crate::{annotations::STATUS, podspec::RUNNER_LABEL};

const REGISTRATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const PROFILES: &str = "/apis/arc-rocm.dev/v1alpha1/runnerprofiles";
const ARC: &str = "/apis/actions.github.com/v1alpha1";
/// The labels by which ARC's charts find their own controller (`gha-runner-scale-set`,
/// `_helpers.tpl`).
const CONTROLLER_NAMESPACE: &str = "actions.github.com/controller-service-account-namespace";
const CONTROLLER_NAME: &str = "actions.github.com/controller-service-account-name";
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
/// The namespace of the dry run without a scale set.
const DEFAULT_NAMESPACE: &str = "default";

/// Gathers all facts. Fails if the API server is not reachable.
pub(super) async fn facts(client: &Client, settings: Settings, now: i64) -> Known<Facts> {
    let version = get(client, "/version", "get /version").await;
    if let Err(Unknown::Failed(message)) = version {
        return Err(Unknown::Failed(message));
    }
    let version = version
        .map(|version| version.as_ref().map(|v| text(v, "/gitVersion").to_owned()))
        .map(Option::unwrap_or_default);

    let Settings { name, namespace } = &settings;
    let path = format!("{REGISTRATIONS}/{name}");
    let registration =
        get(client, &path, "get mutatingwebhookconfigurations.admissionregistration.k8s.io").await;
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
    let needs = format!("get deployments.apps in namespace {namespace}");
    let deployment = get(client, &path, &needs).await;
    let known = found(&deployment);
    let (scale_sets, runners) = tokio::join!(scale_sets(client), runners(client));
    let known_webhook = found(&registration).and_then(our_webhook);
    let excluded = known_webhook.map(excluded).unwrap_or_default();
    let tried = namespace_to_try(&scale_sets, &runners, &excluded);

    let (
        other_registrations,
        (service, slices),
        pods,
        certificate,
        config_map,
        failed,
        namespaces,
        controllers,
        nodes,
        profiles,
        dry_run,
    ) = tokio::join!(
        other_registrations(client, &settings, &registration),
        service(client, found(&registration)),
        pods(client, namespace, known),
        certificate(client, namespace, known),
        config_map(client, namespace, known),
        failed(client),
        namespaces(client),
        controllers(client),
        nodes(client),
        list(client, PROFILES, "list runnerprofiles.arc-rocm.dev", Some),
        dry_run::run(client, &tried),
    );
    Ok(Facts {
        settings,
        now,
        version,
        registration,
        other_registrations,
        service,
        deployment,
        slices,
        pods,
        dry_run,
        certificate,
        scale_sets,
        failed,
        runners,
        namespaces,
        controllers,
        nodes,
        profiles,
        config_map,
    })
}

/// A namespace that has runners and that the registration does not exclude.
fn namespace_to_try(
    scale_sets: &Known<Option<Listed<Value>>>,
    runners: &Known<Listed<Value>>,
    excluded: &[&str],
) -> String {
    let sets = scale_sets.iter().flatten().flat_map(|listed| &listed.items);
    let pods = runners.iter().flat_map(|listed| &listed.items);
    let mut all = sets.chain(pods).map(|object| text(object, "/metadata/namespace"));
    all.find(|namespace| !excluded.contains(namespace)).unwrap_or(DEFAULT_NAMESPACE).to_owned()
}

/// Other configurations that register the webhook, if the expected one does not exist.
async fn other_registrations(
    client: &Client,
    settings: &Settings,
    registration: &Known<Option<Value>>,
) -> Vec<String> {
    if !matches!(registration, Ok(None)) {
        return Vec::new();
    }
    let our_webhook = |object: Value| {
        let name = text(&object, "/metadata/name");
        let has = members(&object, "/webhooks").any(|webhook| text(webhook, "/name") == WEBHOOK);
        (has && name != settings.name).then(|| name.to_owned())
    };
    let all = list(client, REGISTRATIONS, "", our_webhook).await;
    all.ok().flatten().map(|listed| listed.items).unwrap_or_default()
}

/// Whether the registered Service exists, and its `EndpointSlice`s.
async fn service(
    client: &Client,
    registration: Option<&Value>,
) -> (Known<bool>, Known<Listed<Value>>) {
    let webhook = registration.and_then(our_webhook);
    let service = webhook.and_then(|webhook| webhook.pointer("/clientConfig/service"));
    let Some(service) = service else { return (Ok(true), Ok(Listed::default())) };
    let (namespace, name) = (text(service, "/namespace"), text(service, "/name"));
    let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
    let needs = format!("get services in namespace {namespace}");
    let found = get(client, &path, &needs).await;
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector={}",
        encoded(&format!("kubernetes.io/service-name={name}"))
    );
    let needs = format!("list endpointslices.discovery.k8s.io in namespace {namespace}");
    let slices = list(client, &path, &needs, Some).await;
    (found.map(|found| found.is_some()), slices.map(Option::unwrap_or_default))
}

/// The namespaces that the registration excludes by name.
pub(super) fn excluded(webhook: &Value) -> Vec<&str> {
    members(webhook, "/namespaceSelector/matchExpressions")
        .filter(|expression| {
            text(expression, "/key") == NAMESPACE_LABEL && text(expression, "/operator") == "NotIn"
        })
        .flat_map(|expression| members(expression, "/values"))
        .filter_map(Value::as_str)
        .collect()
}

/// The webhook in a registration.
pub(super) fn our_webhook(registration: &Value) -> Option<&Value> {
    members(registration, "/webhooks").find(|webhook| text(webhook, "/name") == WEBHOOK)
}

async fn pods(
    client: &Client,
    namespace: &str,
    deployment: Option<&Value>,
) -> Known<Listed<WebhookPod>> {
    let Some(deployment) = deployment else { return Ok(Listed::default()) };
    let labels = texts(deployment, "/spec/selector/matchLabels");
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let path =
        format!("/api/v1/namespaces/{namespace}/pods?labelSelector={}", encoded(&labels.join(",")));
    let needs = format!("list pods in namespace {namespace}");
    Ok(list(client, &path, &needs, |pod| Some(webhook_pod(&pod))).await?.unwrap_or_default())
}

fn webhook_pod(pod: &Value) -> WebhookPod {
    let mut restarts = 0;
    let mut last_end = String::new();
    for status in members(pod, "/status/containerStatuses") {
        restarts += status.pointer("/restartCount").and_then(Value::as_u64).unwrap_or_default();
        let reason = text(status, "/lastState/terminated/reason");
        if !reason.is_empty() {
            reason.clone_into(&mut last_end);
        }
    }
    let image = text(pod, "/spec/containers/0/image").to_owned();
    WebhookPod { name: text(pod, "/metadata/name").to_owned(), image, restarts, last_end }
}

/// The certificate chain. The key beside it is dropped at once.
async fn certificate(
    client: &Client,
    namespace: &str,
    deployment: Option<&Value>,
) -> Known<Option<String>> {
    let name = deployment::secret(deployment);
    let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
    let needs = format!("get secrets {name} in namespace {namespace}");
    let secret = get(client, &path, &needs).await?;
    Ok(secret.map(|secret| {
        let chain = text(&secret, "/data/tls.crt").as_bytes();
        let chain = base64_simd::STANDARD.decode_to_vec(chain).unwrap_or_default();
        String::from_utf8_lossy(&chain).into_owned()
    }))
}

async fn config_map(
    client: &Client,
    namespace: &str,
    deployment: Option<&Value>,
) -> Known<Option<BTreeMap<String, String>>> {
    let name = deployment::config_map(deployment);
    let path = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
    let needs = format!("get configmaps {name} in namespace {namespace}");
    Ok(get(client, &path, &needs).await?.map(|object| texts(&object, "/data")))
}

async fn scale_sets(client: &Client) -> Known<Option<Listed<Value>>> {
    let path = format!("{ARC}/autoscalingrunnersets");
    list(client, &path, "list autoscalingrunnersets.actions.github.com", Some).await
}

/// Runner pods that have not ended and are not being deleted.
async fn runners(client: &Client) -> Known<Listed<Value>> {
    let path = format!("/api/v1/pods?labelSelector={}", encoded(&format!("{RUNNER_LABEL}=True")));
    let lives = |pod: Value| {
        let ended = matches!(text(&pod, "/status/phase"), "Succeeded" | "Failed");
        let going = pod.pointer("/metadata/deletionTimestamp").is_some();
        (!ended && !going).then(|| slim(pod))
    };
    Ok(list(client, &path, "list pods", lives).await?.unwrap_or_default())
}

/// Removes what no check reads: there may be thousands of pods.
fn slim(mut pod: Value) -> Value {
    let patched = texts(&pod, "/metadata/annotations").contains_key(STATUS);
    if let Value::Object(members) = &mut pod {
        members.remove("status");
        if let Some(Value::Object(metadata)) = members.get_mut("metadata") {
            metadata.remove("managedFields");
        }
        // A patched pod stands for its scale set if there is no AutoscalingRunnerSet.
        if let (true, Some(Value::Object(spec))) = (patched, members.get_mut("spec")) {
            spec.retain(|field, _| field == "containers" || field == "nodeSelector");
        }
    }
    pod
}

async fn failed(client: &Client) -> Known<Option<Listed<FailedRunner>>> {
    let path = format!("{ARC}/ephemeralrunners");
    let failed = |runner: Value| {
        (text(&runner, "/status/phase") == "Failed").then(|| FailedRunner {
            namespace: text(&runner, "/metadata/namespace").to_owned(),
            name: text(&runner, "/metadata/name").to_owned(),
            reason: text(&runner, "/status/reason").to_owned(),
            message: cut(text(&runner, "/status/message")),
        })
    };
    list(client, &path, "list ephemeralrunners.actions.github.com", failed).await
}

async fn namespaces(client: &Client) -> Known<BTreeMap<String, String>> {
    let level = |namespace: Value| {
        let labels = texts(&namespace, "/metadata/labels");
        let level = labels.get(ENFORCE).cloned().unwrap_or_default();
        Some((text(&namespace, "/metadata/name").to_owned(), level))
    };
    let all = list(client, "/api/v1/namespaces", "list namespaces", level).await?;
    Ok(all.unwrap_or_default().items.into_iter().collect())
}

async fn controllers(client: &Client) -> Known<Listed<Controller>> {
    let path = format!("/apis/apps/v1/deployments?labelSelector={}", encoded(CONTROLLER_NAME));
    let controller = |deployment: Value| {
        let labels = texts(&deployment, "/metadata/labels");
        let own = text(&deployment, "/metadata/namespace");
        let namespace = labels.get(CONTROLLER_NAMESPACE).map_or(own, String::as_str);
        let name = labels.get(CONTROLLER_NAME)?;
        Some(Controller {
            deployment: full_name(&deployment),
            user: format!("system:serviceaccount:{namespace}:{name}"),
        })
    };
    let all = list(client, &path, "list deployments.apps", controller).await?;
    Ok(all.unwrap_or_default())
}

async fn nodes(client: &Client) -> Known<Listed<Node>> {
    let node = |node: Value| {
        let allocatable = texts(&node, "/status/allocatable");
        Some(Node {
            labels: texts(&node, "/metadata/labels"),
            allocatable: allocatable
                .into_iter()
                .filter_map(|(resource, amount)| Some((resource, amount.parse().ok()?)))
                .collect(),
        })
    };
    Ok(list(client, "/api/v1/nodes", "list nodes", node).await?.unwrap_or_default())
}

/// The namespaces with runners, as far as known.
pub(super) fn runner_namespaces(facts: &Facts) -> BTreeSet<&str> {
    let sets = facts.scale_sets.iter().flatten().flat_map(|listed| &listed.items);
    let pods = facts.runners.iter().flat_map(|listed| &listed.items);
    let objects = sets.chain(pods).map(|object| text(object, "/metadata/namespace"));
    let failed = facts.failed.iter().flatten().flat_map(|listed| &listed.items);
    objects.chain(failed.map(|runner| runner.namespace.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dry_run_is_in_a_namespace_with_runners() {
        let set = |namespace: &str| json!({"metadata": {"namespace": namespace}});
        let sets = |items: Vec<Value>| Ok(Some(Listed { items, cut: false }));
        let none = || Ok(Listed::default());
        let both = sets(vec![set("infra"), set("arc-runners")]);
        assert_eq!(namespace_to_try(&both, &none(), &["infra"]), "arc-runners");
        assert_eq!(namespace_to_try(&Ok(None), &none(), &[]), "default");
        let pods = Ok(Listed { items: vec![set("by-pod")], cut: false });
        assert_eq!(namespace_to_try(&Ok(None), &pods, &[]), "by-pod");
    }

    #[test]
    fn pod_is_slimmed_to_what_checks_read() {
        let pod = |annotations: Value| {
            json!({
                "metadata": {"name": "x", "managedFields": [{}], "annotations": annotations},
                "spec": {"containers": [], "nodeSelector": {}, "volumes": [{}]},
                "status": {"phase": "Running"},
            })
        };
        let bare = slim(pod(json!({})));
        assert_eq!(bare["spec"], pod(json!({}))["spec"]);
        assert_eq!(
            (&bare["status"], &bare["metadata"]["managedFields"]),
            (&Value::Null, &Value::Null)
        );
        let patched = slim(pod(json!({"arc-rocm.dev/status": "{}"})));
        assert_eq!(patched["spec"], json!({"containers": [], "nodeSelector": {}}));
    }

    #[test]
    fn last_end_of_webhook_pod_is_read() {
        let pod = json!({
            "metadata": {"name": "arc-rocm-x"},
            "spec": {"containers": [{"image": "i:1"}]},
            "status": {"containerStatuses": [{
                "restartCount": 4,
                "lastState": {"terminated": {"reason": "OOMKilled"}},
            }]},
        });
        let WebhookPod { name, image, restarts, last_end } = webhook_pod(&pod);
        assert_eq!((name.as_str(), image.as_str()), ("arc-rocm-x", "i:1"));
        assert_eq!((restarts, last_end.as_str()), (4, "OOMKilled"));
    }
}
