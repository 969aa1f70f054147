//! What runs inside the pod (issue 7): how it starts, how it ends, and what it leaves behind, on a
//! node that really runs pods, beside the seed's hand-written pod.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::flow::{dind_ended, init};
use crate::{
    arc::{
        controller::{Controller, End, terminated},
        kinds::Kind,
        scale_set::ScaleSet,
    },
    capabilities::{NODE_LABEL, Need},
    case::{Case, case},
    cluster::{pods, text},
    report::Sample,
    scene::Scene,
    wait::{Look, until},
};

/// Pulling and unpacking images, here and in a nested dockerd, on a machine that is busy.
const LATER: Duration = Duration::from_mins(4);
/// The longest grace period of a pod of ours, and some time for the kubelet.
const ENDING: Duration = Duration::from_mins(2);
/// All steps of `dind.sh` together, which come after the runner's end, and some for the kubelet.
const DIND_ENDS: Duration = Duration::from_secs(35);

/// The seed's own pod.
const SEED: &str = include_str!("../seed.yaml");

/// Where the profile `disk` puts things on the node.
const ON_NODE: &str = "/tmp/arc-rocm-e2e";

pub(crate) fn cases() -> Vec<Case> {
    let real = |case: Case| case.needs(&[Need::RealGpuNode]).within(LATER * 2);
    vec![
        real(case("pod-times-beside-seed", times)).alone().within(LATER * 4),
        real(case("pod-exit-codes", exit_codes)),
        real(case("pod-cancelled-ends-in-order", cancelled)),
        real(case("pod-containers-left-behind", left_behind)),
        real(case("pod-dockerd-dies", killed)),
        real(case("pod-dockerd-never-up", never_up)),
        real(case("pod-limits-bind-containers", limits)),
        real(case("pod-has-job-hooks", hooks)),
        real(case("pod-scripts-from-image", from_image)).needs(&[Need::Service]).alone(),
    ]
}

/// A plain set whose author keeps it on nodes that run pods, with a profile for small ones.
fn on_real(name: &str) -> anyhow::Result<ScaleSet> {
    Ok(ScaleSet::new(Kind::Plain, name)?
        .edit(|runner| runner["spec"]["spec"]["nodeSelector"][NODE_LABEL] = json!("real")))
}

/// Waits until a container has printed `line`, and returns when it did, by its node's clock.
async fn says(scene: &Scene, pod: &str, container: &str, line: &str) -> anyhow::Result<Timestamp> {
    until(&format!("{pod}/{container} to say {line:?}"), LATER, || async {
        let log = scene.log(pod, container, "tailLines=50&timestamps=true").await;
        let said = log.lines().filter_map(|said| said.split_once(' '));
        let at = said.filter(|(_, said)| said.ends_with(line)).find_map(|(at, _)| at.parse().ok());
        Ok(at.map_or(Look::NotYet(log), Look::Seen))
    })
    .await
}

fn has_ended(pod: &Value) -> bool {
    ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"))
}

/// A job that works in a container which ignores SIGTERM, as process 1 does without a handler: the
/// worst that can be left.
const BUSY: &str = "docker run -d busybox:latest sleep 1000; echo at work; sleep 1000";
/// A job that has no container.
const IDLE: &str = "echo at work; sleep 1000";

/// Starts of each pod. The kubelet looks once a second at what has ended, so a start takes up to a
/// second longer than it could. The quickest of eight is within 0.25 s of that in nine of ten runs.
const STARTS: usize = 8;
/// How much later than with the seed's pod a job may start, at best: 0.1 s, and the 0.3 s by which the
/// quickest of `STARTS` equal pods differ in fewer than one of thirty runs.
const LATER_THAN_SEED: Duration = Duration::from_millis(400);

