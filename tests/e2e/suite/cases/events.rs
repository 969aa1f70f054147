//! Events on the EphemeralRunner, by a webhook of the case's own that may do nothing but create
//! them.

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};
use kube::config::Kubeconfig;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Child;

use crate::{
    arc::{access, controller::Controller, kinds::Kind, runners, scale_set::ScaleSet},
    capabilities::Need,
    case::{Case, case},
    cluster::{User, text},
    generated,
    install::free_port,
    probe, program,
    replay::allow_account,
    rights::{self, rule},
    scene::Scene,
    wait::{Look, until},
};

const SOON: Duration = Duration::from_secs(30);
/// The account of the case's webhook.
const ACCOUNT: &str = "events";
/// `reportingComponent` of our events.
const REPORTER: &str = "arc-rocm.dev/webhook";
/// `reportingInstance` of the case's webhook.
const INSTANCE: &str = "events-of-the-suite";

pub(crate) fn cases() -> Vec<Case> {
    vec![case("events-on-ephemeral-runner", told).needs(&[Need::Host])]
}

/// `arc-rocm serve --events`, before the installed webhook, for the case's namespace alone.
struct Webhook {
    folder: TempDir,
    _process: Child,
}

impl Webhook {
    async fn start(scene: &Scene) -> anyhow::Result<Self> {
        let settings = &scene.world.settings;
        let folder = TempDir::new()?;
        let path = |name: &str| folder.path().join(name);
        let host = scene.host()?;
        let port = free_port(host)?;
        program::certs(settings, &path("certs"), host).await?;
        fs::write(path("kubeconfig"), kubeconfig(&token(scene).await?)?)?;
        // With the installed webhook's profiles the two find the same, and each pod is patched once.
        fs::create_dir(path("profiles"))?;
        fs::write(path("profiles").join("suite.yaml"), crate::PROFILES)?;
        fs::write(path("profiles").join("generated.yaml"), generated::profiles()?)?;
        let process = program::serve(settings, &path("log"))?
            .args(["--events", "--log-format", "json"])
            .args(["--bind", &format!("{host}:{port}"), "--admin-bind", "127.0.0.1:0"])
            .args(program::pair(&path("certs")))
            .arg("--profiles")
            .arg(path("profiles"))
            .arg("--events-instance")
            .arg(INSTANCE)
            .env("KUBECONFIG", path("kubeconfig"))
            .spawn()
            .context("arc-rocm serve")?;
        let webhook = Self { folder, _process: process };
        // Registered before it listens, it would have pods refused.
        webhook.says("serving").await?;

        let ca = webhook.folder.path().join("certs/ca.crt");
        let url = format!("https://{host}:{port}/mutate");
        let name = format!("a-{}", scene.namespace);
        let mut object =
            program::registration(settings, &name, &scene.namespace, &ca, &url, &[]).await?;
        object["webhooks"][0]["namespaceSelector"] =
            json!({"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}});
        scene.apply(&object).await?;
        Ok(webhook)
    }

    /// Waits until its log has a text.
    async fn says(&self, wanted: &str) -> anyhow::Result<()> {
        until(wanted, SOON, || async {
            let log = self.log()?;
            Ok(if log.contains(wanted) { Look::Seen(()) } else { Look::NotYet(log) })
        })
        .await
    }

    fn log(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("log"))?)
    }
}

/// A token of an account that may create events and nothing else.
async fn token(scene: &Scene) -> anyhow::Result<String> {
    let (cluster, namespace) = (scene.cluster(), &scene.namespace);
    allow_account(scene, ACCOUNT).await?;
    let user = User::service_account(namespace, ACCOUNT);
    rights::grant(cluster, namespace, ACCOUNT, &user, &[rule("", &["events"], &["create"])])
        .await?;
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{ACCOUNT}/token");
    let request =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let reply = cluster.create(&path, &request).await?;
    Ok(text(&reply.object, "/status/token").to_owned())
}

/// The suite's kubeconfig, with a token for whatever its users have.
fn kubeconfig(token: &str) -> anyhow::Result<String> {
    let mut config = serde_json::to_value(Kubeconfig::read().context("KUBECONFIG")?)?;
    let users = config["users"].as_array_mut().context("no users in KUBECONFIG")?;
    for user in users {
        user["user"] = json!({"token": token});
    }
    Ok(config.to_string())
}

