//! Self-managed certificates: two replicas, one Secret, no leader.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::Method;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Child,
};

use super::{
    chart::{self, Release},
    outages::{failures, recovered, set, while_creating},
};
use crate::{
    capabilities::Need,
    case::{Case, case},
    cluster::text,
    install::{REGISTRATIONS, free_port},
    probe, program,
    scene::Scene,
    wait::{Look, until},
};

const SECRET: &str = "arc-rocm-tls";
/// A Secret that does not exist, an API server that answers: all of it takes a second.
const READY: Duration = Duration::from_secs(20);
/// A wiped bundle is restored within about a second, by the watch. Without the watch it takes half a
/// minute.
const HEALED: Duration = Duration::from_secs(20);
/// A new CA settles for 30 s, and each replica looks every ten.
const SETTLED: Duration = Duration::from_secs(90);
/// More than the life of a CA of this case.
const ROTATED: Duration = Duration::from_mins(4);
/// The documented wait after the Secret is deleted.
const SLEEP: Duration = Duration::from_mins(1);
const EVERY: Duration = Duration::from_millis(200);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("certificates-restored", kept).needs(&[Need::Host]).own_webhook(),
        case("certificates-rotated", rotated)
            .needs(&[Need::Host])
            .own_webhook()
            .within(ROTATED * 2),
        case("certificates-leaked-key", leaked)
            .needs(&[Need::Service])
            .own_webhook()
            .within(chart::WITHIN),
    ]
}

/// Replicas, as processes of this machine, and the registration that names each of them.
struct Replicas<'s> {
    scene: &'s Scene,
    folder: TempDir,
    admin: Vec<SocketAddr>,
    processes: Vec<Child>,
}

impl<'s> Replicas<'s> {
    /// Starts two replicas before there is a registration, as a chart's rollout does, and then
    /// registers them without a `caBundle`.
    async fn start(scene: &'s Scene, flags: &[&str]) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let mut replicas = Self { scene, folder, admin: Vec::new(), processes: Vec::new() };
        let mut urls = Vec::new();
        for index in 0..2 {
            let (host, settings) = (scene.host()?, &scene.world.settings);
            let (port, admin) = (free_port(host)?, free_port("127.0.0.1")?);
            let admin = SocketAddr::from(([127, 0, 0, 1], admin));
            let log = replicas.folder.path().join(index.to_string());
            let process = program::serve(settings, &log)?
                .args(["--bind", &format!("{host}:{port}"), "--tls-host", host])
                .args(["--admin-bind", &admin.to_string(), "--namespace", &scene.namespace])
                .args(["--tls-secret", SECRET, "--webhook-configuration", &scene.namespace])
                .args(flags)
                .spawn()
                .context("arc-rocm serve")?;
            replicas.admin.push(admin);
            replicas.processes.push(process);
            urls.push(format!("https://{host}:{port}/mutate"));
        }
        let waiting = format!("MutatingWebhookConfiguration {} does not exist", scene.namespace);
        replicas.say(&waiting, READY).await?;
        for admin in &replicas.admin {
            ensure!(get(*admin, "/livez").await?.starts_with("HTTP/1.1 200"), "not alive");
        }
        scene.apply(&replicas.registration(&urls).await?).await?;
        replicas.say("\r\n\r\nok\n", READY).await?;
        probe::called_in(scene.cluster(), &scene.namespace).await?;
        Ok(replicas)
    }

    async fn registration(&self, urls: &[String]) -> anyhow::Result<Value> {
        let settings = &self.scene.world.settings;
        let folder = self.folder.path().join("any");
        program::certs(settings, &folder, "any.example").await?;
        let (namespace, ca) = (&self.scene.namespace, folder.join("ca.crt"));
        let url = urls.first().context("no replica")?;
        let mut registration =
            program::registration(settings, namespace, namespace, &ca, url, &[]).await?;
        let mut webhook = registration["webhooks"][0].take();
        // In place of the chart's selector, which leaves out the webhook's own namespace.
        webhook["namespaceSelector"] =
            json!({"matchLabels": {"kubernetes.io/metadata.name": self.scene.namespace}});
        let each = urls.iter().enumerate().map(|(index, url)| {
            let mut webhook = webhook.clone();
            webhook["name"] = json!(format!("replica-{index}.arc-rocm.dev"));
            webhook["clientConfig"] = json!({"url": url});
            webhook
        });
        registration["webhooks"] = each.collect();
        Ok(registration)
    }

    /// The path of the registration, which has the name of the case's namespace.
    fn path(&self) -> String {
        format!("{REGISTRATIONS}/{}", self.scene.namespace)
    }

