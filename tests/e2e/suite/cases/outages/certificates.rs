//! A certificate that the API server does not trust, and a change of the CA without an outage.

use std::{fs, path::Path, time::Duration};

use anyhow::ensure;
use tempfile::TempDir;

use super::{RECOVERY, delayed, failures, flood, installed, recovered, set, while_creating};
use crate::{
    arc::access,
    case::{Case, case},
    cluster::Cluster,
    install::Installation,
    probe, program,
    scene::Scene,
    wait::{Look, until},
};

/// 5 ms doubled this often is more than half a second.
const LEAST: usize = 8;
/// A change takes a minute and a half in a cluster with the usual settings.
const EVERY: Duration = Duration::from_millis(250);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("outage-wrong-certificate", wrong).own_webhook().within(RECOVERY * 3),
        case("outage-rotated-ca", rotated).own_webhook().within(RECOVERY * 3),
    ]
}

/// The webhook comes up with a certificate of another CA. That it is replaced is enough: no
/// replica is restarted.
async fn wrong(scene: &Scene) -> anyhow::Result<()> {
    let mut installation = installed(scene).await?;
    let (cluster, settings) = (scene.cluster(), &scene.world.settings);
    let folder = TempDir::new()?;
    let (right, other) = (folder.path().join("right"), folder.path().join("other"));
    copy(&installation.certs(), &right)?;
    program::certs(settings, &other, &installation.host()).await?;

    let arc = scene.controller().await?;
    installation.down(cluster).await?;
    installation.serve_pair(cluster, &other).await?;
    let waiting = async {
        installation.up(cluster, settings).await?;
        untrusted(scene).await?;
        delayed(scene, &arc, LEAST, "x509").await
    }
    .await;
    installation.serve_pair(cluster, &right).await?;
    recovered(scene, &arc, &waiting?).await?;
    serves(&installation, cluster, &right).await
}

/// Waits until it is the certificate for which the API server refuses: it learns of new endpoints a
/// moment after the rollout.
async fn untrusted(scene: &Scene) -> anyhow::Result<()> {
    let pod = probe::runner_pod(&scene.namespace)?;
    let arc = scene.cluster().by(&access::user())?;
    until("the certificate to be refused", RECOVERY, || async {
        let said = probe::dry_run(&arc, &scene.namespace, &pod).await.err();
        let said = said.map_or_else(|| "accepted".to_owned(), |refused| refused.to_string());
        Ok(if said.contains("x509") { Look::Seen(()) } else { Look::NotYet(said) })
    })
    .await
}

/// A new CA, in the order of `deploy/README.md`: both CAs are trusted, then the certificate is
/// renewed, then the old CA goes. Meanwhile runners come and come.
async fn rotated(scene: &Scene) -> anyhow::Result<()> {
    let installation = installed(scene).await?;
    let (cluster, settings) = (scene.cluster(), &scene.world.settings);
    let folder = TempDir::new()?;
    let new = folder.path().join("new");
    program::certs(settings, &new, &installation.host()).await?;
    let both = folder.path().join("both.crt");
    let read = |path: &Path| fs::read_to_string(path);
    let own = installation.certs().join("ca.crt");
    fs::write(&both, read(&own)? + &read(&new.join("ca.crt"))?)?;

    let arc = scene.controller().await?;
    let rotation = async {
        installation.trust(cluster, settings, &both).await?;
        probe::called_in(cluster, &scene.namespace).await?;
        installation.serve_pair(cluster, &new).await?;
        serves(&installation, cluster, &new).await?;
        fs::copy(new.join("ca.crt"), &own)?;
        installation.trust(cluster, settings, &own).await?;
        probe::called_in(cluster, &scene.namespace).await
    };
    let runners = while_creating(&arc, &set()?, EVERY, 20, rotation).await?;
    recovered(scene, &arc, &runners).await?;
    let attempts = arc.all_attempts();
    let (failed, line) = failures(&attempts);
    scene.figure("rotation of the CA while runners are made", &line);
    ensure!(failed.is_empty(), "{failed:?}");
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for file in ["ca.crt", "tls.crt", "tls.key"] {
        fs::copy(from.join(file), to.join(file))?;
    }
    Ok(())
}

/// Waits until every replica serves a certificate that the CA in `folder` signed.
async fn serves(
    installation: &Installation,
    cluster: &Cluster,
    folder: &Path,
) -> anyhow::Result<()> {
    let (tls, host) = (flood::trusting(&folder.join("ca.crt"))?, installation.host());
    until("every replica to serve the new certificate", RECOVERY, || async {
        for address in installation.listeners(cluster).await? {
            if let Err(error) = flood::connect(&tls, &host, &address).await {
                return Ok(Look::NotYet(format!("{address}: {error:#}")));
            }
        }
        Ok(Look::Seen(()))
    })
    .await
}
