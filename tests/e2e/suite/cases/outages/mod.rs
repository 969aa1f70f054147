//! Outages of the webhook: runners are delayed, and that is all.
//!
//! In each, no EphemeralRunner ends as Failed, every pod that is stored is patched, and pods that
//! are none of ARC's are created as fast as ever.

mod certificates;
mod down;
mod flood;
mod front;
mod restarts;
mod shedding;

pub(super) use flood::{connect, trusting};

use std::{
    cell::Cell,
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use crate::{
    arc::{
        RUNNER_LABEL,
        controller::{Attempt, Controller},
        kinds::Kind,
        runners,
        scale_set::ScaleSet,
    },
    case::Case,
    cluster::{path_of, pods, text},
    install::{Installation, Options},
    probe::{self, STATUS},
    scene::Scene,
    wait::{Look, until},
};

/// How many runners wait for the end of an outage.
const WAITING: usize = 3;
/// Until each of them has tried, and failed, some times.
const REFUSALS: Duration = Duration::from_mins(1);
/// The longest back-off after an outage of a case, and a Secret's way into a pod: a kubelet looks
/// each minute.
const RECOVERY: Duration = Duration::from_mins(3);
/// Half of the webhook's timeout. Who is slower than this has waited for it.
const UNDELAYED: Duration = Duration::from_millis(2500);
/// Who waits for the webhook waits each time; a busy machine is slow once.
const TRIES: usize = 3;
/// No scheduler has this name: what counts here is that pods are stored.
const NO_SCHEDULER: &str = "e2e-none";

pub(crate) fn cases() -> Vec<Case> {
    [down::cases(), front::cases(), certificates::cases(), shedding::cases(), restarts::cases()]
        .into_iter()
        .flatten()
        .collect()
}

/// A webhook of the case's own, as the suite's but for its name: it is called in the case's namespace
/// alone, and gone with the case.
async fn installed(scene: &Scene) -> anyhow::Result<Installation> {
    let (cluster, world) = (scene.cluster(), &scene.world);
    let first = world.installation.lock().await;
    let name = format!("{}-own", scene.namespace);
    let options = Options {
        name: name.clone(),
        namespace: name.clone(),
        only_in: Some(scene.namespace.clone()),
        ..first.options.clone()
    };
    let form = first.form;
    drop(first);
    scene.delete_at_end(format!("/api/v1/namespaces/{name}"));
    let host = world.capabilities.host.as_deref();
    let own = Installation::install(cluster, &world.settings, form, host, options).await?;
    // In the reverse order at the end, so the registration goes first.
    for object in own.manifests(&world.settings, &own.certs().join("ca.crt")).await? {
        if object["kind"] != "CustomResourceDefinition" {
            scene.delete_at_end(path_of(&object)?);
        }
    }
    probe::called_in(cluster, &scene.namespace).await?;
    Ok(own)
}

/// Runners that take no place on any node.
pub(super) fn set() -> anyhow::Result<ScaleSet> {
    Ok(ScaleSet::new(Kind::Plain, "linux.rocm.gpu.gfx942.2")?
        .edit(|runner| runner["spec"]["spec"]["schedulerName"] = json!(NO_SCHEDULER)))
}

/// Runners of an outage: each is refused `least` times, with the back-off of ARC's controller, and
/// with `why` in what the API server says. Others' pods do not notice.
async fn delayed(
    scene: &Scene,
    arc: &Controller,
    least: usize,
    why: &str,
) -> anyhow::Result<Vec<String>> {
    let runners = arc.scale(&set()?, WAITING).await?;
    unrelated(scene, "during").await?;
    for runner in &runners {
        let attempts = until(&format!("refusals of {runner}"), REFUSALS, || async {
            let attempts = arc.attempts(runner);
            Ok(if attempts.len() >= least {
                Look::Seen(attempts)
            } else {
                Look::NotYet(format!("{} attempts", attempts.len()))
            })
        })
        .await?;
        for attempt in &attempts {
            let refused = attempt.result.as_ref().err();
            let refused = refused.with_context(|| format!("{runner} was stored in an outage"))?;
            ensure!(refused.code == 500 && refused.message.contains(why), "{refused}, not {why}");
        }
        backs_off(&attempts)?;
        let path = format!("{}/{runner}", runners_path(scene));
        let phase = scene.cluster().get(&path).await?["status"]["phase"].take();
        ensure!(phase.is_null() || phase == "Pending", "{runner} is {phase}");
    }
    unrelated(scene, "still-during").await?;
    Ok(runners)
}

fn runners_path(scene: &Scene) -> String {
    runners(&scene.namespace)
}

/// 5 ms, 10, 20, ... between an answer and the next attempt.
fn backs_off(attempts: &[Attempt]) -> anyhow::Result<()> {
    for (index, pair) in attempts.windows(2).enumerate().take(8) {
        let [one, next] = pair else { continue };
        let waited = next.at.saturating_duration_since(one.at + one.took);
        let least = Duration::from_millis(5 << index);
        ensure!(waited >= least, "{waited:?} before attempt {}, not {least:?}", index + 2);
    }
    Ok(())
}

/// Creates a pod without ARC's label, of which no replica of ours is asked.
async fn unrelated(scene: &Scene, name: &str) -> anyhow::Result<()> {
    let mut slow = Vec::new();
    for index in 0..TRIES {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": format!("{name}-{index}"),
                "namespace": scene.namespace,
                "labels": {"app": "other"},
            },
            "spec": {
                "schedulerName": NO_SCHEDULER,
                "containers": [{"name": "runner", "image": "busybox:latest"}],
            },
        });
        let start = Instant::now();
        let stored = scene.cluster().create(&pods(&scene.namespace), &pod).await;
        let stored = stored.with_context(|| format!("pod {name}, none of ARC's"))?.object;
        ensure!(stored.pointer(STATUS).is_none(), "{stored:#}");
        let took = start.elapsed();
        if took < UNDELAYED {
            return Ok(());
        }
        slow.push(took);
    }
    bail!("pods {name}, none of ARC's, took {slow:?}")
}

