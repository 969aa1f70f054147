//! Replicas whose memory is held by others: they answer 503 with `Retry-After`, and the API
//! server's own client tries again.

use std::time::Duration;

use anyhow::ensure;

use super::{
    failures,
    flood::{self, Flood},
    recovered, set, unrelated, while_creating,
};
use crate::{
    arc::controller::Attempt,
    case::{Case, case},
    report::Sample,
    scene::Scene,
    wait::{Look, until},
};

/// How often a runner comes during the flood, how many at least.
const EVERY: Duration = Duration::from_millis(500);
const LEAST: usize = 20;
/// `Retry-After` of the server's answer: who was shed once took longer than this.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// So many must have been shed; until then.
const SHED: usize = 5;
const FELT: Duration = Duration::from_mins(1);

pub(crate) fn cases() -> Vec<Case> {
    vec![case("outage-shedding", shedding).alone().within(super::RECOVERY * 2)]
}

async fn shedding(scene: &Scene) -> anyhow::Result<()> {
    let installation = scene.world.installation.lock().await;
    let cluster = scene.cluster();
    let addresses = installation.listeners(cluster).await?;
    let tls = flood::trusting(&installation.certs().join("ca.crt"))?;
    // Fails here, and with a reason, where replicas cannot be reached from this machine.
    for address in &addresses {
        flood::connect(&tls, &installation.host(), address).await?;
    }
    let arc = scene.controller().await?;
    let flood = Flood::start(&tls, &installation.host(), &addresses);
    let felt = async {
        until("runners to be delayed by the flood", FELT, || async {
            let attempts = arc.all_attempts();
            let (shed, all) = (attempts.iter().filter(|one| is_shed(one)).count(), attempts.len());
            Ok(if shed >= SHED {
                Look::Seen(())
            } else {
                Look::NotYet(format!("{shed} of {all} attempts"))
            })
        })
        .await?;
        unrelated(scene, "during").await
    };
    let runners = while_creating(&arc, &set()?, EVERY, LEAST, felt).await;
    drop(flood);
    let runners = runners?;
    recovered(scene, &arc, &runners).await?;

    let attempts = arc.all_attempts();
    let (failed, line) = failures(&attempts);
    for attempt in failed {
        let code = attempt.result.as_ref().err().map(|refused| refused.code);
        ensure!(code == Some(500), "{attempt:?}");
    }
    let shed = attempts.iter().filter(|one| is_shed(one)).count();
    let since = attempts.iter().filter(|one| one.result.is_ok()).map(|one| one.since_runner);
    let since = Sample::of(since.collect());
    scene.figure(
        "replicas flooded with half-sent bodies",
        &format!("{shed} attempts delayed, {line}; EphemeralRunner to patched pod stored {since}"),
    );
    let restarts = restarts(scene, &installation.options.namespace).await?;
    ensure!(restarts == 0, "the flood has ended {restarts} replicas");
    Ok(())
}

/// Whether the API server was told to come again.
fn is_shed(attempt: &Attempt) -> bool {
    attempt.took >= RETRY_AFTER
}

/// How often containers of the webhook were started again: memory is what the flood is after.
async fn restarts(scene: &Scene, namespace: &str) -> anyhow::Result<i64> {
    let replicas = scene.cluster().list(&crate::cluster::pods(namespace)).await?;
    let statuses = replicas.iter().filter_map(|pod| pod["status"]["containerStatuses"].as_array());
    Ok(statuses.flatten().filter_map(|status| status["restartCount"].as_i64()).sum())
}
