//! RunnerProfile objects: from `kubectl apply` to the pod, with two replicas of the webhook that
//! watch them.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Child;

use super::seed::container;
use crate::{
    arc::{access, kinds::Kind, scale_set::ScaleSet},
    capabilities::{GPU, Need},
    case::{Case, case},
    cluster::{Cluster, Refused, text},
    hook::{Hook, Verdict},
    install::free_port,
    probe, program,
    scene::Scene,
    settings::root,
    wait::{Look, until},
};

const SOON: Duration = Duration::from_secs(30);
/// From an applied object to the answer that has it: the watch, the quiet, the compilation. It takes
/// half a second, so that only an event that was lost reaches this.
const IN_FORCE: Duration = Duration::from_secs(20);
/// Twice what the counts of one replica wait at most.
const COUNTED: Duration = Duration::from_secs(80);
const MANY: usize = 1000;
const MANY_IN_FORCE: Duration = Duration::from_mins(4);
const PROFILES: &str = "/apis/arc-rocm.dev/v1alpha1/runnerprofiles";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("profile-objects", async |scene: &Scene| by_themselves(scene, life).await)
            .needs(&[Need::Host])
            .alone(),
        case("profile-objects-are-counted-by-all", async |scene: &Scene| {
            by_themselves(scene, counted).await
        })
        .needs(&[Need::Host])
        .alone(),
        case("profile-objects-that-are-invalid", invalid).needs(&[Need::Host]).alone(),
        case("profile-objects-by-the-thousand", async |scene: &Scene| {
            by_themselves(scene, thousand).await
        })
        .needs(&[Need::Host])
        .alone()
        .within(Duration::from_mins(8)),
    ]
}

/// Runs a case whose namespace the suite's own webhook does not see: its profiles match every
/// scale set, and the first webhook wins.
async fn by_themselves(
    scene: &Scene,
    run: impl AsyncFn(&Scene) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let webhook = scene.world.installation.lock().await;
    let cluster = scene.cluster();
    let path = webhook.registration();
    let before = cluster.get(&path).await?;
    let mut webhooks = before["webhooks"].clone();
    let own = json!({
        "key": "kubernetes.io/metadata.name",
        "operator": "NotIn",
        "values": [&scene.namespace],
    });
    match &mut webhooks[0]["namespaceSelector"]["matchExpressions"] {
        Value::Array(expressions) => expressions.push(own),
        none => *none = json!([own]),
    }
    cluster.merge(&path, &json!({"webhooks": webhooks})).await?;
    access::grant(cluster, &scene.namespace).await?;
    let result = run(scene).await;
    cluster.merge(&path, &json!({"webhooks": before["webhooks"]})).await?;
    result
}

/// A process that watches the objects, and serves on a port of its own.
struct Replica {
    port: u16,
    folder: TempDir,
    _process: Child,
}

impl Replica {
    async fn start(scene: &Scene) -> anyhow::Result<Self> {
        let host = scene.host()?;
        let folder = TempDir::new()?;
        program::certs(&scene.world.settings, folder.path(), host).await?;
        let [port, admin] = [free_port(host)?, free_port(host)?];
        let process = program::serve(&scene.world.settings, &folder.path().join("log"))?
            .arg("--watch-profiles")
            .args(["--bind", &format!("{host}:{port}")])
            .args(["--admin-bind", &format!("{host}:{admin}")])
            .args(program::pair(folder.path()))
            .spawn()
            .context("arc-rocm serve --watch-profiles")?;
        until("a replica to listen", SOON, || async {
            Ok(match tokio::net::TcpStream::connect((host, port)).await {
                Ok(_) => Look::Seen(()),
                Err(error) => Look::NotYet(error.to_string()),
            })
        })
        .await?;
        Ok(Self { port, folder, _process: process })
    }

