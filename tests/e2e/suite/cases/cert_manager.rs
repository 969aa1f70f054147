//! The chart with a real cert-manager: an authority of the chart's own, what it signs in the pods, and
//! renewals of both that cost no review.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::ensure;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio_rustls::TlsConnector;

use super::{
    chart::{NAME, instead, leaves_nothing_that_waits, ms, run_helm},
    outages::{connect, failures, recovered, set, trusting, while_creating},
};
use crate::{
    capabilities::Need,
    case::{Case, case},
    cert_manager::CertManager,
    cluster::{pods, text},
    install::{PORT, REGISTRATIONS},
    probe,
    report::say,
    scene::Scene,
    settings::root,
    wait::{Look, until},
};

/// The Certificate and the Secret of the chart's own authority.
const AUTHORITY: &str = "e2e-chart-ca";
/// A Secret's way into the pods, which the kubelet starts each minute, and into the webhook, which
/// looks each ten seconds.
const SERVED: Duration = Duration::from_mins(3);
/// Until a renewed authority signs: its issuer sees it within a moment.
const SIGNS: Duration = Duration::from_mins(1);
const EVERY: Duration = Duration::from_millis(200);
const LEAST: usize = 20;

pub(crate) fn cases() -> Vec<Case> {
    let needs = [Need::Service, Need::Helm, Need::CertManager];
    let case = case("cert-manager-issues-and-renews", issues_and_renews);
    vec![case.needs(&needs).alone().within(Duration::from_mins(8))]
}

async fn issues_and_renews(scene: &Scene) -> anyhow::Result<()> {
    instead(scene, async |scene, _| {
        let manager = CertManager::start(scene).await?;
        let lived = life(scene, &manager).await;
        if lived.is_err() {
            say(&format!("cert-manager:\n{}", manager.log()));
        }
        let stopped = manager.stop().await;
        lived.and(stopped)
    })
    .await
}

async fn life(scene: &Scene, manager: &CertManager) -> anyhow::Result<()> {
    let chart = root().join("deploy/helm/arc-rocm");
    let chart = chart.to_string_lossy();
    let flags = ["--namespace", NAME, "--wait", "--timeout", "3m"];
    let name = format!("fullnameOverride={NAME}");
    let mode = "certificates.mode=CertManager";
    let install = ["install", NAME, &chart, "--create-namespace", "--set", &name, "--set", mode];
    let start = Instant::now();
    run_helm(scene, &[&install, flags.as_slice()].concat()).await?;
    scene.figure("helm install --wait with cert-manager", &ms(start));
    probe::called(scene.cluster()).await?;

    let arc = scene.controller().await?;
    let replicas = Replicas::find(scene).await?;
    let renewals = async {
        let start = Instant::now();
        let leaf = manager.renew(NAME, NAME).await?;
        replicas.serve(&leaf).await?;
        scene
            .figure("certificate renewed by cert-manager, until all replicas serve it", &ms(start));

        let authority = text(&manager.renew(NAME, AUTHORITY).await?, "/data/tls.crt").to_owned();
        let leaf = until("a certificate of the renewed authority", SIGNS, || async {
            let leaf = manager.renew(NAME, NAME).await?;
            let is_of_it = text(&leaf, "/data/ca.crt") == authority;
            Ok(if is_of_it { Look::Seen(leaf) } else { Look::NotYet("the old one".to_owned()) })
        })
        .await?;
        // Also by the old authority, whose key has stayed: a caBundle that has one of both will do.
        replicas.serve(&leaf).await
    };
    let runners = while_creating(&arc, &set()?, EVERY, LEAST, renewals).await?;
    recovered(scene, &arc, &runners).await?;
    let attempts = arc.all_attempts();
    let (failed, line) = failures(&attempts);
    scene.figure("certificate and authority renewed by cert-manager while runners are made", &line);
    ensure!(failed.is_empty(), "{failed:?}");

    run_helm(scene, &[&["uninstall", NAME], flags.as_slice()].concat()).await?;
    let registration = format!("{REGISTRATIONS}/{NAME}");
    ensure!(scene.cluster().find(&registration).await?.is_none(), "still registered");
    leaves_nothing_that_waits(scene).await
}

/// The replicas of the moment, as a client that trusts the `caBundle` of the moment.
struct Replicas {
    tls: TlsConnector,
    addresses: Vec<String>,
}

impl Replicas {
    async fn find(scene: &Scene) -> anyhow::Result<Self> {
        let live = scene.cluster().get(&format!("{REGISTRATIONS}/{NAME}")).await?;
        let authority = text(&live, "/webhooks/0/clientConfig/caBundle");
        let file = NamedTempFile::new()?;
        fs::write(file.path(), BASE64_STANDARD.decode(authority)?)?;
        let pods = scene.cluster().list(&pods(NAME)).await?;
        let address = |pod: &Value| format!("{}:{PORT}", text(pod, "/status/podIP"));
        let addresses: Vec<String> = pods.iter().map(address).collect();
        ensure!(!addresses.is_empty(), "no replica");
        Ok(Self { tls: trusting(file.path())?, addresses })
    }

    /// Waits until every replica serves the certificate of a Secret, and that verifies.
    async fn serve(&self, secret: &Value) -> anyhow::Result<()> {
        let pem = BASE64_STANDARD.decode(text(secret, "/data/tls.crt"))?;
        let wanted = CertificateDer::from_pem_slice(&pem)?;
        let host = format!("{NAME}.{NAME}.svc");
        until("every replica to serve the renewed certificate", SERVED, || async {
            for address in &self.addresses {
                let stream = match connect(&self.tls, &host, address).await {
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
