//! RunnerProfile objects: from `kubectl apply` to the pod, with two replicas of the webhook that
//! watch them.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Child;

use super::seed::container;
use crate::{
    arc::access,
    capabilities::{GPU, Need},
    case::{Case, case},
    cluster::{Cluster, Refused, path_of, text},
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
const MANY: usize = 1000;
const MANY_IN_FORCE: Duration = Duration::from_mins(4);
const PROFILES: &str = "/apis/arc-rocm.dev/v1alpha1/runnerprofiles";
/// What is wrong with [`two_problems`]: a field that there is not, and a value that is not valid.
const TWO_PROBLEMS: [&str; 2] =
    ["spec.template.spec.nodeSelectr: unknown field", "spec.gpu.resource: "];

pub(crate) fn cases() -> Vec<Case> {
    let alone = |case: Case| case.needs(&[Need::Host]).alone();
    vec![
        alone(case("profile-objects", life)).own_webhook(),
        alone(case("profile-objects-refused-by-kubectl-apply", refused_by_kubectl))
            .needs(&[Need::Kubectl]),
        alone(case("profile-objects-that-break-others", breaking)),
        alone(case("profile-objects-stored-unseen", unseen)),
        alone(case("profile-objects-that-the-definition-refuses", undefined)),
        alone(case("profile-objects-by-the-thousand", thousand))
            .own_webhook()
            .within(Duration::from_mins(8)),
    ]
}

/// A process that watches the objects, and serves on a port of its own.
struct Replica {
    host: String,
    port: u16,
    admin: u16,
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
        Ok(Self { host: host.to_owned(), port, admin, folder, _process: process })
    }

    /// Registers it for the case's namespace, where the suite's own webhook is not called: its
    /// profiles match every scale set, and the first webhook wins.
    async fn register(&self, scene: &Scene) -> anyhow::Result<()> {
        access::grant(scene.cluster(), &scene.namespace).await?;
        let hook = Hook::serve(scene.host()?, |_| Verdict::Allow).await?;
        let name = format!("z-objects-{}", scene.namespace);
        let mut registration = hook.registration(&name, &scene.namespace);
        registration["webhooks"][0]["clientConfig"] = self.client_config(scene, "mutate")?;
        scene.apply(&registration).await?;
        // The API server takes a changed registration in its own time.
        let by_arc = scene.cluster().by(&access::user())?;
        // Of before the first call: a line is written in its own time, so a later count may have it.
        let before = self.answers();
        until("the replica alone to be called", SOON, || async {
            let pod = probe::runner_pod_of(&scene.namespace, "unmatched")?;
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

    /// How the API server finds a path of it.
    fn client_config(&self, scene: &Scene, path: &str) -> anyhow::Result<Value> {
        let ca = fs::read(self.folder.path().join("ca.crt"))?;
        Ok(json!({
            "url": format!("https://{}:{}/{path}", scene.host()?, self.port),
            "caBundle": base64::Engine::encode(&base64::prelude::BASE64_STANDARD, ca),
        }))
    }

    /// Registers it for RunnerProfiles, as the chart does. Returns the path of the registration.
    async fn validate(&self, scene: &Scene) -> anyhow::Result<String> {
        let registration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": format!("z-profiles-{}", scene.namespace)},
            "webhooks": [{
                "name": "validate.arc-rocm.dev",
                "clientConfig": self.client_config(scene, "validate")?,
                "rules": [{
                    "apiGroups": ["arc-rocm.dev"],
                    "apiVersions": ["v1alpha1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["runnerprofiles"],
                    "scope": "Cluster",
                }],
                "admissionReviewVersions": ["v1"],
                "failurePolicy": "Ignore",
                "matchPolicy": "Equivalent",
                "sideEffects": "None",
                "timeoutSeconds": 5,
            }],
        });
        scene.apply(&registration).await?;
        // The API server takes a changed registration in its own time.
        until("RunnerProfiles to be reviewed", SOON, || async {
            let path = format!("{PROFILES}?dryRun=All");
            Ok(match scene.cluster().create(&path, &object("probe", &two_problems())).await {
                Err(refused) if refused.code == 422 => Look::Seen(()),
                Err(refused) => return Err(refused.into()),
                Ok(_) => Look::NotYet("not reviewed".to_owned()),
            })
        })
        .await
        .with_context(|| self.log())?;
        path_of(&registration)
    }

    /// The value of a metric.
    async fn metric(&self, series: &str) -> anyhow::Result<String> {
        let admin = format!("{}:{}", self.host, self.admin);
        let text = super::certificates::get(admin.parse()?, "/metrics").await?;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(value.unwrap_or_default().to_owned())
    }

    /// How many reviews it has answered, by its log.
    fn answers(&self) -> usize {
        self.log().lines().filter(|line| line.contains("\"outcome\":")).count()
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

/// A profile for `objects-GPUS`, each GPU with as many CPUs.
fn spec(cpu: &str) -> Value {
    json!({
        "match": {"scaleSets": ["objects-{gpus}"]},
        "gpu": {"perGpu": {"cpu": cpu}},
    })
}

/// [`TWO_PROBLEMS`].
fn two_problems() -> Value {
    json!({"gpu": {"resource": "not one"}, "template": {"spec": {"nodeSelectr": {}}}})
}

/// A base with a volume, or without it.
fn base(has_volume: bool) -> Value {
    let volumes = if has_volume { json!([{"name": "data", "emptyDir": {}}]) } else { json!([]) };
    json!({"template": {"spec": {"volumes": volumes}}})
}

/// A profile that mounts the base's volume.
fn child() -> Value {
    let mounts = json!([{"name": "data", "mountPath": "/data"}]);
    let containers = json!([{"name": "runner", "volumeMounts": mounts}]);
    json!({"extends": "common", "template": {"spec": {"containers": containers}}})
}

/// Condition `Accepted`: status and message.
fn accepted(object: &Value) -> (&str, &str) {
    let all = object["status"]["conditions"].as_array();
    let one = all.into_iter().flatten().find(|one| one["type"] == "Accepted");
    one.map_or(("", ""), |one| (text(one, "/status"), text(one, "/message")))
}

/// Waits until the condition `Accepted` of the newest generation has this status.
async fn is_accepted(scene: &Scene, name: &str, wanted: &str) -> anyhow::Result<Value> {
    until(&format!("{name}: Accepted {wanted}"), IN_FORCE, || async {
        let object = scene.cluster().get(&format!("{PROFILES}/{name}")).await?;
        let is_newest = object["status"]["conditions"][0]["observedGeneration"]
            == object["metadata"]["generation"];
        Ok(if is_newest && accepted(&object).0 == wanted {
            Look::Seen(object)
        } else {
            Look::NotYet(object["status"].to_string())
        })
    })
    .await
}

/// Applies an object that is refused with 422 and all of these words.
async fn refused(
    cluster: &Cluster,
    name: &str,
    spec: &Value,
    words: &[&str],
) -> anyhow::Result<()> {
    let Err(refused) = apply(cluster, name, spec).await else { bail!("{name} is stored: {spec}") };
    ensure!((refused.code, refused.reason.as_str()) == (422, "Invalid"), "{refused}");
    for word in words {
        ensure!(refused.message.contains(word), "no {word:?} in: {refused}");
    }
    Ok(())
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
    replica.validate(scene).await?;
    let cluster = scene.cluster();

    apply(cluster, "fleet", &spec("10")).await?;
    let (pod, took) = runner_asks(scene, "objects-2", "20").await?;
    scene.figure("from an applied RunnerProfile to the first pod that gets it", &ms(took));
    ensure!(container(&pod, "runner")["resources"]["limits"][GPU] == "2", "{pod:#}");
    is_accepted(scene, "fleet", "True").await?;

    let mut bad = spec("11");
    bad["template"] = json!({"spec": {"nodeSelectr": {}}});
    refused(cluster, "fleet", &bad, &["spec.template.spec.nodeSelectr: unknown field"]).await?;
    runner_asks(scene, "objects-2", "20").await?;
    apply(cluster, "fleet", &spec("12")).await?;
    runner_asks(scene, "objects-2", "24").await?;

    let mut fallback = spec("3");
    fallback["match"]["scaleSets"] = json!(["objects-*"]);
    fallback["gpu"]["count"] = json!(1);
    fallback["priority"] = json!(-1);
    apply(cluster, "fallback", &fallback).await?;
    is_accepted(scene, "fallback", "True").await?;
    runner_asks(scene, "objects-2", "24").await?;
    cluster.delete(&format!("{PROFILES}/fleet")).await?;
    let (_, took) = runner_asks(scene, "objects-2", "3").await?;
    scene.figure("from a deleted RunnerProfile to the first pod of the next one", &ms(took));
    cluster.delete(PROFILES).await?;
    Ok(())
}

/// What a person sees: every problem with its path, by client-side and by server-side apply.
async fn refused_by_kubectl(scene: &Scene) -> anyhow::Result<()> {
    install(scene).await?;
    let replica = Replica::start(scene).await?;
    replica.validate(scene).await?;
    let apply = async |arguments: &[&str], objects: &[Value]| {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        let arguments = [&["apply", "-f", "-"], arguments].concat();
        program::kubectl(&scene.world.settings, &arguments, &list).await
    };
    let bad = object("fleet", &two_problems());
    for arguments in [&[] as &[&str], &["--server-side"], &["--dry-run=server"]] {
        let (is_applied, printed) = apply(arguments, std::slice::from_ref(&bad)).await?;
        ensure!(!is_applied, "applied: {printed}");
        for problem in TWO_PROBLEMS {
            ensure!(printed.contains(problem), "{arguments:?}: no {problem:?} in: {printed}");
        }
        let found = scene.cluster().find(&format!("{PROFILES}/fleet")).await?;
        ensure!(found.is_none(), "stored by {arguments:?}");
    }
    // An edit, beside objects that are good, and that are stored.
    let good = [object("common", &base(true)), object("fleet", &child())];
    let (is_applied, printed) = apply(&[], &good).await?;
    ensure!(is_applied && !printed.contains("Warning"), "{printed}");
    let both = [bad, object("other", &json!({}))];
    let (is_applied, printed) = apply(&[], &both).await?;
    ensure!(!is_applied && printed.contains("other created"), "{printed}");
    ensure!(TWO_PROBLEMS.iter().all(|one| printed.contains(one)), "{printed}");
    let fleet = scene.cluster().get(&format!("{PROFILES}/fleet")).await?;
    ensure!(fleet["metadata"]["generation"] == 1, "{fleet:#}");
    // A base after what extends it is a warning, and both are in force in the end.
    let wrong_order = [object("a", &json!({"extends": "z"})), object("z", &json!({}))];
    let (is_applied, printed) = apply(&[], &wrong_order).await?;
    ensure!(is_applied, "{printed}");
    ensure!(printed.contains("Warning: arc-rocm: spec.extends: there is no profile"), "{printed}");
    for name in ["a", "z"] {
        is_accepted(scene, name, "True").await?;
    }
    scene.cluster().delete(PROFILES).await?;
    Ok(())
}

/// What is in force stays in force: an update may break neither its object nor what extends it. A
/// deletion may.
async fn breaking(scene: &Scene) -> anyhow::Result<()> {
    install(scene).await?;
    let replica = Replica::start(scene).await?;
    replica.validate(scene).await?;
    let cluster = scene.cluster();
    // At once: the webhook may not know the base by its watch yet.
    apply(cluster, "common", &base(true)).await?;
    apply(cluster, "child", &child()).await?;
    is_accepted(scene, "child", "True").await?;
    let words = ["RunnerProfile child, which extends this one, would be left out", "data"];
    refused(cluster, "common", &base(false), &words).await?;
    is_accepted(scene, "child", "True").await?;
    let mut moved = child();
    moved["extends"] = json!("comon");
    refused(cluster, "child", &moved, &["spec.extends: there is no profile \"comon\""]).await?;
    let circle = json!({"extends": "child"});
    refused(cluster, "common", &circle, &["extends this profile in turn"]).await?;

    cluster.delete(&format!("{PROFILES}/common")).await?;
    let left_out = is_accepted(scene, "child", "False").await?;
    let message = accepted(&left_out).1;
    ensure!(message.contains("spec.extends: there is no profile \"common\""), "{message}");
    let refused = r#"arc_rocm_profile_objects{accepted="false"}"#;
    ensure!(replica.metric(refused).await? == "1", "{}", replica.log());
    apply(cluster, "common", &base(true)).await?;
    is_accepted(scene, "child", "True").await?;
    cluster.delete(PROFILES).await?;
    Ok(())
}

/// Stored while the webhook was away: left out, with a condition and a metric, and mended later.
async fn unseen(scene: &Scene) -> anyhow::Result<()> {
    install(scene).await?;
    let replica = Replica::start(scene).await?;
    let cluster = scene.cluster();
    let bad = [
        ("missing", json!({"extends": "nothing"}), "spec.extends: there is no profile"),
        ("typo", json!({"template": {"spec": {"tolerationss": []}}}), "unknown field"),
        ("quantity", json!({"gpu": {"total": {"cpu": "much"}}}), "spec.gpu.total.cpu"),
        ("two", two_problems(), TWO_PROBLEMS[0]),
    ];
    for (name, spec, _) in &bad {
        apply(cluster, name, spec).await?;
    }
    apply(cluster, "good", &base(true)).await?;
    for (name, _, message) in &bad {
        let object = is_accepted(scene, name, "False").await?;
        ensure!(accepted(&object).1.contains(message), "{name}: {}", object["status"]);
    }
    is_accepted(scene, "good", "True").await?;
    let refused_count = r#"arc_rocm_profile_objects{accepted="false"}"#;
    ensure!(replica.metric(refused_count).await? == "4", "{}", replica.log());

    replica.validate(scene).await?;
    // Whatever leaves the spec as it is passes; a change of it has to be good.
    let path = format!("{PROFILES}/typo");
    let label = json!({"metadata": {"labels": {"team": "gpu"}, "finalizers": ["e2e.test/wait"]}});
    cluster.merge(&path, &label).await?;
    refused(cluster, "typo", &two_problems(), &TWO_PROBLEMS).await?;
    cluster.delete(&path).await?;
    cluster.merge(&path, &json!({"metadata": {"finalizers": null}})).await?;
    until("the end of one with a finalizer", SOON, || cluster.gone(&path)).await?;
    apply(cluster, "two", &base(false)).await?;
    is_accepted(scene, "two", "True").await?;
    cluster.delete(PROFILES).await?;
    Ok(())
}

/// What the definition itself rules out is refused with and without the webhook.
async fn undefined(scene: &Scene) -> anyhow::Result<()> {
    install(scene).await?;
    let cluster = scene.cluster();
    let two = json!({"name": "a", "mountPath": "/a", "emptyDir": {}, "nfs": {"server": "s", "path": "/"}});
    let all = [
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
    for (name, spec) in &all {
        let answer = apply(cluster, name, spec).await;
        ensure!(answer.is_err(), "{name} is stored: {spec}");
    }
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
        let ready = all.iter().filter(|one| accepted(one).0 == "True").count();
        Ok(if ready == MANY { Look::Seen(()) } else { Look::NotYet(ready.to_string()) })
    })
    .await?;
    scene.figure("from the last of 1,000 to the last status", &ms(last.elapsed()));
    replicas[0].validate(scene).await?;
    let start = Instant::now();
    apply(scene.cluster(), "n0000", &spec("3")).await?;
    scene.figure("apply of a good RunnerProfile beside 1,000", &ms(start.elapsed()));
    let start = Instant::now();
    refused(scene.cluster(), "n0000", &two_problems(), &TWO_PROBLEMS).await?;
    scene.figure("apply of a bad RunnerProfile beside 1,000", &ms(start.elapsed()));
    scene.cluster().delete(PROFILES).await?;
    Ok(())
}

fn ms(took: Duration) -> String {
    format!("{} ms", took.as_millis())
}