/// From the pod's creation to the job's start, and from SIGTERM to the pod's end, ours and by hand.
async fn times(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let set = on_real("small.start.2")?.job(IDLE)?;
    let mut starts = [Vec::new(), Vec::new()];
    // Of a first round, which is not measured, the node has the images.
    for round in 0..=STARTS {
        let (runner, ours) = start(scene, &arc, &set).await?;
        arc.scale(&set, 0).await?;
        gone(scene, &runner).await?;
        let (seed, seeds) = start_seed(scene, "start", IDLE).await?;
        let path = format!("{}/{seed}?gracePeriodSeconds=1", pods(&scene.namespace));
        scene.cluster().delete(&path).await?;
        gone(scene, &seed).await?;
        if round > 0 {
            starts[0].push(ours);
            starts[1].push(seeds);
        }
    }
    let starts = starts.map(Sample::of);
    for (percent, what) in [(0, "at best"), (50, "median")] {
        let [ours, seeds] = starts.each_ref().map(|sample| sample.percentile(percent) / 1000.0);
        let name = format!("pod created to job started, {what} of {STARTS}");
        scene.figure(&name, &format!("{ours:.2} s (seed's by hand {seeds:.2} s)"));
        ensure!(percent > 0 || ours < seeds + LATER_THAN_SEED.as_secs_f64(), "{starts:?}");
    }
    let ends = [("idle", IDLE), ("busy", BUSY)].map(|(what, job)| end(scene, &arc, what, job));
    futures::future::try_join_all(ends).await?;
    Ok(())
}

/// A runner, and the time from the request that created its pod to its job's start.
async fn start(
    scene: &Scene,
    arc: &Controller,
    set: &ScaleSet,
) -> anyhow::Result<(String, Duration)> {
    let runner = arc.scale(set, 1).await?.remove(0);
    arc.stored(&runner, LATER).await?;
    let asked = arc.attempts(&runner).pop().context("a pod that is stored was asked for")?.at;
    let took = job_started(scene, &runner, asked).await?;
    Ok((runner, took))
}

/// The same of a pod of the seed.
async fn start_seed(scene: &Scene, what: &str, job: &str) -> anyhow::Result<(String, Duration)> {
    let name = format!("by-hand-{what}");
    let pod = SEED
        .replace("name: by-hand", &format!("name: {name}"))
        .replace("value: JOB", &format!("value: {}", json!(job)));
    let asked = Instant::now();
    let all = pods(&scene.namespace);
    scene.cluster().call(Method::POST, &all, "application/yaml", pod.into_bytes()).await?;
    let took = job_started(scene, &name, asked).await?;
    Ok((name, took))
}

async fn job_started(scene: &Scene, pod: &str, asked: Instant) -> anyhow::Result<Duration> {
    let at = says(scene, pod, "runner", "Running job: test").await?;
    says(scene, pod, "runner", "at work").await?;
    let took = at.duration_since(Timestamp::now() - asked.elapsed());
    took.try_into().with_context(|| format!("{took}: the node's clock is not this machine's"))
}

async fn gone(scene: &Scene, pod: &str) -> anyhow::Result<()> {
    let path = format!("{}/{pod}", pods(&scene.namespace));
    until("the pod to go", ENDING, || scene.cluster().gone(&path)).await
}

/// Ends ours and then the seed's pod while a job runs.
async fn end(scene: &Scene, arc: &Controller, what: &str, job: &str) -> anyhow::Result<()> {
    let set = on_real(&format!("small.{what}.2"))?.job(job)?;
    let (runner, _) = start(scene, arc, &set).await?;
    let deleted = Instant::now();
    arc.scale(&set, 0).await?;
    gone(scene, &runner).await?;
    let ours = deleted.elapsed();
    let pod = dind_ended(arc, &runner).await?;
    ensure!(init(&pod, "dind") == Some(0), "{:#}", pod["status"]);

    let (seed, _) = start_seed(scene, what, job).await?;
    let deleted = Instant::now();
    scene.cluster().delete(&format!("{}/{seed}", pods(&scene.namespace))).await?;
    gone(scene, &seed).await?;
    let seeds = deleted.elapsed();
    let value =
        format!("{:.1} s (seed's by hand {:.1} s)", ours.as_secs_f64(), seeds.as_secs_f64());
    scene.figure(&format!("SIGTERM to pod gone, {what} pod"), &value);
    ensure!(ours < seeds, "ours took {ours:?} to end, the seed's {seeds:?}");
    Ok(())
}

