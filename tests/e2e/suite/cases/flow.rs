//! The seed's execution flow, on a node that really runs pods, with jobs that really use Docker.
//!
//! A job is told to the test's runner image by a variable. What it prints goes to the
//! container's termination message as well, so that it is part of the pod's last status: ARC
//! deletes the pod as soon as the runner has ended.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::{
    arc::{
        controller::{Controller, End, terminated},
        kinds::Kind,
        scale_set::ScaleSet,
    },
    capabilities::{NODE_LABEL, Need},
    case::{Case, case},
    cluster::{pods, text},
    probe::STATUS,
    scene::Scene,
    wait::{Look, until},
};

const SOON: Duration = Duration::from_secs(30);
/// Pulling and unpacking images, here and in a nested dockerd, on a machine that is busy.
const LATER: Duration = Duration::from_mins(4);
/// The pod's grace period and some time for the kubelet.
const ENDING: Duration = Duration::from_mins(1);

/// The steps of a job that cares for GPUs and Docker.
const JOB: &str = r#"
set -eu
{
  echo "externals $(ls -A /home/runner/externals | wc -l)"
  echo "inside $(docker run --rm -v /home/runner/externals:/e busybox:latest ls -A /e | wc -l)"
  test -f /etc/podinfo/gha-gpu-isolation-settings
  echo "own $(cd /dev/dri && echo renderD*)"
  echo "job $(docker run --rm $(cat /etc/podinfo/gha-render-devices) \
    --env-file /etc/podinfo/gha-gpu-isolation-settings busybox:latest ls /dev/dri | xargs)"
  echo "groups $(docker run --rm $(cat /etc/podinfo/gha-render-devices) busybox:latest id -G)"
  echo "pod $POD_NAME node $NODE_NAME"
} >/tmp/said
cat /tmp/said
cat /tmp/said >/dev/termination-log
"#;

pub(crate) fn cases() -> Vec<Case> {
    let real = |case: Case| case.needs(&[Need::RealGpuNode]).within(LATER * 2);
    vec![
        // It takes all GPUs, and looks at which.
        real(case("pod-runs-a-job", flow)).alone(),
        real(case("pod-idle-ends-in-order", idle)),
        real(case("arc-runner-failure-retried", fails)),
        real(case("arc-failed-init-container-fails-runner", init_fails)),
        real(case("arc-busy-runner-failure-replaced", fails_at_work)),
        real(case("arc-exit-code-7-stops-set", outdated)),
    ]
}

/// A plain set whose author keeps it on nodes that run pods, with a profile for small ones.
fn on_real(name: &str) -> anyhow::Result<ScaleSet> {
    Ok(ScaleSet::new(Kind::Plain, name)?
        .edit(|runner| runner["spec"]["spec"]["nodeSelector"][NODE_LABEL] = json!("real")))
}

/// The exit code of an init container that has ended.
pub(super) fn init(pod: &Value, name: &str) -> Option<i64> {
    terminated(&pod["status"]["initContainerStatuses"], name)
}

/// The pod with dind's end in its status, also when it is gone: the watch may show the last status a
/// moment after a GET finds nothing.
pub(super) async fn dind_ended(arc: &Controller, runner: &str) -> anyhow::Result<Value> {
    arc.pod_is(runner, "dind to have ended", SOON, |pod| init(pod, "dind").is_some()).await
}

fn has_ended(pod: &Value) -> bool {
    ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"))
}

/// The pod after its end, with each container's exit code as ARC wants it.
async fn completed(arc: &Controller, runner: &str) -> anyhow::Result<Value> {
    let pod = arc.pod_is(runner, "to have ended", ENDING, has_ended).await?;
    let status = &pod["status"];
    ensure!(status["phase"] == "Succeeded", "{status:#}");
    ensure!(terminated(&status["containerStatuses"], "runner") == Some(0), "{status:#}");
    ensure!(init(&pod, "init-dind-externals") == Some(0), "{status:#}");
    ensure!(init(&pod, "dind") == Some(0), "{status:#}");
    // Externals, then dind, then the runner, and dind's end after the runner's. Text in this form
    // is in the order of time.
    let all = [&status["initContainerStatuses"], &status["containerStatuses"]];
    let at = |container: &str, moment: &str| {
        let statuses = all.iter().filter_map(|list| list.as_array()).flatten();
        let mut named = statuses.filter(|status| status["name"] == container);
        let moment = named.next().map(|status| text(&status["state"]["terminated"], moment));
        moment.unwrap_or_default().to_owned()
    };
    let order = [
        at("init-dind-externals", "/finishedAt"),
        at("dind", "/startedAt"),
        at("runner", "/startedAt"),
        at("runner", "/finishedAt"),
        at("dind", "/finishedAt"),
    ];
    ensure!(order.is_sorted() && order.iter().all(|at| !at.is_empty()), "{order:?}");
    Ok(pod)
}

/// The words behind the first of a line that the job has said.
fn said<'p>(pod: &'p Value, key: &str) -> anyhow::Result<Vec<&'p str>> {
    let statuses = pod["status"]["containerStatuses"].as_array();
    let mut statuses = statuses.into_iter().flatten();
    let runner = statuses.find(|status| status["name"] == "runner").context("no runner")?;
    let message = text(runner, "/state/terminated/message");
    let line = message.lines().find_map(|line| line.strip_prefix(&format!("{key} ")));
    Ok(line.with_context(|| format!("no {key} in {message:?}"))?.split_whitespace().collect())
}

