//! What is stored of a runner pod.

use std::time::Duration;

use anyhow::ensure;

use crate::{
    arc::{kinds::Kind, scale_set::ScaleSet},
    case::{Case, case},
    probe::STATUS,
    scene::Scene,
};

const SOON: Duration = Duration::from_secs(30);

pub(crate) fn cases() -> Vec<Case> {
    vec![case("every-kind-is-stored", every_kind)]
}

async fn every_kind(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    for kind in Kind::ALL {
        let set = ScaleSet::new(kind, &format!("linux.{}", kind.stem()))?;
        let runner = arc.scale(&set, 1).await?.remove(0);
        let pod = arc.stored(&runner, SOON).await?;
        let patched = pod.pointer(STATUS).is_some();
        let hooks = matches!(kind, Kind::Kubernetes | Kind::KubernetesNovolume);
        ensure!(patched != hooks, "{kind:?}: {pod:#}");
    }
    Ok(())
}
