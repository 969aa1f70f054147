//! Other mutating webhooks before and after ours, and a second arc-rocm: it settles, and nothing is
//! there twice.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::seed;
use crate::{
    arc::{
        access,
        controller::{Controller, End},
        kinds::Kind,
        runners,
        scale_set::ScaleSet,
    },
    capabilities::Need,
    case::{Case, case},
    cluster::text,
    hook::{Hook, Verdict, registered},
    install::{Installation, Options},
    normal,
    probe::{self, STATUS},
    scene::Scene,
    wait::{Look, until},
};

const SOON: Duration = Duration::from_secs(30);

pub(crate) fn cases() -> Vec<Case> {
    let host = |case: Case| case.needs(&[Need::Host]);
    vec![
        host(case("webhooks-earlier-adds-containers", neighbours)),
        host(case("webhooks-earlier-takes-names", name_taken)),
        host(case("webhooks-later-adds-container", adds_later)),
        host(case("webhooks-istio", istio)),
        host(case("webhooks-later-strips-once", async |scene: &Scene| {
            strips(scene, "Never").await
        })),
        host(case("webhooks-later-strips-always", async |scene: &Scene| {
            strips(scene, "IfNeeded").await
        })),
        case("webhooks-two-instances", two_instances).alone().within(Duration::from_mins(6)),
    ]
}

fn plain() -> anyhow::Result<ScaleSet> {
    ScaleSet::new(Kind::Plain, "linux.rocm.gpu.gfx942.2")
}

/// A webhook of the case's namespace; of which name decides whether it is before ours or after.
pub(super) async fn beside(
    scene: &Scene,
    name: &str,
    reinvocation: &str,
    answer: impl Fn(&Value) -> Verdict + Send + Sync + 'static,
) -> anyhow::Result<Hook> {
    let hook = Hook::serve(scene.host()?, answer).await?;
    let name = format!("{name}-{}", scene.namespace);
    let mut registration = hook.registration(&name, &scene.namespace);
    registration["webhooks"][0]["reinvocationPolicy"] = json!(reinvocation);
    scene.apply(&registration).await?;
    registered(scene.cluster(), &hook, &scene.namespace).await?;
    Ok(hook)
}

async fn one(scene: &Scene) -> anyhow::Result<Value> {
    let arc = scene.controller().await?;
    let runner = arc.scale(&plain()?, 1).await?.remove(0);
    arc.stored(&runner, SOON).await
}

/// The names of a pod's containers, in order; init containers first.
fn names(pod: &Value) -> Vec<&str> {
    containers(pod).map(|container| text(container, "/name")).collect()
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array());
    lists.into_iter().flatten().flatten()
}

fn has(request: &Value, container: &str) -> bool {
    names(&request["object"]).contains(&container)
}

/// Adds to a list that may not be there.
fn append(pod: &Value, list: &str, item: &Value) -> Value {
    if pod.pointer(list).is_some_and(Value::is_array) {
        json!({"op": "add", "path": format!("{list}/-"), "value": item})
    } else {
        json!({"op": "add", "path": list, "value": [item]})
    }
}

/// All that the seed asks of a plain runner is there, and nothing has a name or a place twice.
fn settled(pod: &Value) -> anyhow::Result<()> {
    let missing: Vec<&str> = seed::ROWS
        .iter()
        .filter(|row| !(row.holds)(pod) && seed::wanted(Kind::Plain, row.name))
        .map(|row| row.name)
        .collect();
    ensure!(missing.is_empty(), "missing: {missing:?}\n{pod:#}");
    ensure!(pod.pointer(STATUS).is_some(), "{pod:#}");
    once("containers", names(pod).into_iter())?;
    once("volumes", texts(&pod["spec"]["volumes"], "/name"))?;
    for container in containers(pod) {
        once("variables", texts(&container["env"], "/name"))?;
        once("mounts", texts(&container["volumeMounts"], "/mountPath"))?;
        let starts = container["command"].as_array().into_iter().flatten();
        let starts = starts.filter(|word| **word == "arc-rocm-start").count();
        ensure!(starts <= 1, "the wrapper is around itself: {container}");
    }
    let groups = pod["spec"]["securityContext"]["supplementalGroups"].as_array();
    ensure!(groups.map_or(0, Vec::len) == 1, "groups {groups:?}");
    Ok(())
}

fn texts<'p>(list: &'p Value, pointer: &'p str) -> impl Iterator<Item = &'p str> {
    list.as_array().into_iter().flatten().map(move |item| text(item, pointer))
}

fn once<'p>(what: &str, items: impl Iterator<Item = &'p str>) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    for item in items {
        ensure!(seen.insert(item), "{what}: {item} twice");
    }
    Ok(())
}

