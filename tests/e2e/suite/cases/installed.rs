//! The installation itself: what `deploy/README.md` promises of it.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::{
    capabilities::Need,
    case::{Case, case},
    cluster::{pods, text},
    scene::Scene,
};

pub(crate) fn cases() -> Vec<Case> {
    vec![case("install-as-deployment", deployed).needs(&[Need::Service])]
}

/// Two pods of the manifests' template, both ready and behind the Service that is registered, in a
/// namespace that enforces `restricted`.
async fn deployed(scene: &Scene) -> anyhow::Result<()> {
    let installation = scene.world.installation.lock().await;
    let cluster = scene.cluster();
    let (name, namespace) = (&installation.options.name, &installation.options.namespace);
    installation.rolled_out(cluster).await?;

    let registration = cluster.get(&installation.registration()).await?;
    let service = &registration["webhooks"][0]["clientConfig"]["service"];
    ensure!(service["name"] == **name && service["namespace"] == **namespace, "{service}");

    let ready = installation.ready_endpoints(cluster).await?;
    let running = cluster.list(&pods(namespace)).await?;
    let mut names: Vec<&str> = running.iter().map(|pod| text(pod, "/metadata/name")).collect();
    names.sort_unstable();
    ensure!(names.len() == 2 && ready == names, "pods {names:?}, ready endpoints {ready:?}");

    let own = cluster.get(&format!("/api/v1/namespaces/{namespace}")).await?;
    let level = &own["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
    ensure!(level == "restricted", "{level}");
    for pod in &running {
        let node = text(pod, "/spec/nodeName");
        let node = cluster.get(&format!("/api/v1/nodes/{node}")).await?;
        ensure!(node["metadata"]["labels"]["kubernetes.io/os"] == "linux", "{node:#}");
        let statuses = pod["status"]["containerStatuses"].as_array().context("no status")?;
        let restarts: Vec<&Value> = statuses.iter().map(|status| &status["restartCount"]).collect();
        ensure!(restarts == [&json!(0)], "{pod:#}");
    }
    Ok(())
}