    /// Waits until every `/readyz` says this.
    async fn say(&self, wanted: &str, within: Duration) -> anyhow::Result<()> {
        for (index, admin) in self.admin.iter().enumerate() {
            let what = format!("replica {index} to say {wanted:?}");
            let said = until(&what, within, || async {
                Ok(match get(*admin, "/readyz").await {
                    Ok(said) if said.contains(wanted) => Look::Seen(()),
                    Ok(said) => Look::NotYet(said),
                    Err(error) => Look::NotYet(error.to_string()),
                })
            });
            said.await.with_context(|| self.log())?;
        }
        Ok(())
    }

    /// The CAs that both webhooks trust; none while they differ.
    async fn bundle(&self) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        let live = self.scene.cluster().get(&self.path()).await?;
        let of = |index: usize| text(&live, &format!("/webhooks/{index}/clientConfig/caBundle"));
        if of(0) != of(1) {
            return Ok(Vec::new());
        }
        certificates(of(0))
    }

    /// Waits for a bundle that is as wanted, and says how long it took.
    async fn bundle_is(
        &self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&[CertificateDer<'static>]) -> bool,
    ) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let seen = until(what, within, || async {
            let bundle = self.bundle().await?;
            let count = bundle.len();
            Ok(if wanted(&bundle) { Look::Seen(()) } else { Look::NotYet(format!("{count} CAs")) })
        });
        seen.await.with_context(|| self.log())?;
        Ok(start.elapsed())
    }

    async fn wipe(&self) -> anyhow::Result<()> {
        let path = self.path();
        let mut live = self.scene.cluster().get(&path).await?;
        for index in 0..2 {
            live["webhooks"][index]["clientConfig"]["caBundle"] = json!("Cg==");
        }
        let webhooks = live["webhooks"].take();
        self.scene.cluster().merge(&path, &json!({"webhooks": webhooks})).await?;
        Ok(())
    }

    async fn delete_secret(&self) -> anyhow::Result<()> {
        let secret = format!("/api/v1/namespaces/{}/secrets/{SECRET}", self.scene.namespace);
        self.scene.cluster().delete(&secret).await?;
        Ok(())
    }

    /// When the certificate of each replica ends, as its metrics have it.
    async fn served(&self) -> anyhow::Result<Vec<String>> {
        let metric = r#"arc_rocm_tls_certificate_not_after_timestamp_seconds{certificate="leaf"}"#;
        let mut all = Vec::new();
        for admin in &self.admin {
            let metrics = get(*admin, "/metrics").await?;
            let line = metrics.lines().find_map(|line| line.strip_prefix(metric));
            all.push(line.with_context(|| format!("no {metric}"))?.to_owned());
        }
        Ok(all)
    }

    async fn all_serve_another(&self, before: &[String]) -> anyhow::Result<()> {
        let served = until("every replica to serve another certificate", SETTLED, || async {
            let now = self.served().await?;
            let is_another = now.iter().zip(before).all(|(now, before)| now != before);
            Ok(if is_another { Look::Seen(()) } else { Look::NotYet(now.join(", ")) })
        });
        served.await.with_context(|| self.log())
    }

    /// The sum of a metric over all replicas.
    async fn sum(&self, metric: &str) -> anyhow::Result<u64> {
        let mut sum = 0;
        for admin in &self.admin {
            let metrics = get(*admin, "/metrics").await?;
            let line = metrics.lines().find_map(|line| line.strip_prefix(metric));
            sum += line.with_context(|| format!("no {metric}"))?.trim().parse::<u64>()?;
        }
        Ok(sum)
    }

    fn log(&self) -> String {
        let read = |index: usize| fs::read_to_string(self.folder.path().join(index.to_string()));
        (0..2).map(|index| read(index).unwrap_or_default()).collect::<Vec<_>>().join("---\n")
    }
}