/// Names that begin as ours do, or end so, are other names.
async fn neighbours(scene: &Scene) -> anyhow::Result<()> {
    let hook = beside(scene, "a-neighbours", "IfNeeded", |request| {
        if has(request, "dind-logs") {
            return Verdict::Allow;
        }
        let pod = &request["object"];
        let mount = json!({"name": "dind-sock-2", "mountPath": "/var/run-2"});
        let mut operations = vec![
            append(pod, "/spec/volumes", &json!({"name": "dind-sock-2", "emptyDir": {}})),
            append(
                pod,
                "/spec/containers",
                &json!({
                    "name": "dind-logs", "image": "busybox:latest", "volumeMounts": [mount],
                }),
            ),
        ];
        if has(request, "runner") {
            let variable = json!({"name": "DOCKER_HOST_2", "value": "tcp://elsewhere:2375"});
            operations.push(append(pod, "/spec/containers/0/env", &variable));
            operations.push(append(pod, "/spec/containers/0/volumeMounts", &mount));
        }
        Verdict::Patch(json!(operations))
    })
    .await?;
    let pod = one(scene).await?;
    settled(&pod)?;
    ensure!(names(&pod).contains(&"dind-logs"), "{:?}", names(&pod));
    let runner = seed::container(&pod, "runner");
    ensure!(texts(&runner["env"], "/name").any(|name| name == "DOCKER_HOST_2"), "{runner:#}");
    ensure!(
        texts(&runner["volumeMounts"], "/name").any(|name| name == "dind-sock-2"),
        "{runner:#}"
    );
    drop(hook);
    Ok(())
}

/// An init container `dind` that is none: it stays, ours is left out, and ARC's log has why.
async fn name_taken(scene: &Scene) -> anyhow::Result<()> {
    let _hook = beside(scene, "a-taken", "IfNeeded", |request| {
        if has(request, "dind") {
            return Verdict::Allow;
        }
        let theirs = json!({"name": "dind", "image": "busybox:latest", "command": ["true"]});
        Verdict::Patch(json!([append(&request["object"], "/spec/initContainers", &theirs)]))
    })
    .await?;
    let pod = one(scene).await?;
    ensure!(seed::container(&pod, "dind")["command"] == json!(["true"]), "{pod:#}");
    ensure!(names(&pod).iter().filter(|&&name| name == "dind").count() == 1, "{pod:#}");
    let arc = scene.cluster().by(&access::user())?;
    let reply =
        probe::dry_run(&arc, &scene.namespace, &probe::runner_pod(&scene.namespace)?).await?;
    ensure!(
        reply.warnings.iter().any(|warning| warning.contains("the name is taken")),
        "warnings {:?}",
        reply.warnings
    );
    Ok(())
}

/// We are called again, and have nothing to add: but for the container the pod is the same.
async fn adds_later(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let alone = arc.scale(&plain()?, 1).await?.remove(0);
    let alone = arc.stored(&alone, SOON).await?;
    let hook = beside(scene, "z-later", "IfNeeded", |request| {
        if has(request, "agent") {
            return Verdict::Allow;
        }
        let agent = json!({"name": "agent", "image": "busybox:latest"});
        Verdict::Patch(json!([append(&request["object"], "/spec/containers", &agent)]))
    })
    .await?;
    let name = arc.scale(&plain()?, 2).await?.remove(1);
    let mut with = arc.stored(&name, SOON).await?;
    settled(&with)?;
    let calls = hook.reviews();
    let last = calls.iter().rfind(|review| text(review, "/request/name") == name);
    let reviewed = &last.context("it was not called")?["request"]["object"];
    ensure!(reviewed.pointer(STATUS).is_some(), "it is after us: {reviewed:#}");
    let left = with["spec"]["containers"].as_array_mut().context("no containers")?;
    left.retain(|container| container["name"] != "agent");
    same(&alone, &with)
}

/// As Istio's injector with native sidecars: an init container and a sidecar before all others,
/// volumes, annotations, probes that are rewritten; called again when others have changed the pod.
async fn istio(scene: &Scene) -> anyhow::Result<()> {
    let _hook = beside(scene, "istio-sidecar-injector", "IfNeeded", |request| {
        if has(request, "istio-proxy") {
            return Verdict::Allow;
        }
        let pod = &request["object"];
        let mount = json!({"name": "istio-envoy", "mountPath": "/etc/istio/proxy"});
        let init = json!({
            "name": "istio-init",
            "image": "docker.io/istio/proxyv2:1.30.0",
            "args": ["istio-iptables", "-p", "15001"],
            "securityContext": {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}, "runAsUser": 0},
        });
        let proxy = json!({
            "name": "istio-proxy",
            "image": "docker.io/istio/proxyv2:1.30.0",
            "args": ["proxy", "sidecar"],
            "restartPolicy": "Always",
            "ports": [{"containerPort": 15090, "name": "http-envoy-prom", "protocol": "TCP"}],
            "startupProbe": {"httpGet": {"path": "/healthz/ready", "port": 15021}},
            "volumeMounts": [mount],
        });
        let mut operations = vec![append(
            pod,
            "/spec/volumes",
            &json!({"name": "istio-envoy", "emptyDir": {"medium": "Memory"}}),
        )];
        if pod["spec"]["initContainers"].is_array() {
            for (index, container) in [init, proxy].into_iter().enumerate() {
                let path = format!("/spec/initContainers/{index}");
                operations.push(json!({"op": "add", "path": path, "value": container}));
            }
        } else {
            let both = json!([init, proxy]);
            operations.push(json!({"op": "add", "path": "/spec/initContainers", "value": both}));
        }
        if pod["metadata"]["annotations"].is_object() {
            operations.push(json!({
                "op": "add",
                "path": "/metadata/annotations/sidecar.istio.io~1status",
                "value": "{}",
            }));
        }
        Verdict::Patch(json!(operations))
    })
    .await?;
    let pod = one(scene).await?;
    settled(&pod)?;
    let names = names(&pod);
    ensure!(names.starts_with(&["istio-init", "istio-proxy"]), "{names:?}");
    let proxy = seed::container(&pod, "istio-proxy");
    ensure!(proxy["restartPolicy"] == "Always", "{proxy:#}");
    // It is no Docker, and gets nothing of one.
    ensure!(proxy["env"].is_null() && proxy["resources"] == json!({}), "{proxy:#}");
    Ok(())
}

