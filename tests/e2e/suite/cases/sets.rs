//! What authors say, and whom it concerns: two scale sets with two profiles, the number of GPUs,
//! opting out.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

use super::seed::container;
use crate::{
    arc::{kinds::Kind, scale_set::ScaleSet},
    capabilities::GPU,
    case::{Case, case},
    cluster::text,
    probe::STATUS,
    scene::Scene,
};

const SOON: Duration = Duration::from_secs(30);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("profiles-per-scale-set", two_profiles),
        case("profiles-gpus-by-annotation", gpus_by_annotation),
        case("skip-by-label", async |scene: &Scene| opt_out(scene, true).await),
        case("skip-by-annotation", async |scene: &Scene| opt_out(scene, false).await),
        case("profiles-unknown-skips-pod", unknown_profile),
    ]
}

async fn one(scene: &Scene, set: &ScaleSet) -> anyhow::Result<Value> {
    let arc = scene.controller().await?;
    let runner = arc.scale(set, 1).await?.remove(0);
    arc.stored(&runner, SOON).await
}

fn profile(pod: &Value) -> Value {
    let status = text(pod, STATUS);
    serde_json::from_str::<Value>(status).map_or(Value::Null, |mut status| status["profile"].take())
}

fn requests(pod: &Value) -> &Value {
    &container(pod, "runner")["resources"]["requests"]
}

async fn two_profiles(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let fleet = ScaleSet::new(Kind::Plain, "linux.rocm.gpu.gfx942.2")?;
    let mi3 = ScaleSet::new(Kind::Plain, "amd-mi355-gpu-8")?;
    let runners = [arc.scale(&fleet, 1).await?.remove(0), arc.scale(&mi3, 1).await?.remove(0)];
    let [fleet, mi3] = [arc.stored(&runners[0], SOON).await?, arc.stored(&runners[1], SOON).await?];

    ensure!(profile(&fleet) == "fleet" && profile(&mi3) == "mi3", "{fleet:#}\n{mi3:#}");
    ensure!(requests(&fleet)[GPU] == "2" && requests(&fleet)["cpu"] == "40", "{fleet:#}");
    ensure!(requests(&mi3)[GPU] == "8" && requests(&mi3)["cpu"] == "32", "{mi3:#}");
    let group = |pod: &Value| pod["spec"]["securityContext"]["supplementalGroups"].clone();
    ensure!(group(&fleet) == json!([110]), "{fleet:#}");
    ensure!(group(&mi3) == json!([44, 992]), "{mi3:#}");
    let tolerates = |pod: &Value| {
        let tolerations = pod["spec"]["tolerations"].as_array();
        tolerations.into_iter().flatten().any(|toleration| toleration["key"] == "amd-ci")
    };
    ensure!(!tolerates(&fleet) && tolerates(&mi3), "{fleet:#}\n{mi3:#}");
    Ok(())
}

async fn gpus_by_annotation(scene: &Scene) -> anyhow::Result<()> {
    let set =
        ScaleSet::new(Kind::Plain, "linux.rocm.gpu.gfx942")?.annotation("arc-rocm.dev/gpus", "4");
    let pod = one(scene, &set).await?;
    let resources = &container(&pod, "runner")["resources"];
    ensure!(resources["requests"][GPU] == "4" && resources["limits"][GPU] == "4", "{pod:#}");
    let command = container(&pod, "runner")["command"].to_string();
    ensure!(command.contains("--gpus=4"), "{command}");
    Ok(())
}

/// The pod is stored as its author wrote it.
async fn opt_out(scene: &Scene, by_label: bool) -> anyhow::Result<()> {
    let set = ScaleSet::new(Kind::Plain, "linux.rocm.gpu.gfx942.2")?;
    let set = if by_label {
        set.label("arc-rocm.dev/inject", "false")
    } else {
        set.annotation("arc-rocm.dev/inject", "false")
    };
    let pod = one(scene, &set).await?;
    ensure!(pod.pointer(STATUS).is_none(), "{pod:#}");
    ensure!(pod["spec"]["initContainers"].is_null(), "{pod:#}");
    ensure!(container(&pod, "runner")["resources"] == json!({}), "{pod:#}");
    Ok(())
}

async fn unknown_profile(scene: &Scene) -> anyhow::Result<()> {
    let set = ScaleSet::new(Kind::Plain, "linux.rocm.gpu.gfx942.2")?
        .annotation("arc-rocm.dev/profile", "no-such-profile");
    let pod = one(scene, &set).await?;
    ensure!(pod.pointer(STATUS).is_none(), "{pod:#}");
    ensure!(pod["spec"]["initContainers"].is_null(), "{pod:#}");
    Ok(())
}
