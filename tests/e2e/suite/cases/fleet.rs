//! Many runners, on nodes that only say that pods run: scheduling by label and GPUs, scaling.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::{
    arc::{controller::Controller, kinds::Kind, scale_set::ScaleSet},
    capabilities::{GPU, NODE_LABEL, Need, allocatable_gpus},
    case::{Case, case},
    cluster::{pods, text},
    probe::STATUS,
    report::Sample,
    scene::Scene,
    wait::{Look, until},
};

const SOON: Duration = Duration::from_mins(1);
/// Scheduling and starting hundreds of pods, on a machine that is busy.
const LATER: Duration = Duration::from_mins(4);

/// How many runners at once, with one GPU each.
const MANY: usize = 200;
const ONE_BY_ONE: usize = 50;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("profiles-builtin-on-gpu-nodes", built_in).needs(&[Need::KwokNodes]).alone(),
        case("profiles-too-many-gpus-pending", too_many).needs(&[Need::KwokNodes]).alone(),
        case("figures-runner-to-stored-pod", one_by_one).alone(),
        case("fleet-hundreds-of-runners", hundreds)
            .needs(&[Need::KwokNodes])
            .alone()
            .within(Duration::from_mins(10)),
    ]
}

/// A set whose author keeps it on kwok's nodes.
fn on_kwok(name: &str) -> anyhow::Result<ScaleSet> {
    Ok(ScaleSet::new(Kind::Plain, name)?
        .edit(|runner| runner["spec"]["spec"]["nodeSelector"][NODE_LABEL] = json!("kwok")))
}

fn is_running(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running"
}

/// The built-in profile's 40 CPUs, 450000Mi and 2 GPUs, on nodes that have them.
async fn built_in(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let set = on_kwok("linux.rocm.gpu.gfx942.2")?;
    for runner in arc.scale(&set, 4).await? {
        let pod = arc.pod_is(&runner, "to run", SOON, is_running).await?;
        ensure!(pod["spec"]["nodeName"].is_string(), "{pod:#}");
        ensure!(pod["spec"]["nodeSelector"]["pytorch"] == "yes", "{pod:#}");
    }
    arc.scale(&set, 0).await?;
    empty(scene).await
}

/// Waits until the case's namespace has no pod.
async fn empty(scene: &Scene) -> anyhow::Result<()> {
    until("no pod to be left", SOON, || async {
        let left = scene.cluster().list(&pods(&scene.namespace)).await?.len();
        Ok(if left == 0 { Look::Seen(()) } else { Look::NotYet(format!("{left} pods")) })
    })
    .await
}

/// Kwok nodes, in the order of their names.
async fn kwok_nodes(scene: &Scene) -> anyhow::Result<Vec<Value>> {
    let path = format!("/api/v1/nodes?labelSelector={}%3Dkwok", NODE_LABEL.replace('/', "%2F"));
    Ok(scene.cluster().list(&path).await?)
}

/// All GPUs of the kwok nodes are taken; one more runner waits until one ends.
async fn too_many(scene: &Scene) -> anyhow::Result<()> {
    let nodes = kwok_nodes(scene).await?;
    let whole = nodes.first().map(allocatable_gpus).context("no kwok node")?;
    ensure!(nodes.iter().all(|node| allocatable_gpus(node) == whole), "nodes differ");
    let arc = scene.controller().await?;
    let fill = on_kwok(&format!("small.fill.{whole}"))?;
    for runner in arc.scale(&fill, nodes.len()).await? {
        arc.pod_is(&runner, "to run", SOON, is_running).await?;
    }
    let late = on_kwok("small.late.1")?;
    let runner = arc.scale(&late, 1).await?.remove(0);
    let pod = arc.pod_is(&runner, "to be unschedulable", SOON, is_unschedulable).await?;
    let condition = scheduled(&pod).context("no condition PodScheduled")?;
    ensure!(text(condition, "/message").contains(GPU), "{condition}");
    ensure!(arc.end(&runner).is_none(), "ARC waits for ever, as there is no time-out");

    arc.scale(&fill, nodes.len() - 1).await?;
    arc.pod_is(&runner, "to run once a node is free", SOON, is_running).await?;
    Ok(())
}