/// As webhooks that are built on Kubernetes types without native sidecars: they decode the pod,
/// encode it again and send what is missing as `remove` operations.
fn strip(request: &Value) -> Verdict {
    let inits = request["object"]["spec"]["initContainers"].as_array();
    let operations: Vec<Value> = inits
        .into_iter()
        .flatten()
        .enumerate()
        .filter(|(_, container)| container["restartPolicy"].is_string())
        .map(|(index, _)| {
            json!({"op": "remove", "path": format!("/spec/initContainers/{index}/restartPolicy")})
        })
        .collect();
    if operations.is_empty() { Verdict::Allow } else { Verdict::Patch(json!(operations)) }
}

/// One that is called once is repaired by our second call; one that is called again after that has
/// the last word, and the runner is lost.
async fn strips(scene: &Scene, reinvocation: &str) -> anyhow::Result<()> {
    let _hook = beside(scene, "z-strips", reinvocation, strip).await?;
    let arc = scene.controller().await?;
    let runner = arc.scale(&plain()?, 1).await?.remove(0);
    if reinvocation == "Never" {
        let pod = arc.stored(&runner, SOON).await?;
        return settled(&pod);
    }
    lost(scene, &arc, &runner).await
}

async fn lost(scene: &Scene, arc: &Controller, runner: &str) -> anyhow::Result<()> {
    let End::InvalidPod(message) = arc.ended(runner, SOON).await? else {
        bail!("{runner}: {:?}", arc.end(runner));
    };
    ensure!(message.contains(STRIPPED), "{message}");
    let path = format!("{}/{runner}", runners(&scene.namespace));
    let status = scene.cluster().get(&path).await?["status"].take();
    ensure!(
        status["phase"] == "Failed" && text(&status, "/message").contains(STRIPPED),
        "{status}"
    );
    Ok(())
}

/// The API server's message, which `docs/admission.md` quotes for searches.
const STRIPPED: &str = "may not be set for init containers without restartPolicy=Always";

/// A second installation, of another name in another namespace, with the same profiles.
async fn two_instances(scene: &Scene) -> anyhow::Result<()> {
    let first = scene.world.installation.lock().await;
    let arc = scene.controller().await?;
    let (settings, cluster) = (&scene.world.settings, scene.cluster());
    let sets =
        Kind::ALL.map(|kind| ScaleSet::new(kind, &format!("linux.rocm.gpu.{}", kind.stem())));
    let sets = sets.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let mut alone = Vec::new();
    for set in &sets {
        let runner = arc.scale(set, 1).await?.remove(0);
        alone.push(arc.stored(&runner, SOON).await?);
    }
    let options = Options {
        name: "arc-rocm-second".to_owned(),
        namespace: "arc-rocm-second".to_owned(),
        ..first.options.clone()
    };
    let (host, by_arc) = (scene.world.capabilities.host.as_deref(), cluster.by(&access::user())?);
    let second = Installation::install(cluster, settings, first.form, host, options).await?;
    let seen = async {
        until("the second instance to be called", SOON, || async {
            // It finds a pod that is complete, so only its log tells.
            let pod = probe::runner_pod(&scene.namespace)?;
            match probe::dry_run(&by_arc, &scene.namespace, &pod).await {
                // Endpoints are known a moment after the rollout.
                Err(refused) if refused.code == 500 => {
                    return Ok(Look::NotYet(refused.to_string()));
                }
                said => said?,
            };
            let log = second.log(cluster).await?;
            Ok(if log.contains(&scene.namespace) { Look::Seen(()) } else { Look::NotYet(log) })
        })
        .await?;
        for (set, alone) in sets.iter().zip(&alone) {
            let runner = arc.scale(set, 2).await?.remove(1);
            same(alone, &arc.stored(&runner, SOON).await?)?;
        }
        Ok(())
    }
    .await;
    second.uninstall(cluster).await?;
    seen
}

/// Two pods of a scale set.
fn same(one: &Value, other: &Value) -> anyhow::Result<()> {
    let lines = normal::by_meaning(one, other);
    ensure!(lines.is_empty(), "alone | with another\n{}", lines.join("\n"));
    Ok(())
}
