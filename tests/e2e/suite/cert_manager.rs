//! A real cert-manager for one case: its CRDs in the cluster, its controllers as a process of this
//! machine (`deploy/tools/cert-manager`).

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use http::Method;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};

use crate::{
    cluster::{Cluster, text},
    program::tail,
    scene::{LABEL, Scene},
    wait::{Look, until},
};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// A kind takes a second.
const ESTABLISHED: Duration = Duration::from_secs(30);
/// The end of a definition, and of all objects of its kind.
const GONE: Duration = Duration::from_secs(30);
/// Until a Certificate is issued: a second, and the retries of controllers that met the Secret of
/// the authority too early.
const ISSUED: Duration = Duration::from_mins(1);

/// A cert-manager that runs. However the case ends, the process ends with this value and the
/// definitions with the scene; [`stop`](Self::stop) does it in order.
pub(crate) struct CertManager {
    cluster: Cluster,
    definitions: Vec<String>,
    log: NamedTempFile,
    process: Child,
}

impl CertManager {
    /// Installs the definitions and starts the controllers.
    ///
    /// # Errors
    ///
    /// A cluster that has a cert-manager of its own: its definitions, and with them everybody's
    /// certificates, would go at the end.
    pub(crate) async fn start(scene: &Scene) -> anyhow::Result<Self> {
        let settings = scene.world.settings.cert_manager.as_ref();
        let settings = settings.context("Need::CertManager is missing")?;
        let cluster = scene.cluster().clone();
        let mut definitions = Vec::new();
        for file in fs::read_dir(&settings.crds).context("ARC_ROCM_CERT_MANAGER_CRDS")? {
            let file = file?.path();
            let Some(name) = name_of(&file) else { continue };
            let definition = format!("{DEFINITIONS}/{name}");
            define(scene, &definition, &fs::read_to_string(&file)?).await?;
            definitions.push(definition);
        }
        ensure!(!definitions.is_empty(), "no definitions in {}", settings.crds.display());
        for definition in &definitions {
            established(&cluster, definition).await?;
        }
        let log = NamedTempFile::new()?;
        let process = Command::new(&settings.program)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.reopen()?)
            .kill_on_drop(true)
            .spawn()
            .context("ARC_ROCM_CERT_MANAGER")?;
        Ok(Self { cluster, definitions, log, process })
    }

    /// Ends the controllers and removes the definitions.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Self { cluster, definitions, mut process, .. } = self;
        process.kill().await?;
        for definition in &definitions {
            cluster.delete(definition).await?;
        }
        for definition in &definitions {
            until("end of cert-manager's definitions", GONE, || cluster.gone(definition)).await?;
        }
        Ok(())
    }

    /// The last lines of the controllers' log.
    pub(crate) fn log(&self) -> String {
        tail(self.log.path()).unwrap_or_default()
    }

    /// Has a Certificate issued anew, as `cmctl renew` does, and waits until its Secret has another
    /// certificate. Returns the Secret.
    pub(crate) async fn renew(&self, namespace: &str, name: &str) -> anyhow::Result<Value> {
        let path = format!("/apis/cert-manager.io/v1/namespaces/{namespace}/certificates/{name}");
        let certificate = self.cluster.get(&path).await?;
        let secret = text(&certificate, "/spec/secretName");
        let secret = format!("/api/v1/namespaces/{namespace}/secrets/{secret}");
        let before = self.cluster.get(&secret).await?;
        until("the renewal to be asked for", ISSUED, || async {
            let mut certificate = self.cluster.get(&path).await?;
            let conditions = certificate["status"]["conditions"].as_array_mut();
            let conditions = conditions.context("a Certificate without conditions")?;
            // One of an issuance that failed may be there.
            conditions.retain(|one| one["type"] != "Issuing");
            conditions.push(json!({
                "type": "Issuing",
                "status": "True",
                "reason": "ManuallyTriggered",
                "message": "Certificate re-issuance manually triggered",
                // Any time will do.
                "lastTransitionTime": before["metadata"]["creationTimestamp"],
            }));
            let body = certificate.to_string().into_bytes();
            let status = format!("{path}/status");
            match self.cluster.call(Method::PUT, &status, "application/json", body).await {
                Ok(_) => Ok(Look::Seen(())),
                // The controllers write it too.
                Err(refused) if refused.code == 409 => Ok(Look::NotYet(refused.to_string())),
                Err(refused) => Err(refused.into()),
            }
        })
        .await?;
        until("the renewed certificate in its Secret", ISSUED, || async {
            let (now, live) = (self.cluster.get(&secret).await?, self.cluster.get(&path).await?);
            let conditions = live["status"]["conditions"].as_array().into_iter().flatten();
            let is =
                |kind| conditions.clone().any(|one| one["type"] == kind && one["status"] == "True");
            let done = now["data"]["tls.crt"] != before["data"]["tls.crt"]
                && is("Ready")
                && !is("Issuing");
            Ok(if done { Look::Seen(now) } else { Look::NotYet(live["status"].to_string()) })
        })
        .await
    }
}

/// The name of the definition in a file such as `cert-manager.io_certificates.yaml`.
fn name_of(file: &Path) -> Option<String> {
    let (group, plural) = file.file_name()?.to_str()?.strip_suffix(".yaml")?.split_once('_')?;
    Some(format!("{plural}.{group}"))
}

/// Applies a definition and marks it as the suite's own in one request: after a kill between two
/// requests the next run would take it for a foreign one.
async fn define(scene: &Scene, path: &str, yaml: &str) -> anyhow::Result<()> {
    let cluster = scene.cluster();
    if let Some(found) = cluster.find(path).await? {
        let ours = found["metadata"]["labels"][LABEL] == "true";
        ensure!(ours, "{path}: the cluster has a cert-manager of its own");
    }
    scene.delete_at_end(path.to_owned());
    let apply = format!("{path}?fieldManager=e2e&force=true&fieldValidation=Strict");
    let marked = format!("\nmetadata:\n  labels: {{{LABEL}: \"true\"}}\n");
    let yaml = yaml.replacen("\nmetadata:\n", &marked, 1);
    ensure!(yaml.contains(&marked), "{path}: no metadata");
    cluster.call(Method::PATCH, &apply, "application/apply-patch+yaml", yaml.into_bytes()).await?;
    Ok(())
}

/// Waits until a kind can be found: a definition is established before discovery has it.
async fn established(cluster: &Cluster, path: &str) -> anyhow::Result<()> {
    until("cert-manager's kinds to be served", ESTABLISHED, || async {
        let definition = cluster.get(path).await?;
        let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
        let established =
            conditions.clone().any(|one| one["type"] == "Established" && one["status"] == "True");
        let spec = &definition["spec"];
        let discovered = is_discovered(cluster, spec).await?;
        Ok(if established && discovered {
            Look::Seen(())
        } else {
            Look::NotYet(format!("{}, discovered: {discovered}", definition["status"]))
        })
    })
    .await
}

/// Whether discovery has the group of a definition, and its kind in the first version.
async fn is_discovered(cluster: &Cluster, spec: &Value) -> anyhow::Result<bool> {
    let (group, version) = (text(spec, "/group"), text(spec, "/versions/0/name"));
    let has = |list: &Value, name: &Value| {
        list.as_array().into_iter().flatten().any(|one| one["name"] == *name)
    };
    let groups = cluster.get("/apis").await?;
    let kinds = cluster.find(&format!("/apis/{group}/{version}")).await?.unwrap_or_default();
    Ok(has(&groups["groups"], &spec["group"]) && has(&kinds["resources"], &spec["names"]["plural"]))
}
