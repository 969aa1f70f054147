//! No replica at all.

use super::{delayed, installed, recovered};
use crate::{
    case::{Case, case},
    scene::Scene,
};

/// 5 ms doubled this often is more than half a second.
const LEAST: usize = 8;

pub(crate) fn cases() -> Vec<Case> {
    vec![case("outage-webhook-down", down).own_webhook().within(super::RECOVERY * 3)]
}

async fn down(scene: &Scene) -> anyhow::Result<()> {
    let mut installation = installed(scene).await?;
    let (cluster, settings) = (scene.cluster(), &scene.world.settings);
    let arc = scene.controller().await?;
    let waiting = match installation.down(cluster).await {
        Ok(()) => delayed(scene, &arc, LEAST, "failed calling webhook").await,
        Err(error) => Err(error),
    };
    installation.up(cluster, settings).await?;
    recovered(scene, &arc, &waiting?).await
}