fn scheduled(pod: &Value) -> Option<&Value> {
    let mut conditions = pod["status"]["conditions"].as_array()?.iter();
    conditions.find(|condition| condition["type"] == "PodScheduled")
}

fn is_unschedulable(pod: &Value) -> bool {
    scheduled(pod).is_some_and(|condition| condition["reason"] == "Unschedulable")
}

/// What a runner waits for its pod while nothing else goes on.
async fn one_by_one(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let set = ScaleSet::new(Kind::Plain, "linux.rocm.gpu.gfx942.2")?;
    for count in 1..=ONE_BY_ONE {
        let runners = arc.scale(&set, count).await?;
        let runner = runners.last().context("no runner")?;
        let pod = arc.stored(runner, SOON).await?;
        ensure!(pod.pointer(STATUS).is_some(), "{pod:#}");
    }
    figures(scene, &arc, &format!("{ONE_BY_ONE} runners one by one"));
    Ok(())
}

/// Hundreds of runners at once, each patched, all running, then none.
async fn hundreds(scene: &Scene) -> anyhow::Result<()> {
    more_nodes(scene).await?;
    let arc = scene.controller().await?;
    let set = on_kwok("small.many.1")?;
    let runners = arc.scale(&set, MANY).await?;
    for runner in &runners {
        arc.pod_is(runner, "to run", LATER, is_running).await?;
    }
    let stored = scene.cluster().list(&pods(&scene.namespace)).await?;
    let bare: Vec<&str> = stored
        .iter()
        .filter(|pod| pod.pointer(STATUS).is_none())
        .map(|pod| text(pod, "/metadata/name"))
        .collect();
    ensure!(bare.is_empty(), "not patched: {}", bare.join(", "));
    ensure!(stored.len() == MANY, "{} pods", stored.len());
    ensure!(arc.ends().is_empty(), "{:?}", arc.ends());
    figures(scene, &arc, &format!("{MANY} runners at once"));

    arc.scale(&set, MANY / 2).await?;
    until("half of them to go", SOON, || async {
        let left = scene.cluster().list(&pods(&scene.namespace)).await?.len();
        Ok(if left == MANY / 2 { Look::Seen(()) } else { Look::NotYet(format!("{left} pods")) })
    })
    .await?;
    arc.scale(&set, 0).await?;
    empty(scene).await
}

fn figures(scene: &Scene, arc: &Controller, what: &str) {
    let attempts = arc.all_attempts();
    let stored = || attempts.iter().filter(|attempt| attempt.result.is_ok());
    let since = Sample::of(stored().map(|attempt| attempt.since_runner).collect());
    let took = Sample::of(stored().map(|attempt| attempt.took).collect());
    scene.figure(&format!("{what}: EphemeralRunner to patched pod stored"), &since.to_string());
    scene.figure(&format!("{what}: creation of the pod, as ARC sees it"), &took.to_string());
}

/// Copies of a kwok node until there are GPUs for [`MANY`] runners; they go with the case.
async fn more_nodes(scene: &Scene) -> anyhow::Result<()> {
    let nodes = kwok_nodes(scene).await?;
    let have: u64 = nodes.iter().map(allocatable_gpus).sum();
    let pattern = nodes.first().context("no kwok node")?;
    let each = usize::try_from(allocatable_gpus(pattern))?;
    let missing = MANY.saturating_sub(usize::try_from(have)?).div_ceil(each.max(1));
    for index in 0..missing {
        let name = format!("e2e-kwok-{index}");
        let mut labels = pattern["metadata"]["labels"].clone();
        labels["kubernetes.io/hostname"] = json!(name);
        scene
            .apply(&json!({
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": name,
                    "labels": labels,
                    "annotations": pattern["metadata"]["annotations"],
                },
                "spec": {"taints": pattern["spec"]["taints"]},
            }))
            .await?;
        let path = format!("/api/v1/nodes/{name}/status");
        let status = json!({"status": {
            "capacity": pattern["status"]["capacity"],
            "allocatable": pattern["status"]["allocatable"],
        }});
        scene.cluster().merge(&path, &status).await?;
    }
    Ok(())
}
