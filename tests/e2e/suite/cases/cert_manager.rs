//! The chart with a real cert-manager: the chart's own CA, what it signs in the pods, that
//! renewals of both cost no review, and the way to self-managed ones and back.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::ensure;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::Method;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::{
    chart::{Release, WITHIN, ms},
    outages::{connect, failures, recovered, set, trusting, while_creating},
};
use crate::{
    arc::{kinds::Kind, scale_set::ScaleSet},
    capabilities::Need,
    case::{Case, case},
    cert_manager::CertManager,
    cluster::{pods, text},
    install::{PORT, REGISTRATIONS},
    probe,
    report::say,
    scene::Scene,
    wait::{Look, until},
};

/// The release.
const NAME: &str = "e2e-cert-manager";
/// The Certificate and the Secret of the chart's own CA.
const CA: &str = "e2e-cert-manager-ca";
/// A Secret's way into the pods, which the kubelet starts each minute, and into the webhook, which
/// looks each ten seconds.
const SERVED: Duration = Duration::from_mins(3);
/// Until a new CA is there and signs: a second each.
const SIGNS: Duration = Duration::from_mins(1);
const EVERY: Duration = Duration::from_millis(200);
/// Of an outage, for which runners wait longer and longer, and until the last of them is there.
const SELDOM: Duration = Duration::from_secs(3);
const WAITED: Duration = Duration::from_mins(3);
const LEAST: usize = 20;

pub(crate) fn cases() -> Vec<Case> {
    let needs = [Need::Service, Need::CertManager];
    let case = case("certificates-cert-manager", issues_and_renews);
    vec![case.needs(&needs).own_webhook().within(WITHIN)]
}

async fn issues_and_renews(scene: &Scene) -> anyhow::Result<()> {
    Release::beside(scene, NAME, async |release| {
        let manager = CertManager::start(scene).await?;
        let lived = life(release, &manager).await;
        if lived.is_err() {
            say(&format!("cert-manager:\n{}", manager.log()));
        }
        let stopped = manager.stop().await;
        lived.and(stopped)
    })
    .await
}

async fn life(release: &Release<'_>, manager: &CertManager) -> anyhow::Result<()> {
    let scene = release.scene;
    let start = Instant::now();
    release.install(&["--set", "certificates.mode=CertManager"]).await?;
    scene.figure("helm install --wait with cert-manager", &ms(start));
    release.is_called().await?;

    let arc = scene.controller().await?;
    let first = release.bundle(REGISTRATIONS).await?;
    let replicas = Replicas::find(scene).await?;
    let renewals = async {
        let start = Instant::now();
        let leaf = manager.renew(NAME, NAME).await?;
        replicas.serve(&leaf, &first).await?;
        let what = "certificate renewed by cert-manager, until all replicas serve it";
        scene.figure(what, &ms(start));

        let ca = manager.renew(NAME, CA).await?;
        let leaf = signed(manager, &ca).await?;
        // The key is the same, so the old CA certificate verifies it too: a cert-manager before 1.19,
        // which replaces the caBundle, would do no harm.
        replicas.serve(&leaf, &first).await?;

        let ca = with_another_key(scene, &ca).await?;
        let leaf = signed(manager, &ca).await?;
        replicas.serve(&leaf, text(&leaf, "/data/ca.crt")).await?;
        trusted_alone(release, text(&leaf, "/data/ca.crt")).await
    };
    let runners = while_creating(&arc, &set()?, EVERY, LEAST, renewals).await?;
    recovered(scene, &arc, &runners).await?;
    let attempts = arc.all_attempts();
    let (failed, line) = failures(&attempts);
    scene.figure("certificate and CA renewed by cert-manager while runners are made", &line);
    ensure!(failed.is_empty(), "{failed:?}");

    let before = arc.all_attempts().len();
    let modes = async {
        mode(release, "SelfManaged").await?;
        mode(release, "CertManager").await
    };
    let load = ScaleSet::new(Kind::Plain, "linux.rocm.gpu.gfx942.4")?
        .edit(|runner| runner["spec"]["spec"]["schedulerName"] = json!("e2e-none"));
    for runner in while_creating(&arc, &load, SELDOM, 5, modes).await? {
        let pod = arc.stored(&runner, WAITED).await?;
        ensure!(pod.pointer(probe::STATUS).is_some(), "{pod:#}");
    }
    ensure!(arc.ends().is_empty(), "{:?}", arc.ends());
    let (_, line) = failures(&arc.all_attempts().split_off(before));
    scene.figure("from cert-manager to self-managed and back while runners are made", &line);

    release.uninstall().await
}