/// Two runners with two GPUs each, side by side: each job sees its own, and no other.
async fn flow(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let set = on_real("small.flow.2")?.job(JOB)?;
    let runners = arc.scale(&set, 2).await?;
    let mut seen = BTreeSet::new();
    for runner in &runners {
        // The sidecar has started before the runner does.
        let pod = arc
            .pod_is(runner, "to start its runner", LATER, |pod| {
                let statuses = pod["status"]["containerStatuses"].as_array();
                statuses.into_iter().flatten().any(|status| status["started"] == true)
                    || has_ended(pod)
            })
            .await?;
        ensure!(init(&pod, "init-dind-externals") == Some(0), "{:#}", pod["status"]);
        let end = arc.ended(runner, LATER).await?;
        ensure!(end == End::Succeeded, "{end:?}");
        let pod = completed(&arc, runner).await?;
        let node = text(&pod, "/spec/nodeName");
        let node = scene.cluster().get(&format!("/api/v1/nodes/{node}")).await?;
        ensure!(node["metadata"]["labels"]["pytorch"] == "yes", "{node:#}");

        let externals = said(&pod, "externals")?;
        ensure!(externals != ["0"] && externals == said(&pod, "inside")?, "{externals:?}");
        let own = said(&pod, "own")?;
        let job: Vec<&str> =
            said(&pod, "job")?.into_iter().filter(|name| name.starts_with("renderD")).collect();
        ensure!(own.len() == 2 && job == own, "the runner has {own:?}, the job {job:?}");
        ensure!(said(&pod, "groups")?.contains(&"110"), "group 110 in the job");
        ensure!(said(&pod, "pod")? == [runner, "node", text(&pod, "/spec/nodeName")], "names");
        seen.extend(own.into_iter().map(str::to_owned));
    }
    ensure!(seen.len() == 4, "two runners share GPUs: {seen:?}");
    Ok(())
}

/// A runner without a job is scaled away: SIGTERM, and nothing that ARC counts as a failure.
async fn idle(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let set = on_real("small.idle.1")?;
    let runner = arc.scale(&set, 1).await?.remove(0);
    arc.pod_is(&runner, "to be ready", LATER, |pod| {
        let conditions = pod["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    })
    .await?;
    arc.scale(&set, 0).await?;
    let path = format!("{}/{runner}", pods(&scene.namespace));
    until("the pod to go", ENDING, || scene.cluster().gone(&path)).await?;
    let pod = dind_ended(&arc, &runner).await?;
    ensure!(init(&pod, "dind") == Some(0), "{:#}", pod["status"]);
    Ok(())
}

/// A runner that ends with 1 and has no job: the pod is made again, of the same name, and patched
/// again.
async fn fails(scene: &Scene) -> anyhow::Result<()> {
    let set = on_real("small.fails.1")?.job("exit 1")?;
    let failed = made_again(scene, &set).await?;
    let exit = terminated(&failed["status"]["containerStatuses"], "runner");
    ensure!(exit == Some(1), "{:#}", failed["status"]);
    Ok(())
}

/// An init container of the author's that fails: ARC looks at those first.
async fn init_fails(scene: &Scene) -> anyhow::Result<()> {
    let set = on_real("small.init.1")?.edit(|runner| {
        runner["spec"]["spec"]["initContainers"] =
            json!([{"name": "broken", "image": "busybox:latest", "command": ["sh", "-c", "exit 3"]}]);
    });
    let failed = made_again(scene, &set).await?;
    ensure!(init(&failed, "broken") == Some(3), "{:#}", failed["status"]);
    let exit = terminated(&failed["status"]["containerStatuses"], "runner");
    ensure!(exit.is_none(), "{:#}", failed["status"]);
    Ok(())
}

/// Waits for a set's runner to fail and for its second pod; returns the first as it had failed.
async fn made_again(scene: &Scene, set: &ScaleSet) -> anyhow::Result<Value> {
    let arc = scene.controller().await?;
    let runner = arc.scale(set, 1).await?.remove(0);
    let pods = until("a second pod of the same name", LATER, || async {
        let attempts = arc.attempts(&runner).into_iter();
        let pods: Vec<Value> = attempts.filter_map(|attempt| attempt.result.ok()).collect();
        Ok(if pods.len() > 1 {
            Look::Seen(pods)
        } else {
            let last = arc.last_seen(&runner).map(|pod| pod["status"].to_string());
            Look::NotYet(last.unwrap_or_else(|| "no pod".to_owned()))
        })
    })
    .await?;
    for pod in &pods {
        ensure!(pod.pointer(STATUS).is_some(), "{pod:#}");
    }
    arc.failed_pods().into_iter().next().context("no failed pod")
}

/// With a job, the EphemeralRunner itself goes, and the set makes another.
async fn fails_at_work(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let set = on_real("small.work.1")?.job("exit 1")?;
    let runner = arc.scale(&set, 1).await?.remove(0);
    arc.assign_job(&runner).await?;
    ensure!(arc.ended(&runner, LATER).await? == End::Replaced);
    let next = until("another runner", SOON, || async {
        Ok(match arc.runners(&set).as_slice() {
            [other] if *other != runner => Look::Seen(other.clone()),
            others => Look::NotYet(others.join(", ")),
        })
    })
    .await?;
    let pod = arc.stored(&next, SOON).await?;
    ensure!(pod.pointer(STATUS).is_some(), "{pod:#}");
    Ok(())
}

/// 7 is the runner's own word for a deprecated version, and comes through the start wrapper.
async fn outdated(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let set = on_real("small.outdated.1")?.job("exit 7")?;
    let runner = arc.scale(&set, 1).await?.remove(0);
    ensure!(arc.ended(&runner, LATER).await? == End::Outdated);
    arc.stored(&runner, SOON).await?;
    Ok(())
}