/// Both come up with one CA; a wiped bundle heals; a deleted Secret is issued anew, without a
/// review that fails.
async fn kept(scene: &Scene) -> anyhow::Result<()> {
    let replicas = Replicas::start(scene, &[]).await?;
    let first = replicas.bundle().await?;
    ensure!(first.len() == 1, "{} CAs, not one of both", first.len());
    let issued = r#"arc_rocm_tls_certificates_issued_total{certificate="ca"}"#;
    ensure!(replicas.sum(issued).await? == 1, "more than one was issued");

    replicas.wipe().await?;
    let healed = replicas.bundle_is("the wiped bundle to heal", HEALED, |now| now == first).await?;
    scene.figure("wiped caBundle whole again after", &format!("{} ms", healed.as_millis()));
    replicas.say("\r\n\r\nok\n", READY).await?;

    let arc = scene.controller().await?;
    let before = replicas.served().await?;
    let reissued = async {
        replicas.delete_secret().await?;
        let both = |now: &[CertificateDer<'static>]| now.len() == 2 && now[1] == first[0];
        replicas.bundle_is("a new CA before the old one", READY, both).await?;
        let start = Instant::now();
        replicas.all_serve_another(&before).await?;
        let took = format!("{} s", start.elapsed().as_secs());
        scene.figure("new CA in the caBundle, until all replicas serve its certificate", &took);
        Ok(())
    };
    let runners = while_creating(&arc, &set()?, EVERY, 20, reissued).await?;
    recovered(scene, &arc, &runners).await?;
    let attempts = arc.all_attempts();
    let (failed, line) = failures(&attempts);
    scene.figure("the certificates' Secret deleted while runners are made", &line);
    ensure!(failed.is_empty(), "{failed:?}\n{}", replicas.log());
    replicas.say("\r\n\r\nok\n", READY).await
}

/// CAs that last for two minutes, and certificates that last for one and a half: a generation of both
/// passes while runners come and come.
async fn rotated(scene: &Scene) -> anyhow::Result<()> {
    let replicas =
        Replicas::start(scene, &["--ca-lifetime=120s", "--certificate-lifetime=90s"]).await?;
    let arc = scene.controller().await?;
    let generation = async {
        let old = replicas.bundle().await?;
        let gone = |now: &[CertificateDer<'static>]| {
            !now.is_empty() && now.iter().all(|one| !old.contains(one))
        };
        replicas.bundle_is("the first CA to end", ROTATED, gone).await.map(|_| ())
    };
    let runners = while_creating(&arc, &set()?, EVERY, 20, generation).await?;
    recovered(scene, &arc, &runners).await?;
    let attempts = arc.all_attempts();
    let (failed, line) = failures(&attempts);
    let of = |kind| format!("arc_rocm_tls_certificates_issued_total{{certificate=\"{kind}\"}}");
    let (cas, leaves) = (replicas.sum(&of("ca")).await?, replicas.sum(&of("leaf")).await?);
    scene.figure(
        "rotation of self-managed certificates while runners are made",
        &format!("{line}, {cas} CAs, {leaves} certificates"),
    );
    ensure!(failed.is_empty(), "{failed:?}\n{}", replicas.log());
    ensure!((2..=6).contains(&cas), "{cas} CAs");
    ensure!((4..=12).contains(&leaves), "{leaves} certificates");
    replicas.say("\r\n\r\nok\n", READY).await
}

/// "A key that leaked" of `docs/certificates.md`, while runners are made: no review fails, and
/// afterwards no Secret and no caBundle has the old CA.
async fn leaked(scene: &Scene) -> anyhow::Result<()> {
    Release::beside(scene, "e2e-leaked-key", async |release| {
        release.install(&[]).await?;
        release.is_called().await?;
        let old = certificates(&release.bundle(REGISTRATIONS).await?)?;
        ensure!(old.len() == 1, "{} CAs", old.len());

        let arc = scene.controller().await?;
        let start = Instant::now();
        let runners = while_creating(&arc, &set()?, EVERY, 20, taken_back(release)).await?;
        recovered(scene, &arc, &runners).await?;
        let attempts = arc.all_attempts();
        let (failed, line) = failures(&attempts);
        let took = start.elapsed().as_secs();
        scene.figure("a leaked CA taken back while runners are made", &format!("{took} s, {line}"));
        ensure!(failed.is_empty(), "{failed:?}");

        let secret = scene.cluster().get(&release.secret()).await?;
        for (place, now) in [
            ("Secret", text(&secret, "/data/ca.crt")),
            ("caBundle", &release.bundle(REGISTRATIONS).await?),
            ("caBundle for RunnerProfiles", &release.bundle(chart::VALIDATING).await?),
        ] {
            let now = certificates(now)?;
            let is_new = !now.is_empty() && now.iter().all(|one| !old.contains(one));
            ensure!(is_new, "the old CA is in the {place}");
        }
        release.uninstall().await
    })
    .await
}

/// The steps, as they are written there.
async fn taken_back(release: &Release<'_>) -> anyhow::Result<()> {
    let cluster = release.scene.cluster();
    let old = release.bundle(REGISTRATIONS).await?;
    cluster.delete(&release.secret()).await?;
    // `sleep 60`: what it waits for shows in the next step alone, by a review that fails.
    tokio::time::sleep(SLEEP).await;
    let secret = cluster.get(&release.secret()).await?;
    let ca = text(&secret, "/data/ca.crt");
    ensure!(!ca.is_empty() && ca != old, "no new CA");
    let pointer = "/webhooks/0/clientConfig/caBundle";
    let change = json!([{"op": "replace", "path": pointer, "value": ca}]);
    for kind in [REGISTRATIONS, chart::VALIDATING] {
        let registration = format!("{kind}/{}", release.name);
        let (media, body) = ("application/json-patch+json", change.to_string().into_bytes());
        cluster.call(Method::PATCH, &registration, media, body).await?;
    }
    release.is_called().await
}

/// The certificates of a PEM text in base64, as objects have it.
fn certificates(base64: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let pem = BASE64_STANDARD.decode(base64)?;
    Ok(CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>()?)
}

/// The answer to a plain HTTP request, head and body.
pub(super) async fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
