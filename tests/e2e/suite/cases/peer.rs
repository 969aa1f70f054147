//! What an admission costs the API server: by the webhook, and by a webhook of controller-runtime that
//! adds the same (`deploy/tools/peer`). All are processes of this machine and registered alike. They
//! admit the same pod in turns, because the machine is busier at one time than at another.

use std::{fs::File, path::Path, process::Stdio};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{
    arc::access,
    capabilities::Need,
    case::{Case, case},
    cluster::Cluster,
    install::free_port,
    metrics::{Histogram, WEBHOOK_CALLS, metrics},
    normal,
    probe::{self, STATUS},
    program,
    scene::{self, Scene},
    settings::Settings,
    wait::{Look, WATCHED, until},
};

/// The case's namespace. The installed webhook is not called for it.
const NAMESPACE: &str = "e2e-figures-peer";
/// Dry runs for each webhook in one round.
const CREATIONS: u16 = 200;
/// The median of an odd number is one of them.
const ROUNDS: usize = 7;
/// As ARC's controller has by default.
const AT_ONCE: usize = 2;
/// The label that says which webhook admits a pod.
const ADMITTED_BY: &str = "e2e-admitted-by";
/// A webhook that takes this many times as long as the peer is slow, however busy the machine is.
const SLOW: f64 = 1.5;

pub(crate) fn cases() -> Vec<Case> {
    vec![case("figures-peer", peer).needs(&[Need::Host, Need::Peer]).own_webhook().alone()]
}

/// A webhook that runs, and the pod that it admits.
struct Contender {
    what: &'static str,
    /// Its name in the registration, which is its label in metrics.
    webhook: String,
    pod: Value,
    /// What it took for one pod in each round, in milliseconds, all calls together.
    took: Vec<f64>,
    calls: f64,
}

async fn peer(scene: &Scene) -> anyhow::Result<()> {
    ensure!(scene.namespace == NAMESPACE, "{}", scene.namespace);
    access::grant(scene.cluster(), NAMESPACE).await?;
    let arc = scene.cluster().by(&access::user())?;
    let folder = TempDir::new()?;
    let (folder, settings) = (folder.path(), &scene.world.settings);
    program::certs(settings, folder, scene.host()?).await?;

    let mut servers = Vec::new();
    servers.push(("arc-rocm", "arc-rocm", arc_rocm(settings, folder)?));
    servers.push(("peer", "the peer", controller_runtime(settings, folder)?));
    let mut from_image = arc_rocm(settings, folder)?;
    from_image.args(["--scripts-image", "arc-rocm:scripts"]);
    servers.push(("image", "arc-rocm with scripts from an image", from_image));
    if let Some(older) = &settings.older {
        let older = Settings { program: older.clone(), ..settings.clone() };
        servers.push(("older", "ARC_ROCM_E2E_OLDER", arc_rocm(&older, folder)?));
    }
    // Each process ends with its handle.
    let (mut processes, mut contenders) = (Vec::new(), Vec::new());
    for (name, what, command) in servers {
        let port = free_port(scene.host()?)?;
        processes.push(start(scene, command, port)?);
        let (webhook, pod) = register(scene, &arc, folder, name, port).await?;
        contenders.push(Contender { what, webhook, pod, took: Vec::new(), calls: 0.0 });
    }
    // With scripts from an image there is a volume more, and an older build may add other things.
    adds_the_same(&arc, &contenders[..2]).await?;
    let mut opted_out = contenders[0].pod.clone();
    opted_out["metadata"]["annotations"]["arc-rocm.dev/inject"] = json!("false");
    contenders.push(Contender {
        what: "arc-rocm without a patch",
        webhook: contenders[0].webhook.clone(),
        pod: opted_out,
        took: Vec::new(),
        calls: 0.0,
    });
    for _ in 0..ROUNDS {
        for contender in &mut contenders {
            contender.round(scene.cluster(), &arc).await?;
        }
    }
    let of_peer = contenders[1].took.clone();
    for contender in &contenders {
        let ratios = contender.took.iter().zip(&of_peer).map(|(took, peer)| took / peer).collect();
        scene.figure(
            &format!("admission of one pod, {}", contender.what),
            &format!(
                "{:.2} ms, {:.2} of the peer's ({} calls for {} pods)",
                median(contender.took.clone()),
                median(ratios),
                contender.calls,
                ROUNDS * usize::from(CREATIONS),
            ),
        );
    }
    let [ours, peer] = [&contenders[0].took, &of_peer].map(|took| median(took.clone()));
    ensure!(ours < peer * SLOW, "{ours:.2} ms, the peer {peer:.2} ms");
    Ok(())
}

