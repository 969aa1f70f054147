//! Replicas whose memory is held by others: they answer 503 with `Retry-After`, and the API
//! server's own client tries again.
//!
//! What is counted against the memory is a body of more than 64 KiB. The review of an ordinary runner
//! has a tenth of that, and passes in the midst of a flood; so the runners here are large.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{
    failures,
    flood::{self, Flood},
    recovered, set, unrelated, while_creating,
};
use crate::{
    arc::{access, controller::Attempt},
    case::{Case, case},
    probe::{self, STATUS},
    report::Sample,
    scene::Scene,
    wait::{Look, until},
};

/// How often a runner comes during the flood, how many at least.
const EVERY: Duration = Duration::from_millis(500);
const LEAST: usize = 20;
/// `Retry-After` of the server's answer: who was shed once took longer than this.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Bytes of an annotation, which make a review one that is counted. All annotations
/// together may have 256 KiB.
const LARGE: usize = 96 * 1024;
/// Ordinary runners, tried during the flood.
const ORDINARY: usize = 20;
/// So many must have been shed; until then.
const SHED: usize = 5;
const FELT: Duration = Duration::from_mins(3);

pub(crate) fn cases() -> Vec<Case> {
    vec![case("outage-shedding", shedding).alone().within(super::RECOVERY * 3)]
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
    let before = restarts(scene, &installation.options.namespace).await?;
    let arc = scene.controller().await?;
    let flood = Flood::start(&tls, &installation.host(), &addresses);
    let mut ordinary = String::new();
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
        ordinary = ordinary_ones(scene).await?;
        unrelated(scene, "during").await
    };
    let set = set()?.annotation("example.com/large", &"x".repeat(LARGE));
    let runners = while_creating(&arc, &set, EVERY, LEAST, felt).await;
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
    scene.figure("ordinary runners in that flood", &ordinary);
    let restarts = restarts(scene, &installation.options.namespace).await? - before;
    ensure!(restarts == 0, "the flood has ended {restarts} replicas");
    Ok(())
}

/// Ordinary runner pods in the flood, as dry runs; what became of them.
async fn ordinary_ones(scene: &Scene) -> anyhow::Result<String> {
    let arc = scene.cluster().by(&access::user())?;
    let pod = probe::runner_pod(&scene.namespace)?;
    let (mut refused, mut took) = (0, Vec::new());
    for _ in 0..ORDINARY {
        let start = Instant::now();
        match probe::dry_run(&arc, &scene.namespace, &pod).await {
            Ok(reply) => ensure!(reply.object.pointer(STATUS).is_some(), "{:#}", reply.object),
            Err(error) if error.code == 500 => refused += 1,
            Err(error) => return Err(error.into()),
        }
        took.push(start.elapsed());
    }
    Ok(format!("{refused} of {ORDINARY} refused, creation {}", Sample::of(took)))
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