    /// Registers it for the case's namespace.
    async fn register(&self, scene: &Scene) -> anyhow::Result<()> {
        let hook = Hook::serve(scene.host()?, |_| Verdict::Allow).await?;
        let name = format!("z-objects-{}", scene.namespace);
        let mut registration = hook.registration(&name, &scene.namespace);
        let ca = fs::read(self.folder.path().join("ca.crt"))?;
        registration["webhooks"][0]["clientConfig"] = json!({
            "url": format!("https://{}:{}/mutate", scene.host()?, self.port),
            "caBundle": base64::Engine::encode(&base64::prelude::BASE64_STANDARD, ca),
        });
        scene.apply(&registration).await?;
        // The API server takes a changed registration in its own time.
        let by_arc = scene.cluster().by(&access::user())?;
        // Of before the first call: a line is written in its own time, so a later count may have it.
        let before = self.answers();
        until("the replica alone to be called", SOON, || async {
            let pod = probe::runner_pod_of(&scene.namespace, "nobodys")?;
            let reply = match probe::dry_run(&by_arc, &scene.namespace, &pod).await {
                Ok(reply) => reply,
                // Whom it calls until then may have ended.
                Err(refused) if refused.code == 500 => {
                    return Ok(Look::NotYet(refused.to_string()));
                }
                Err(refused) => return Err(refused.into()),
            };
            let is_called = self.answers() > before;
            // The suite's profile for all scale sets.
            let by_other = text(&reply.object, probe::STATUS).contains("\"fleet\"");
            Ok(if is_called && !by_other { Look::Seen(()) } else { Look::NotYet(self.log()) })
        })
        .await
    }

    /// How many reviews it has answered, by its log.
    fn answers(&self) -> usize {
        self.log().lines().filter(|line| line.contains("\"outcome\":")).count()
    }

    /// How many pods it has patched, by its log.
    fn patched(&self) -> usize {
        self.log().lines().filter(|line| line.contains("\"outcome\":\"patched\"")).count()
    }

