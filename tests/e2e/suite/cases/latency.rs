//! What we cost, by the API server's own metrics, beside a policy that runs inside of it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use crate::{
    arc::{access, kinds::Kind, scale_set::ScaleSet},
    case::{Case, case},
    cluster::{Cluster, pods},
    metrics::{Histogram, WEBHOOK_CALLS, metrics},
    probe::{self, STATUS},
    report::Sample,
    scene::Scene,
    wait::{Look, until},
};

/// Pods created, in batches that are deleted again.
const PODS: u16 = 500;
const BATCH: usize = 250;
/// Creations under way at a time: ARC's controller has 2 by default, per scale set controller.
const AT_ONCE: usize = 2;
const SOON: Duration = Duration::from_mins(1);

/// What the policy sets, and how it is known to.
const LABEL: &str = "e2e-policy";
const GROUP: &str = "/apis/admissionregistration.k8s.io";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("figures-admission-latency", latency).alone().within(Duration::from_mins(10)),
        case("one-call-per-runner", one_call).alone(),
    ]
}

/// The API server calls a webhook again if a plugin changed the pod after its first call.
async fn one_call(scene: &Scene) -> anyhow::Result<()> {
    const CREATIONS: u8 = 8;
    let cluster = scene.cluster();
    access::grant(cluster, &scene.namespace).await?;
    let arc = cluster.by(&access::user())?;
    let name = scene.world.installation.lock().await.webhook(cluster).await?;
    let labels = format!("name=\"{name}\"");
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "own", "namespace": scene.namespace},
    });
    scene.apply(&account).await?;
    for (what, kind, change) in [
        ("plain", Kind::Plain, json!({})),
        ("dind mode", Kind::Dind, json!({})),
        ("experimental chart", Kind::ExperimentalPlain, json!({})),
        ("author overrides", Kind::AuthorOverrides, json!({})),
        ("own service account", Kind::Plain, json!({"serviceAccountName": "own"})),
        ("no token", Kind::Plain, json!({"automountServiceAccountToken": false})),
    ] {
        let set = ScaleSet::new(kind, "linux.rocm.gpu.gfx942.2")?.edit(|runner| {
            runner["spec"]["spec"]["serviceAccountName"] = json!("default");
            for (field, value) in change.as_object().into_iter().flatten() {
                runner["spec"]["spec"][field] = value.clone();
            }
        });
        let pod = probe::owned_pod(&set, &scene.namespace);
        // The first creation fills the API server's caches of the account and the namespace.
        probe::dry_run(&arc, &scene.namespace, &pod).await?;
        let before = metrics(cluster).await?;
        for _ in 0..CREATIONS {
            probe::dry_run(&arc, &scene.namespace, &pod).await?;
        }
        let after = metrics(cluster).await?;
        let read = |text: &str| Histogram::read(text, WEBHOOK_CALLS, &[&labels]);
        let calls = read(&after).since(&read(&before)).count();
        scene.figure(&format!("{CREATIONS} creations, {what}"), &format!("{calls} calls"));
        ensure!((calls - f64::from(CREATIONS)).abs() < 0.5, "{what}: {calls} calls");
    }
    Ok(())
}

async fn latency(scene: &Scene) -> anyhow::Result<()> {
    let cluster = scene.cluster();
    access::grant(cluster, &scene.namespace).await?;
    let arc = cluster.by(&access::user())?;
    let policy = policy(scene).await?;
    if let Some(version) = &policy {
        until("the policy to be at work", SOON, || async {
            let pod = probe::runner_pod(&scene.namespace)?;
            let reply = probe::dry_run(&arc, &scene.namespace, &pod).await?;
            let labels = &reply.object["metadata"]["labels"];
            Ok(if labels[LABEL] == "yes" {
                Look::Seen(())
            } else {
                Look::NotYet(labels.to_string())
            })
        })
        .await
        .with_context(|| format!("MutatingAdmissionPolicy {version}"))?;
    }

    let load = Load { scene, arc: &arc, with_policy: policy.is_some() };
    let before = metrics(cluster).await?;
    let took = load.run(PODS.into()).await?;
    let after = metrics(cluster).await?;

    let name = scene.world.installation.lock().await.webhook(cluster).await?;
    let of = |metric: &str, labels: &[&str]| {
        Histogram::read(&after, metric, labels).since(&Histogram::read(&before, metric, labels))
    };
    let webhook = of(WEBHOOK_CALLS, &[&format!("name=\"{name}\"")]);
    ensure!(webhook.count() >= f64::from(PODS), "{webhook}");
    scene.figure("admission by the webhook, as the API server measures it", &webhook.to_string());
    if let Some(version) = &policy {
        let labels = [format!("policy=\"{}\"", scene.namespace)];
        let policy =
            of("apiserver_mutating_admission_policy_check_duration_seconds", &[labels[0].as_str()]);
        ensure!(policy.count() >= f64::from(PODS), "{policy}");
        let what = format!("a MutatingAdmissionPolicy ({version}) that sets one label, same pods");
        scene.figure(&what, &policy.to_string());
    } else {
        scene.figure("a MutatingAdmissionPolicy that sets one label", "not served by this version");
    }
    // All that the API server does around both, in the same metric: matching, encoding, patching.
    for plugin in ["MutatingAdmissionWebhook", "MutatingAdmissionPolicy"] {
        let labels = [format!("name=\"{plugin}\""), "operation=\"CREATE\"".to_owned()];
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let whole = of("apiserver_admission_controller_admission_duration_seconds", &labels);
        scene.figure(&format!("the admission plugin {plugin} as a whole"), &whole.to_string());
    }
    let took = Sample::of(took);
    scene.figure(
        &format!("creation of a pod, as a client sees it, {AT_ONCE} at once"),
        &took.to_string(),
    );
    Ok(())
}