/// 0, 1 and 7 are words of the runner's to ARC, and go through the start wrapper as they are.
async fn exit_codes(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    for code in [0, 1, 7] {
        let job = format!("test -s /etc/podinfo/gha-render-devices; docker info; exit {code}");
        let set = on_real(&format!("stock.exit{code}.1"))?.job(&job)?;
        let runner = arc.scale(&set, 1).await?.remove(0);
        let pod = arc
            .pod_is(&runner, "to have a runner that ended", LATER, |pod| {
                terminated(&pod["status"]["containerStatuses"], "runner").is_some()
            })
            .await?;
        let status = &pod["status"];
        let runners = terminated(&status["containerStatuses"], "runner");
        ensure!(runners == Some(code), "exit {code}: {status:#}");
        let image = &pod["spec"]["containers"][0]["image"];
        ensure!(image == "ghcr.io/actions/actions-runner:latest", "{image}");
        // The name serves a second pod where ARC tries again.
        arc.scale(&set, 0).await?;
        gone(scene, &runner).await?;
    }
    Ok(())
}

/// A pod that looks at what the profile `disk` left on the node, prints it, and removes it.
async fn look(scene: &Scene, name: &str, script: &str) -> anyhow::Result<String> {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": scene.namespace},
        "spec": {
            "restartPolicy": "Never",
            "nodeSelector": {NODE_LABEL: "real"},
            "containers": [{
                "name": "look",
                "image": "busybox:latest",
                "command": ["sh", "-c", script],
                "volumeMounts": [{"name": "tmp", "mountPath": "/host"}],
            }],
            "volumes": [{"name": "tmp", "hostPath": {"path": parent(ON_NODE)}}],
        },
    });
    scene.cluster().apply(&pod).await?;
    let path = format!("{}/{name}", pods(&scene.namespace));
    let status = until("the look", LATER, || async {
        let pod = scene.cluster().get(&path).await?;
        Ok(if has_ended(&pod) {
            Look::Seen(pod["status"].clone())
        } else {
            Look::NotYet(pod["status"].to_string())
        })
    })
    .await?;
    ensure!(status["phase"] == "Succeeded", "{status:#}");
    Ok(scene.log(name, "look", "tailLines=1000").await)
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(parent, _)| parent)
}

fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// What is in dockerd's data root on the node.
async fn data_root(scene: &Scene, name: &str, runner: &str) -> anyhow::Result<String> {
    look(scene, name, &format!("ls -A /host/{}/{runner}/docker", name_of(ON_NODE))).await
}

/// Removes what is on the node, and says what a job's container wrote to /out.
async fn wrote(scene: &Scene, runner: &str) -> anyhow::Result<String> {
    let folder = format!("/host/{}", name_of(ON_NODE));
    let script = format!(
        "cat {folder}/{runner}/out/* 2>/dev/null; rm -rf {folder}/{runner}; rmdir {folder} 2>/dev/null || :"
    );
    look(scene, "wrote", &script).await
}

/// A container that tells how it ended.
const TELLS: &str = r#"docker run -d -v /out:/out busybox:latest sh -c '
    trap "echo stopped >/out/end; exit 0" TERM
    echo killed >/out/end
    while :; do sleep 0.1; done'
until [ -s /out/end ]; do sleep 0.1; done"#;

/// The data root is gone only when dockerd has ended, and the container was told to stop first.
async fn ended_in_order(scene: &Scene, runner: &str) -> anyhow::Result<()> {
    let left = data_root(scene, "after", runner).await?;
    ensure!(left.trim().is_empty(), "in the data root: {left}");
    let end = wrote(scene, runner).await?;
    ensure!(end.trim() == "stopped", "the job's container was {end:?}");
    Ok(())
}