    /// The log so far, for who asks why.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// Installs the definition that is committed, and waits until the API server has the kind.
async fn install(scene: &Scene) -> anyhow::Result<()> {
    let path = root().join("deploy/helm/arc-rocm/crds/runnerprofiles.arc-rocm.dev.yaml");
    let at = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/runnerprofiles.arc-rocm.dev\
              ?fieldManager=e2e&force=true&fieldValidation=Strict";
    let apply = "application/apply-patch+yaml";
    scene.cluster().call(Method::PATCH, at, apply, fs::read(path)?).await?;
    until("the kind to be served", SOON, || async {
        Ok(match scene.cluster().find(PROFILES).await {
            Ok(Some(_)) => Look::Seen(()),
            Ok(None) => Look::NotYet("404".to_owned()),
            // Of a kind that is new: "storage is (re)initializing".
            Err(refused) if refused.code == 429 => Look::NotYet(refused.to_string()),
            Err(refused) => return Err(refused.into()),
        })
    })
    .await?;
    scene.cluster().delete(PROFILES).await?;
    Ok(())
}

fn object(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "arc-rocm.dev/v1alpha1",
        "kind": "RunnerProfile",
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// Server-side apply of an object's spec.
async fn apply(cluster: &Cluster, name: &str, spec: &Value) -> Result<Value, Refused> {
    let path = format!("{PROFILES}/{name}?fieldManager=e2e&force=true&fieldValidation=Strict");
    let body = object(name, spec).to_string().into_bytes();
    let reply = cluster.call(Method::PATCH, &path, "application/apply-patch+yaml", body).await?;
    Ok(reply.object)
}

fn spec(cpu: &str) -> Value {
    json!({
        "extends": "rocm",
        "match": {"scaleSets": ["objects-{gpus}"]},
        "gpu": {"perGpu": {"cpu": cpu}, "total": {"cpu": null}},
        "template": {"spec": {"nodeSelector": {"pytorch": null}}},
    })
}

fn condition<'v>(object: &'v Value, kind: &str) -> (&'v str, &'v str, &'v str) {
    let all = object["status"]["conditions"].as_array();
    let one = all.into_iter().flatten().find(|one| one["type"] == kind);
    one.map_or(("", "", ""), |one| {
        (text(one, "/status"), text(one, "/reason"), text(one, "/message"))
    })
}

/// Waits until the status says so of the newest generation.
async fn told(
    scene: &Scene,
    name: &str,
    accepted: &str,
    ready: &str,
    within: Duration,
) -> anyhow::Result<Value> {
    until(&format!("{name}: {accepted}, {ready}"), within, || async {
        let object = scene.cluster().get(&format!("{PROFILES}/{name}")).await?;
        let is_newest = object["status"]["conditions"][0]["observedGeneration"]
            == object["metadata"]["generation"];
        let reasons = (condition(&object, "Accepted").1, condition(&object, "Ready").1);
        Ok(if is_newest && reasons == (accepted, ready) {
            Look::Seen(object)
        } else {
            Look::NotYet(object["status"].to_string())
        })
    })
    .await
}

/// What the next runner of the scale set asks for, once it is `cpu`; how long that took.
async fn runner_asks(scene: &Scene, set: &str, cpu: &str) -> anyhow::Result<(Value, Duration)> {
    runner_asks_within(scene, set, cpu, IN_FORCE).await
}

async fn runner_asks_within(
    scene: &Scene,
    set: &str,
    cpu: &str,
    within: Duration,
) -> anyhow::Result<(Value, Duration)> {
    let start = Instant::now();
    let by_arc = scene.cluster().by(&access::user())?;
    let pod = until(&format!("a pod with cpu {cpu:?}"), within, || async {
        let pod = probe::runner_pod_of(&scene.namespace, set)?;
        let pod = probe::dry_run(&by_arc, &scene.namespace, &pod).await?.object;
        let asked = container(&pod, "runner")["resources"]["requests"]["cpu"].clone();
        Ok(if asked.as_str().unwrap_or_default() == cpu {
            Look::Seen(pod)
        } else {
            Look::NotYet(asked.to_string())
        })
    })
    .await?;
    Ok((pod, start.elapsed()))
}

async fn life(scene: &Scene) -> anyhow::Result<()> {
    install(scene).await?;
    let replica = Replica::start(scene).await?;
    replica.register(scene).await?;
    let cluster = scene.cluster();

    apply(cluster, "fleet", &spec("10")).await?;
    let (pod, took) = runner_asks(scene, "objects-2", "20").await?;
    scene.figure("from an applied RunnerProfile to the first pod that gets it", &ms(took));
    ensure!(container(&pod, "runner")["resources"]["limits"][GPU] == "2", "{pod:#}");
    // The inherited selector was taken away by null, which was stored.
    ensure!(pod["spec"]["nodeSelector"]["pytorch"].is_null(), "{pod:#}");
    let told_first = told(scene, "fleet", "Accepted", "InForce", IN_FORCE).await?;

    let mut bad = spec("11");
    bad["template"]["spec"]["nodeSelectr"] = json!({});
    apply(cluster, "fleet", &bad).await?;
    let refused = told(scene, "fleet", "Invalid", "LastGoodInForce", IN_FORCE).await?;
    let message = condition(&refused, "Accepted").2;
    ensure!(message.contains("spec.template.spec.nodeSelectr: unknown field"), "{message}");
    ensure!(refused["status"]["accepted"] == told_first["status"]["accepted"], "{refused:#}");
    runner_asks(scene, "objects-2", "20").await?;

    // A replica that has never seen the good spec has it from the status.
    let later = Replica::start(scene).await?;
    // The API server calls the first until it knows of the other.
    later.register(scene).await?;
    drop(replica);
    runner_asks(scene, "objects-2", "20").await.with_context(|| later.log())?;

    apply(cluster, "fleet", &spec("12")).await?;
    runner_asks(scene, "objects-2", "24").await?;
    let mended = told(scene, "fleet", "Accepted", "InForce", IN_FORCE).await?;
    ensure!(mended["status"]["lastError"].is_null(), "{mended:#}");

    let mut fallback = spec("3");
    fallback["match"]["scaleSets"] = json!(["objects-*"]);
    fallback["gpu"]["count"] = json!(1);
    fallback["priority"] = json!(-1);
    apply(cluster, "fallback", &fallback).await?;
    told(scene, "fallback", "Accepted", "InForce", IN_FORCE).await?;
    runner_asks(scene, "objects-2", "24").await?;
    cluster.delete(&format!("{PROFILES}/fleet")).await?;
    let (_, took) = runner_asks(scene, "objects-2", "3").await?;
    scene.figure("from a deleted RunnerProfile to the first pod of the next one", &ms(took));
    cluster.delete(PROFILES).await?;
    Ok(())
}

async fn counted(scene: &Scene) -> anyhow::Result<()> {
    install(scene).await?;
    let replicas = [Replica::start(scene).await?, Replica::start(scene).await?];
    apply(scene.cluster(), "counted", &spec("1")).await?;
    told(scene, "counted", "Accepted", "InForce", IN_FORCE).await?;
    let arc = scene.controller().await?;
    for (replica, gpus) in replicas.iter().zip([1, 2]) {
        replica.register(scene).await?;
        let set = format!("objects-{gpus}");
        for runner in arc.scale(&ScaleSet::new(Kind::Plain, &set)?, 3).await? {
            arc.stored(&runner, SOON).await?;
        }
    }
    let start = Instant::now();
    // A line of the log is written after the answer.
    let (one, other) = until("all pods to be in the logs", SOON, || async {
        let (one, other) = (replicas[0].patched(), replicas[1].patched());
        Ok(if one >= 3 && other >= 3 {
            Look::Seen((one, other))
        } else {
            Look::NotYet(format!("{one} and {other} pods"))
        })
    })
    .await?;
    let path = format!("{PROFILES}/counted");
    until("both replicas' pods to be counted", COUNTED, || async {
        let patched = scene.cluster().get(&path).await?["status"]["podsPatched"].clone();
        let is_sum = patched == json!(one + other);
        Ok(if is_sum {
            Look::Seen(())
        } else {
            Look::NotYet(format!("{patched}, not {one} + {other}"))
        })
    })
    .await?;
    scene.figure("from the last pod of two replicas to a count that has all", &ms(start.elapsed()));
    scene.cluster().delete(PROFILES).await?;
    Ok(())
}

/// What the definition rules out is refused at once; what only the compiler knows, in the status.
async fn invalid(scene: &Scene) -> anyhow::Result<()> {
    install(scene).await?;
    let _replica = Replica::start(scene).await?;
    let cluster = scene.cluster();
    let two = json!({"name": "a", "mountPath": "/a", "emptyDir": {}, "nfs": {"server": "s", "path": "/"}});
    let refused = [
        ("rocm", json!({})),
        ("itself", json!({"extends": "itself"})),
        ("unknown", json!({"gpus": 2})),
        ("two", json!({"sharedVolumes": [two]})),
        ("roots", json!({"dind": {"dataRoot": {"emptyDir": {}, "ephemeral": {}}}})),
        ("far", json!({"priority": 3_000_000_000_u64})),
        ("word", json!({"start": {"isolation": "Some"}})),
        ("empty", json!({"match": {"scaleSets": []}})),
        ("many", json!({"gpu": {"count": 65}})),
    ];
    for (name, spec) in &refused {
        let answer = apply(cluster, name, spec).await;
        ensure!(answer.is_err(), "{name} is stored: {spec}");
    }
    let reported = [
        ("base", json!({"extends": "nobody"}), "there is no valid profile"),
        ("typo", json!({"template": {"spec": {"tolerationss": []}}}), "unknown field"),
        ("quantity", json!({"gpu": {"total": {"cpu": "much"}}}), "spec.gpu.total.cpu"),
        ("resource", json!({"gpu": {"resource": "not one"}}), "spec.gpu.resource"),
    ];
    for (name, spec, _) in &reported {
        apply(cluster, name, spec).await?;
    }
    for (name, _, message) in &reported {
        let object = told(scene, name, "Invalid", "LeftOut", IN_FORCE).await?;
        let said = condition(&object, "Accepted").2;
        ensure!(said.contains(message), "{name}: {said}");
        ensure!(text(&object, "/status/lastError").contains(message), "{name}: {said}");
    }
    cluster.delete(PROFILES).await?;
    Ok(())
}

async fn thousand(scene: &Scene) -> anyhow::Result<()> {
    install(scene).await?;
    let replicas = [Replica::start(scene).await?, Replica::start(scene).await?];
    replicas[0].register(scene).await?;
    let start = Instant::now();
    for index in 0..MANY {
        let mut spec = spec("2");
        spec["match"]["scaleSets"] = json!([format!("objects-n{index:04}-{{gpus}}")]);
        apply(scene.cluster(), &format!("n{index:04}"), &spec).await?;
    }
    scene.figure("1,000 RunnerProfiles applied one after the other", &ms(start.elapsed()));
    let last = Instant::now();
    let (_, took) = runner_asks_within(scene, "objects-n0999-4", "8", MANY_IN_FORCE).await?;
    scene.figure("from the last of 1,000 to a pod that gets it", &ms(took));
    until("1,000 statuses", MANY_IN_FORCE, || async {
        let all = scene.cluster().list(PROFILES).await?;
        let ready = all.iter().filter(|one| condition(one, "Ready").1 == "InForce").count();
        Ok(if ready == MANY { Look::Seen(()) } else { Look::NotYet(ready.to_string()) })
    })
    .await?;
    scene.figure("from the last of 1,000 to the last status", &ms(last.elapsed()));
    scene.cluster().delete(PROFILES).await?;
    Ok(())
}

fn ms(took: Duration) -> String {
    format!("{} ms", took.as_millis())
}