/// Our events about an EphemeralRunner that exists, found as `kubectl describe` finds them.
async fn events(scene: &Scene, runner: &str) -> anyhow::Result<Vec<Value>> {
    let path = format!("{}/{runner}", runners(&scene.namespace));
    let object = scene.cluster().get(&path).await?;
    about(scene, runner, text(&object, "/metadata/uid")).await
}

async fn about(scene: &Scene, name: &str, uid: &str) -> anyhow::Result<Vec<Value>> {
    let selector = format!(
        "involvedObject.kind%3DEphemeralRunner,involvedObject.namespace%3D{},\
         involvedObject.name%3D{name},involvedObject.uid%3D{uid}",
        scene.namespace
    );
    let path = format!("/api/v1/namespaces/{}/events?fieldSelector={selector}", scene.namespace);
    let mut events = scene.cluster().list(&path).await?;
    events.retain(|event| event["reportingComponent"] == REPORTER);
    Ok(events)
}

/// A new runner of a set, and the first event about it.
async fn one(scene: &Scene, arc: &Controller, set: &ScaleSet) -> anyhow::Result<(String, Value)> {
    let runner = arc.scale(set, 1).await?.remove(0);
    arc.stored(&runner, SOON).await?;
    let mut found = until("an event", SOON, || async {
        let found = events(scene, &runner).await?;
        Ok(if found.is_empty() { Look::NotYet(runner.clone()) } else { Look::Seen(found) })
    })
    .await?;
    Ok((runner, found.remove(0)))
}

async fn told(scene: &Scene) -> anyhow::Result<()> {
    let arc = scene.controller().await?;
    let webhook = Webhook::start(scene).await?;
    let by_arc = scene.cluster().by(&access::user())?;
    let dry = probe::runner_pod(&scene.namespace)?;
    until("the case's webhook to be called", SOON, || async {
        probe::dry_run(&by_arc, &scene.namespace, &dry).await?;
        let log = webhook.log()?;
        Ok(if log.contains(r#""outcome":"patched""#) { Look::Seen(()) } else { Look::NotYet(log) })
    })
    .await?;

    let set = |name: &str| ScaleSet::new(Kind::Plain, name);
    let plain = set("linux.rocm.gpu.gfx942.2")?.env("DOCKER_HOST", "tcp://elsewhere:2375")?;
    let (runner, injected) = one(scene, &arc, &plain).await?;
    let said = |event: &Value| {
        ["type", "reason", "message"].map(|field| event[field].as_str().unwrap_or("").to_owned())
    };
    let [kind, reason, message] = said(&injected);
    ensure!(kind == "Normal" && reason == "Injected", "{injected:#}");
    ensure!(message.starts_with("Injected profile fleet ("), "{message}");
    ensure!(message.contains("dind-left-out: No Docker-in-Docker is added"), "{message}");
    ensure!(injected["reportingInstance"] == INSTANCE, "{injected:#}");

    let out = set("opted-out")?.annotation("arc-rocm.dev/inject", "false");
    let out = said(&one(scene, &arc, &out).await?.1);
    ensure!(
        out == ["Normal", "InjectionSkipped", "Skipped: arc-rocm.dev/inject says false"],
        "{out:?}"
    );
    let unknown = set("unknown")?.annotation("arc-rocm.dev/profile", "no-such-profile");
    let [kind, reason, message] = said(&one(scene, &arc, &unknown).await?.1);
    ensure!(kind == "Warning" && reason == "InjectionSkipped", "{kind} {reason}");
    ensure!(message.ends_with("names a profile that does not exist"), "{message}");

    // They are sent in their order: had there been one about the second call of the first pod, or
    // about the dry runs, it would be here.
    let first = events(scene, &runner).await?;
    ensure!(first.len() == 1, "{first:#?}");
    let none = about(scene, "probe", text(&dry, "/metadata/ownerReferences/0/uid")).await?;
    ensure!(none.is_empty(), "{none:#?}");
    let log = webhook.log()?;
    ensure!(!log.contains("cannot create the event"), "{log}");
    Ok(())
}