/// All runners have their pods, all pods are patched, nothing has failed.
pub(super) async fn recovered(
    scene: &Scene,
    arc: &Controller,
    runners: &[String],
) -> anyhow::Result<()> {
    for runner in runners {
        arc.stored(runner, RECOVERY).await?;
    }
    let selector = format!("?labelSelector={RUNNER_LABEL}%3DTrue");
    let stored = scene.cluster().list(&format!("{}{selector}", pods(&scene.namespace))).await?;
    let names = |bare: bool| -> Vec<&str> {
        let patched = |pod: &&Value| pod.pointer(STATUS).is_none() == bare;
        stored.iter().filter(patched).map(|pod| text(pod, "/metadata/name")).collect()
    };
    ensure!(names(true).is_empty(), "not patched: {:?}", names(true));
    ensure!(names(false).len() == runners.len(), "{:?} of {runners:?}", names(false));
    ensure!(arc.ends().is_empty(), "{:?}", arc.ends());
    for runner in scene.cluster().list(&runners_path(scene)).await? {
        ensure!(runner["status"]["phase"] != "Failed", "{runner:#}");
    }
    Ok(())
}

/// Makes a runner `every` so often, as long as `work` takes and until there are `least`.
pub(super) async fn while_creating(
    arc: &Controller,
    set: &ScaleSet,
    every: Duration,
    least: usize,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Vec<String>> {
    let done = Cell::new(false);
    let load = async {
        let mut ticks = tokio::time::interval(every);
        let mut runners = Vec::new();
        while !done.get() || runners.len() < least {
            ticks.tick().await;
            runners = arc.scale(set, runners.len() + 1).await?;
        }
        anyhow::Ok(runners)
    };
    let work = async {
        let result = work.await;
        done.set(true);
        result
    };
    let (runners, worked) = futures::join!(load, work);
    worked?;
    runners
}

/// The attempts that failed, and a line about them for the report.
pub(super) fn failures(attempts: &[Attempt]) -> (Vec<&Attempt>, String) {
    let failed: Vec<&Attempt> = attempts.iter().filter(|one| one.result.is_err()).collect();
    let line = format!("{} of {} attempts failed", failed.len(), attempts.len());
    (failed, line)
}