/// Runner pods that are created, and that no scheduler takes.
struct Load<'s> {
    scene: &'s Scene,
    /// ARC's controller.
    arc: &'s Cluster,
    /// Whether a policy sets [`LABEL`].
    with_policy: bool,
}

impl Load<'_> {
    /// Creates pods, in batches that are deleted again; how long each creation took.
    async fn run(&self, count: usize) -> anyhow::Result<Vec<Duration>> {
        let mut took = Vec::new();
        while took.len() < count {
            took.extend(self.create(BATCH.min(count - took.len())).await?);
            let all = format!("{}?gracePeriodSeconds=0", pods(&self.scene.namespace));
            self.scene.cluster().delete(&all).await?;
        }
        Ok(took)
    }

    async fn create(&self, count: usize) -> anyhow::Result<Vec<Duration>> {
        let mut pod = probe::runner_pod(&self.scene.namespace)?;
        pod["spec"]["schedulerName"] = json!("e2e-none");
        let path = pods(&self.scene.namespace);
        stream::iter(0..count)
            .map(|index| {
                let (mut pod, path) = (pod.clone(), &path);
                pod["metadata"]["name"] = json!(format!("latency-{index}"));
                async move {
                    let start = Instant::now();
                    let stored = self.arc.create(path, &pod).await?.object;
                    let took = start.elapsed();
                    ensure!(stored.pointer(STATUS).is_some(), "{stored:#}");
                    let labelled = stored["metadata"]["labels"][LABEL] == "yes";
                    ensure!(labelled == self.with_policy, "{stored:#}");
                    Ok(took)
                }
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }
}

/// A policy for the pods of the case's namespace, in the newest version that is served.
async fn policy(scene: &Scene) -> anyhow::Result<Option<String>> {
    let mut served = None;
    for version in ["v1", "v1beta1", "v1alpha1"] {
        let resources = scene.cluster().find(&format!("{GROUP}/{version}")).await?;
        let resources = resources.unwrap_or_default();
        let mut names = resources["resources"].as_array().into_iter().flatten();
        if names.any(|resource| resource["name"] == "mutatingadmissionpolicies") {
            served = Some(version);
            break;
        }
    }
    let Some(version) = served else { return Ok(None) };
    let object = |kind: &str, spec: Value| {
        json!({
            "apiVersion": format!("admissionregistration.k8s.io/{version}"),
            "kind": kind,
            "metadata": {"name": scene.namespace},
            "spec": spec,
        })
    };
    let namespace = json!({"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}});
    let expression =
        format!(r#"Object{{metadata: Object.metadata{{labels: {{"{LABEL}": "yes"}}}}}}"#);
    scene
        .apply(&object(
            "MutatingAdmissionPolicy",
            json!({
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "matchConstraints": {
                    "namespaceSelector": namespace,
                    "resourceRules": [{
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                    }],
                },
                "mutations": [{
                    "patchType": "ApplyConfiguration",
                    "applyConfiguration": {"expression": expression},
                }],
            }),
        ))
        .await?;
    scene
        .apply(&object("MutatingAdmissionPolicyBinding", json!({"policyName": scene.namespace})))
        .await?;
    Ok(Some(version.to_owned()))
}
