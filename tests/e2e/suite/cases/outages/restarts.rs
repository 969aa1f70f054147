//! Replicas that are replaced while runners come.

use std::{future::Future, time::Duration};

use anyhow::{Context as _, ensure};

use super::{failures, installed, recovered, set, unrelated, while_creating};
use crate::{
    capabilities::Need,
    case::{Case, case},
    cluster::{pods, text},
    report::Sample,
    scene::Scene,
    wait::until,
};

/// 10 a second, at least 100.
const EVERY: Duration = Duration::from_millis(100);
const LEAST: usize = 100;

pub(crate) fn cases() -> Vec<Case> {
    let under_load =
        |case: Case| case.needs(&[Need::Service]).own_webhook().within(super::RECOVERY * 3);
    vec![
        under_load(case("outage-rollout-under-load", rollout)),
        under_load(case("outage-replicas-deleted-under-load", deletion)),
    ]
}

/// `kubectl rollout restart`.
async fn rollout(scene: &Scene) -> anyhow::Result<()> {
    let installation = installed(scene).await?;
    let cluster = scene.cluster();
    let replicas = pods(&installation.options.namespace);
    let restart = async {
        let old = cluster.list(&replicas).await?;
        installation.restart_rollout(cluster, &scene.namespace).await?;
        // Old replicas serve on for their grace period, and then go: that is what may cost a call.
        for pod in old {
            let path = format!("{replicas}/{}", text(&pod, "/metadata/name"));
            until("end of an old replica", super::RECOVERY, || cluster.gone(&path)).await?;
        }
        Ok(())
    };
    under_load(scene, "rollout of the webhook", restart).await
}

/// `kubectl delete pod`, of one replica and then of the other.
async fn deletion(scene: &Scene) -> anyhow::Result<()> {
    let installation = installed(scene).await?;
    let cluster = scene.cluster();
    let replicas = pods(&installation.options.namespace);
    let delete = async {
        for pod in cluster.list(&replicas).await? {
            let name = text(&pod, "/metadata/name");
            cluster.delete(&format!("{replicas}/{name}")).await?;
            let path = format!("{replicas}/{name}");
            until("end of a replica", super::RECOVERY, || cluster.gone(&path)).await?;
            installation.rolled_out(cluster).await?;
        }
        Ok(())
    };
    under_load(scene, "deletion of the webhook's pods, one by one", delete).await
}

async fn under_load(
    scene: &Scene,
    what: &str,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let runners = while_creating(&arc, &set()?, EVERY, LEAST, work).await?;
    unrelated(scene, "after").await?;
    recovered(scene, &arc, &runners).await?;
    let attempts = arc.all_attempts();
    let (failed, line) = failures(&attempts);
    let took = Sample::of(attempts.iter().map(|attempt| attempt.took).collect());
    scene.figure(&format!("{what}, 10 runners/s"), &format!("{line}; creation {took}"));
    // ARC retries failed pods, but an orderly shutdown of a replica must not fail any.
    let first = failed.first().and_then(|attempt| attempt.result.as_ref().err());
    ensure!(failed.is_empty(), "{line}, first: {}", first.context("no refusal")?);
    Ok(())
}