/// A pod that is deleted while its job runs a container: SIGTERM for the runner, then for the
/// container, then for dockerd; dind ends with 0.
async fn cancelled(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let set = on_real("disk.cancelled.1")?
        .job(&format!("sudo chmod 777 /out\n{TELLS}\necho at work; sleep 1000"))?;
    let runner = arc.scale(&set, 1).await?.remove(0);
    says(scene, &runner, "runner", "at work").await?;
    let there = data_root(scene, "before", &runner).await?;
    ensure!(there.contains("overlay2") || there.contains("containers"), "{there:?}");
    let start = Instant::now();
    arc.scale(&set, 0).await?;
    gone(scene, &runner).await?;
    ensure!(start.elapsed() < DIND_ENDS, "{:?}", start.elapsed());
    let pod = dind_ended(&arc, &runner).await?;
    ensure!(init(&pod, "dind") == Some(0), "{:#}", pod["status"]);
    ensure!(pod["spec"]["terminationGracePeriodSeconds"] == 90, "{:#}", pod["spec"]);
    ended_in_order(scene, &runner).await
}

/// A job that ends well and leaves a container running.
async fn left_behind(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let set = on_real("disk.left.1")?.job(&format!("sudo chmod 777 /out\n{TELLS}"))?;
    let runner = arc.scale(&set, 1).await?.remove(0);
    let end = arc.ended(&runner, LATER).await?;
    ensure!(end == End::Succeeded, "{end:?}");
    let start = Instant::now();
    gone(scene, &runner).await?;
    ensure!(start.elapsed() < DIND_ENDS, "{:?}", start.elapsed());
    let pod = dind_ended(&arc, &runner).await?;
    ensure!(init(&pod, "dind") == Some(0), "{:#}", pod["status"]);
    ended_in_order(scene, &runner).await
}

/// The first pod that ARC counted as failed, once it has made another of the same name.
async fn made_again(arc: &Controller, runner: &str) -> anyhow::Result<Value> {
    until("a second pod of the same name", LATER, || async {
        let count = arc.attempts(runner).iter().filter(|attempt| attempt.result.is_ok()).count();
        Ok(if count > 1 { Look::Seen(()) } else { Look::NotYet(format!("{count} pods")) })
    })
    .await?;
    arc.failed_pods().into_iter().next().context("no failed pod")
}

/// The job itself kills dockerd, which is in the process namespace that it shares with dind.
async fn killed(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    // Again and again: the kubelet starts dind anew, and an end that it never told of is no end to ARC.
    let job = "while :; do docker run --rm --pid=host busybox:latest killall -9 dockerd || :; sleep 1; done";
    let set = on_real("small.killed.1")?.job(job)?;
    let runner = arc.scale(&set, 1).await?.remove(0);
    let failed = made_again(&arc, &runner).await?;
    let code = init(&failed, "dind");
    ensure!(code.is_some_and(|code| code != 0), "dind ended with {code:?}: {failed:#}");
    Ok(())
}

/// dind says why and ends with an error, which ARC notices; the start wrapper waits, and no job runs.
async fn never_up(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let set = on_real("broken.never.1")?.job("exit 0")?;
    let runner = arc.scale(&set, 1).await?.remove(0);
    let failed = made_again(&arc, &runner).await?;
    ensure!(init(&failed, "dind").is_some_and(|code| code != 0), "{:#}", failed["status"]);
    // The job would end with 0.
    let runners = terminated(&failed["status"]["containerStatuses"], "runner");
    ensure!(runners != Some(0), "{:#}", failed["status"]);
    Ok(())
}

/// A container's memory counts as the pod's, and one that takes more than the pod may have ends
/// without taking dockerd along. Its score makes it the first to be killed also where dind may not
/// lower dockerd's, which some machines of tests forbid even to root.
async fn limits(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let job = r#"
        docker run --rm --cgroupns=host busybox:latest cat /proc/self/cgroup >/tmp/cgroup
        status=0
        docker run --rm --oom-score-adj=1000 busybox:latest dd if=/dev/zero of=/dev/null bs=600M count=1 || status=$?
        docker run --rm busybox:latest true
        { grep -e :memory: -e ^0:: /tmp/cgroup; echo "status $status"; } >/dev/termination-log"#;
    let set = on_real("tight.limits.1")?.job(job)?;
    let runner = arc.scale(&set, 1).await?.remove(0);
    let pod = arc.pod_is(&runner, "to have ended", LATER, has_ended).await?;
    let statuses = pod["status"]["containerStatuses"].as_array();
    let mut statuses = statuses.into_iter().flatten();
    let Some(status) = statuses.find(|status| status["name"] == "runner") else {
        bail!("no runner: {:#}", pod["status"]);
    };
    let said = text(status, "/state/terminated/message");
    let uid = text(&pod, "/metadata/uid");
    // systemd's names have `_` for `-`.
    let systemds = uid.replace('-', "_");
    let inside = |line: &str| line.contains(uid) || line.contains(&systemds);
    let mut cgroups = said.lines().filter(|line| !line.starts_with("status "));
    ensure!(!uid.is_empty() && cgroups.clone().count() > 0 && cgroups.all(inside), "{said}");
    // 137: by the kernel's SIGKILL.
    ensure!(said.lines().any(|line| line == "status 137"), "{said}");
    ensure!(terminated(&pod["status"]["containerStatuses"], "runner") == Some(0), "{pod:#}");
    ensure!(init(&pod, "dind") == Some(0), "{:#}", pod["status"]);
    Ok(())
}