fn arc_rocm(settings: &Settings, folder: &Path) -> anyhow::Result<Command> {
    let mut command = program::serve(settings, &folder.join("arc-rocm.log"))?;
    command.args(program::pair(folder)).args(["--admin-bind", "127.0.0.1:0"]);
    Ok(command)
}

fn controller_runtime(settings: &Settings, folder: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(settings.peer.as_ref().context("Need::Peer is missing")?);
    command
        .arg("--cert-dir")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(folder.join("peer.log"))?)
        .kill_on_drop(true);
    Ok(command)
}

/// Starts a server on a port of this machine.
fn start(scene: &Scene, mut command: Command, port: u16) -> anyhow::Result<Child> {
    let address = format!("{}:{port}", scene.host()?);
    command.args(["--bind", &address]).spawn().with_context(|| format!("{command:?}"))
}

/// Registers a server as the chart does, for pods with a label of their own, and waits until it is
/// called. Returns the webhook's name and the pod.
async fn register(
    scene: &Scene,
    arc: &Cluster,
    folder: &Path,
    name: &str,
    port: u16,
) -> anyhow::Result<(String, Value)> {
    let settings = &scene.world.settings;
    let url = format!("https://{}:{port}/mutate", scene.host()?);
    let (object, ca) = (format!("e2e-peer-{name}"), folder.join("ca.crt"));
    let mut registration =
        program::registration(settings, &object, NAMESPACE, &ca, &url, &[]).await?;
    registration["metadata"]["labels"][scene::LABEL] = json!("true");
    let webhook = format!("{name}.e2e.arc-rocm.dev");
    let entry = &mut registration["webhooks"][0];
    entry["name"] = json!(webhook);
    entry["objectSelector"]["matchLabels"][ADMITTED_BY] = json!(name);
    entry["namespaceSelector"] = json!({"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}});
    scene.apply(&registration).await?;

    let mut pod = probe::runner_pod(NAMESPACE)?;
    pod["metadata"]["labels"][ADMITTED_BY] = json!(name);
    until(&format!("the API server to call {name}"), WATCHED, || async {
        Ok(match probe::dry_run(arc, NAMESPACE, &pod).await {
            Ok(reply) if reply.object.pointer(STATUS).is_some() => Look::Seen(()),
            Ok(_) => Look::NotYet("not called".to_owned()),
            Err(refused) => Look::NotYet(refused.to_string()),
        })
    })
    .await?;
    Ok((webhook, pod))
}

/// Checks that all pods are equal, but for the commands, which have the scripts in them.
async fn adds_the_same(arc: &Cluster, contenders: &[Contender]) -> anyhow::Result<()> {
    let mut specs = Vec::new();
    for contender in contenders {
        let stored = probe::dry_run(arc, NAMESPACE, &contender.pod).await?.object;
        let mut spec = normal::stored(&stored, NAMESPACE)["spec"].take();
        for list in ["initContainers", "containers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                container["command"].take();
            }
        }
        specs.push(spec);
    }
    for (contender, spec) in contenders.iter().zip(&specs) {
        let lines = normal::difference(&specs[0], spec);
        ensure!(lines.is_empty(), "arc-rocm | {}\n{}", contender.what, lines.join("\n"));
    }
    Ok(())
}

impl Contender {
    /// Creates the pod again and again, by dry run, and notes what the API server measures.
    async fn round(&mut self, cluster: &Cluster, arc: &Cluster) -> anyhow::Result<()> {
        let calls = |text: &str| {
            Histogram::read(text, WEBHOOK_CALLS, &[&format!("name=\"{}\"", self.webhook)])
        };
        let before = calls(&metrics(cluster).await?);
        stream::iter(0..CREATIONS)
            .map(|_| probe::dry_run(arc, NAMESPACE, &self.pod))
            .buffer_unordered(AT_ONCE)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        let calls = calls(&metrics(cluster).await?).since(&before);
        self.calls += calls.count();
        self.took.push(calls.mean() * calls.count() / f64::from(CREATIONS));
        Ok(())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