/// "From one way to another" of `docs/certificates.md`.
async fn mode(release: &Release<'_>, mode: &str) -> anyhow::Result<()> {
    let (cluster, start) = (release.scene.cluster(), Instant::now());
    release.scale(0).await?;
    release.pods_gone().await?;
    cluster.delete(&release.secret()).await?;
    release.upgrade(&format!("certificates.mode={mode}")).await?;
    release.is_called().await?;
    release.scene.figure(&format!("another way to certificates: {mode}"), &ms(start));

    // The new issuer has the Secret for good: a self-managed one has the CA's key in it.
    let key = cluster.get(&release.secret()).await?["data"]["ca.key"].take();
    ensure!(key.is_string() == (mode == "SelfManaged"), "ca.key is {key}");
    Ok(())
}

/// The webhook's Secret with a certificate that the CA in this Secret has signed.
async fn signed(manager: &CertManager, ca: &Value) -> anyhow::Result<Value> {
    let ca = text(ca, "/data/tls.crt");
    until("a certificate of the new CA", SIGNS, || async {
        let leaf = manager.renew(NAME, NAME).await?;
        let is_of_it = text(&leaf, "/data/ca.crt") == ca;
        Ok(if is_of_it { Look::Seen(leaf) } else { Look::NotYet("one of the old CA".to_owned()) })
    })
    .await
}

/// Deletes the CA's Secret, as `docs/certificates.md` says of a key that leaked, and waits for
/// the one that cert-manager makes in its place.
async fn with_another_key(scene: &Scene, ca: &Value) -> anyhow::Result<Value> {
    let path = format!("/api/v1/namespaces/{NAME}/secrets/{CA}");
    scene.cluster().delete(&path).await?;
    until("a CA with another key", SIGNS, || async {
        let found = scene.cluster().find(&path).await?.unwrap_or_default();
        let key = text(&found, "/data/tls.key");
        let is_new = !key.is_empty()
            && key != text(ca, "/data/tls.key")
            && !text(&found, "/data/tls.crt").is_empty();
        Ok(if is_new { Look::Seen(found) } else { Look::NotYet("none".to_owned()) })
    })
    .await
}

/// Takes all CAs but this one out of the `caBundle`, where cert-manager has kept them.
async fn trusted_alone(release: &Release<'_>, ca: &str) -> anyhow::Result<()> {
    let before = release.bundle(REGISTRATIONS).await?;
    ensure!(before != ca, "the old CAs have gone by themselves");
    let change = json!([{
        "op": "replace",
        "path": "/webhooks/0/clientConfig/caBundle",
        "value": ca,
    }]);
    let registration = format!("{REGISTRATIONS}/{NAME}");
    let body = change.to_string().into_bytes();
    let patch = "application/json-patch+json";
    release.scene.cluster().call(Method::PATCH, &registration, patch, body).await?;
    release.is_called().await?;
    ensure!(release.bundle(REGISTRATIONS).await? == ca, "the caBundle is another one");
    Ok(())
}

/// The replicas of the moment.
struct Replicas {
    addresses: Vec<String>,
}

impl Replicas {
    async fn find(scene: &Scene) -> anyhow::Result<Self> {
        let pods = scene.cluster().list(&pods(NAME)).await?;
        let address = |pod: &Value| format!("{}:{PORT}", text(pod, "/status/podIP"));
        let addresses: Vec<String> = pods.iter().map(address).collect();
        ensure!(!addresses.is_empty(), "no replica");
        Ok(Self { addresses })
    }

    /// Waits until every replica serves the certificate of a Secret and a CA, in base64 as in objects,
    /// verifies it.
    async fn serve(&self, secret: &Value, ca: &str) -> anyhow::Result<()> {
        let file = NamedTempFile::new()?;
        fs::write(file.path(), BASE64_STANDARD.decode(ca)?)?;
        let tls = trusting(file.path())?;
        let pem = BASE64_STANDARD.decode(text(secret, "/data/tls.crt"))?;
        let wanted = CertificateDer::from_pem_slice(&pem)?;
        let host = format!("{NAME}.{NAME}.svc");
        until("every replica to serve the renewed certificate", SERVED, || async {
            for address in &self.addresses {
                let stream = match connect(&tls, &host, address).await {
                    Ok(stream) => stream,
                    Err(error) => return Ok(Look::NotYet(format!("{address}: {error:#}"))),
                };
                let served = stream.get_ref().1.peer_certificates().unwrap_or_default();
                if served.first() != Some(&wanted) {
                    return Ok(Look::NotYet(format!("{address} serves the old one")));
                }
            }
            Ok(Look::Seen(()))
        })
        .await
    }
}