/// The hooks are where their variables say, and do what the runner would have them do: the job runs
/// them as it does.
const HOOKS: &str = r#"
    bash -e "$ACTIONS_RUNNER_HOOK_JOB_STARTED"
    docker run -d --name left busybox:latest sleep 1000
    bash -e "$ACTIONS_RUNNER_HOOK_JOB_COMPLETED"
    test -z "$(docker ps -q)""#;

/// The pod of a runner whose job has succeeded.
async fn succeeded(scene: &Scene, name: &str, job: &str) -> anyhow::Result<Value> {
    let arc = scene.controller().await?;
    let runner = arc.scale(&on_real(name)?.job(job)?, 1).await?.remove(0);
    let end = arc.ended(&runner, LATER).await?;
    ensure!(end == End::Succeeded, "{end:?}");
    arc.pod_is(&runner, "to have ended", ENDING, has_ended).await
}

async fn hooks(scene: &Scene) -> anyhow::Result<()> {
    let pod = succeeded(scene, "hooks.job.1", HOOKS).await?;
    ensure!(init(&pod, "init-job-hooks") == Some(0), "{:#}", pod["status"]);
    Ok(())
}

/// Runner, dind and hooks run the files of the webhook's image, which nothing in the pod can change.
async fn from_image(scene: &Scene) -> anyhow::Result<()> {
    let installation = scene.world.installation.lock().await;
    let path = installation.deployment();
    let deployment = scene.cluster().get(&path).await?;
    let before = &deployment["spec"]["template"]["spec"]["containers"];
    let mut after = before.clone();
    let flag = format!("--scripts-image={}", text(before, "/0/image"));
    after[0]["args"].as_array_mut().context("the webhook's args")?.push(flag.into());
    let roll_out = async |containers: &Value| {
        let template = json!({"spec": {"containers": containers}});
        scene.cluster().merge(&path, &json!({"spec": {"template": template}})).await?;
        installation.rolled_out(scene.cluster()).await?;
        // A replica that drains still answers on the connections that it has.
        until("the replicas before to end", LATER, || async {
            let replicas = installation.listeners(scene.cluster()).await?.len();
            let ready = installation.ready_endpoints(scene.cluster()).await?.len();
            let what = || Look::NotYet(format!("{replicas} replicas, {ready} ready"));
            Ok(if replicas == ready { Look::Seen(()) } else { what() })
        })
        .await
    };
    roll_out(&after).await?;
    let job = format!("test -s /etc/podinfo/gha-render-devices\n! touch /opt/arc-rocm/x\n{HOOKS}");
    let pod = succeeded(scene, "hooks.image.1", &job).await;
    roll_out(before).await?;
    let pod = pod?;
    let spec = &pod["spec"];
    ensure!(spec["containers"][0]["command"][1] == "/opt/arc-rocm/start", "{spec:#}");
    ensure!(init(&pod, "init-job-hooks").is_none(), "{:#}", pod["status"]);
    ensure!(init(&pod, "dind") == Some(0), "{:#}", pod["status"]);
    let sidecars = spec["initContainers"].as_array().into_iter().flatten();
    let mut sidecars = sidecars.filter(|one| one["command"][1] == "/opt/arc-rocm/dind");
    ensure!(sidecars.next().is_some(), "{spec:#}");
    Ok(())
}
