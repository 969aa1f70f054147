//! Reviews without an object of their own: dry runs, by which a case sees what the API server and
//! the webhooks make of a pod.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{
    arc::{access, kinds::Kind, pod, scale_set::ScaleSet},
    cluster::{Cluster, Refused, Reply, pods},
    scene::make_namespace,
    wait::{Look, until},
};

/// How long until every API server has seen a registration, and every replica is reached.
const SETTLED: Duration = Duration::from_mins(1);
/// The annotation that the webhook leaves.
pub(crate) const STATUS: &str = "/metadata/annotations/arc-rocm.dev~1status";
/// The namespace of probes that belong to no case.
const NAMESPACE: &str = "e2e-probe";

/// Creates a pod as a dry run with strict field validation: all of admission and validation, and
/// nothing stored. `by` is who asks: [`access::user`] for ARC's controller.
pub(crate) async fn dry_run(by: &Cluster, namespace: &str, pod: &Value) -> Result<Reply, Refused> {
    let path = format!("{}?dryRun=All&fieldValidation=Strict", pods(namespace));
    by.create(&path, pod).await
}

/// A runner pod for dry runs, without an EphemeralRunner or an account of its own.
pub(crate) fn runner_pod(namespace: &str) -> anyhow::Result<Value> {
    runner_pod_of(namespace, "linux.rocm.gpu.gfx942.2")
}

/// The same of a scale set of this name.
pub(crate) fn runner_pod_of(namespace: &str, set: &str) -> anyhow::Result<Value> {
    let set = ScaleSet::new(Kind::Plain, set)?
        .edit(|runner| runner["spec"]["spec"]["serviceAccountName"] = json!("default"));
    Ok(owned_pod(&set, namespace))
}

/// A runner pod of a scale set, for dry runs.
pub(crate) fn owned_pod(set: &ScaleSet, namespace: &str) -> Value {
    let mut runner = set.ephemeral_runner(namespace, "probe");
    // An owner needs a uid; that there is none of it does not matter to a dry run.
    runner["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000");
    pod::pod(&runner)
}

/// Waits until the API server calls the webhook for ARC's runner pods.
pub(crate) async fn called(cluster: &Cluster) -> anyhow::Result<()> {
    make_namespace(cluster, NAMESPACE, &json!({})).await?;
    called_in(cluster, NAMESPACE).await
}

/// The same for runner pods of this namespace.
pub(crate) async fn called_in(cluster: &Cluster, namespace: &str) -> anyhow::Result<()> {
    access::grant(cluster, namespace).await?;
    let pod = runner_pod(namespace)?;
    let arc = cluster.by(&access::user())?;
    until("the API server to call the webhook", SETTLED, || async {
        Ok(match dry_run(&arc, namespace, &pod).await {
            Ok(reply) if reply.object.pointer(STATUS).is_some() => Look::Seen(()),
            Ok(reply) => Look::NotYet(format!("unpatched, warnings {:?}", reply.warnings)),
            Err(refused) if refused.code >= 500 || refused.code == 429 => {
                Look::NotYet(refused.to_string())
            }
            Err(refused) => return Err(refused).context("dry run of a runner pod"),
        })
    })
    .await
}
