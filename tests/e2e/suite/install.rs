//! The webhook, installed from the chart's render, unchanged.

use std::{fmt::Write as _, fs, net::TcpListener, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Child;

use crate::{
    cluster::{Cluster, pods, text},
    program,
    settings::{Form, Settings},
    wait::{Look, until},
};

/// Image pulls included, on a machine that is busy.
const ROLLOUT: Duration = Duration::from_mins(3);
/// As the chart has it.
const REPLICAS: usize = 2;
/// The port of the pods, as the chart has it.
pub(crate) const PORT: u16 = 8443;
/// The end of a namespace with pods in it: their grace, and the controllers that clean up.
pub(crate) const GONE: Duration = Duration::from_mins(2);

/// What an installation is to be like.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// `fullnameOverride`.
    pub(crate) name: String,
    /// The release's namespace.
    pub(crate) namespace: String,
    /// The profiles, by file name; none: no ConfigMap, and so the built-in profile.
    pub(crate) profiles: Vec<(String, String)>,
    /// Whether it issues its certificate, which is the chart's default. The suite's own has files, so
    /// that cases can break them.
    pub(crate) self_managed: bool,
    /// Values of the chart, such as `replicas=1`.
    pub(crate) values: Vec<String>,
    /// The one namespace whose runner pods it is called for; all namespaces without.
    pub(crate) only_in: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "arc-rocm".to_owned(),
            namespace: "arc-rocm".to_owned(),
            profiles: Vec::new(),
            self_managed: false,
            values: Vec::new(),
            only_in: None,
        }
    }
}

/// A webhook that is installed.
#[derive(Debug)]
pub(crate) struct Installation {
    /// What was asked for.
    pub(crate) options: Options,
    /// How the API server finds it.
    pub(crate) form: Form,
    /// Certificates (`certs/ca.crt`, `tls.crt`, `tls.key`) and, in the url form, `profiles/`.
    folder: TempDir,
    /// `host:port` of the process in the url form.
    address: Option<(String, u16)>,
    process: Option<Child>,
}

impl Installation {
    /// Installs the webhook and waits for its rollout.
    ///
    /// In the url form, `host` is the address for the API server.
    pub(crate) async fn install(
        cluster: &Cluster,
        settings: &Settings,
        form: Form,
        host: Option<&str>,
        options: Options,
    ) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        fs::create_dir(folder.path().join("profiles"))?;
        let mut installation = Self { options, form, folder, address: None, process: None };
        match form {
            Form::Service => installation.deploy(cluster, settings).await?,
            Form::Url => {
                let host = host.context("the url form needs an address of this machine")?;
                installation.start(cluster, settings, host).await?;
            }
        }
        Ok(installation)
    }

    async fn deploy(&self, cluster: &Cluster, settings: &Settings) -> anyhow::Result<()> {
        let Options { name, namespace, profiles, .. } = self.options.clone();
        // As deploy/README.md has it: the webhook's own pods need no privileges.
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let metadata = json!({"name": namespace, "labels": labels});
        let own = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        cluster.apply(&own).await?;
        if !self.options.self_managed {
            program::certs(settings, &self.certs(), &format!("{name}.{namespace}.svc")).await?;
            self.apply_secret(cluster).await?;
        }
        if !profiles.is_empty() {
            self.apply_profiles(cluster, &profiles).await?;
        }
        for object in self.manifests(settings, &self.certs().join("ca.crt")).await? {
            cluster.apply(&object).await?;
        }
        self.rolled_out(cluster).await
    }

    /// The Secret of `kubectl create secret tls`, from the files of the moment.
    pub(crate) async fn apply_secret(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let read = |name: &str| fs::read_to_string(self.certs().join(name));
        cluster
            .apply(&json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": format!("{}-tls", self.options.name), "namespace": self.options.namespace},
                "type": "kubernetes.io/tls",
                "stringData": {"tls.crt": read("tls.crt")?, "tls.key": read("tls.key")?},
            }))
            .await?;
        Ok(())
    }

    /// The ConfigMap of `kubectl create configmap --from-file`.
    pub(crate) async fn apply_profiles(
        &self,
        cluster: &Cluster,
        profiles: &[(String, String)],
    ) -> anyhow::Result<()> {
        let data: serde_json::Map<String, Value> =
            profiles.iter().map(|(file, text)| (file.clone(), json!(text))).collect();
        cluster
            .apply(&json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": format!("{}-profiles", self.options.name), "namespace": self.options.namespace},
                "data": data,
            }))
            .await?;
        Ok(())
    }

    /// The objects of this installation, with this CA unless it issues its own certificate.
    pub(crate) async fn manifests(
        &self,
        settings: &Settings,
        ca: &Path,
    ) -> anyhow::Result<Vec<Value>> {
        let mut objects = self.render(settings, ca).await?;
        if let Some(namespace) = &self.options.only_in {
            let is_registration = |object: &&mut Value| object["kind"] == REGISTRATION;
            for object in objects.iter_mut().filter(is_registration) {
                object["webhooks"][0]["namespaceSelector"] =
                    json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
            }
        }
        Ok(objects)
    }

    async fn render(&self, settings: &Settings, ca: &Path) -> anyhow::Result<Vec<Value>> {
        let Options { name, namespace, self_managed, values, .. } = &self.options;
        if let Some((host, port)) = &self.address {
            // An IPv6 address needs its brackets.
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            let url = format!("https://{host}:{port}/mutate");
            let object = program::registration(settings, name, namespace, ca, &url, values).await?;
            return Ok(vec![object]);
        }
        let own = if *self_managed { Vec::new() } else { program::own_certificate(ca)? };
        program::render(settings, name, namespace, &[&own[..], values].concat()).await
    }

    /// Waits until every pod of the newest template is available and no other is left.
    pub(crate) async fn rolled_out(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let path = self.deployment();
        let replicas = until("rollout of the webhook", ROLLOUT, || async {
            let deployment = cluster.get(&path).await?;
            let status = &deployment["status"];
            let replicas = &deployment["spec"]["replicas"];
            let done = status["observedGeneration"] == deployment["metadata"]["generation"]
                && ["replicas", "updatedReplicas", "availableReplicas"]
                    .iter()
                    .all(|count| status[count] == *replicas);
            Ok(if done { Look::Seen(replicas.clone()) } else { Look::NotYet(status.to_string()) })
        })
        .await?;
        // Who calls the Service learns of a ready pod from the EndpointSlices, a moment later.
        until("the webhook's endpoints", ROLLOUT, || async {
            let ready = self.ready_endpoints(cluster).await?;
            Ok(if replicas == json!(ready.len()) {
                Look::Seen(())
            } else {
                Look::NotYet(format!("{ready:?}, not {replicas}"))
            })
        })
        .await
    }

    /// The names of the pods to which the Service leads, in order.
    pub(crate) async fn ready_endpoints(&self, cluster: &Cluster) -> anyhow::Result<Vec<String>> {
        let Options { name, namespace, .. } = &self.options;
        let slices = cluster
            .list(&format!(
                "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices\
                 ?labelSelector=kubernetes.io%2Fservice-name%3D{name}"
            ))
            .await?;
        let mut ready: Vec<String> = slices
            .iter()
            .filter_map(|slice| slice["endpoints"].as_array())
            .flatten()
            .filter(|endpoint| endpoint["conditions"]["ready"] == true)
            .map(|endpoint| text(endpoint, "/targetRef/name").to_owned())
            .collect();
        ready.sort_unstable();
        Ok(ready)
    }

    /// `kubectl rollout restart`. `stamp` is another one each time.
    pub(crate) async fn restart_rollout(
        &self,
        cluster: &Cluster,
        stamp: &str,
    ) -> anyhow::Result<()> {
        let annotation = json!({"kubectl.kubernetes.io/restartedAt": stamp});
        let change = json!({"spec": {"template": {"metadata": {"annotations": annotation}}}});
        cluster.merge(&self.deployment(), &change).await?;
        self.rolled_out(cluster).await
    }

    /// The url form: the process, and the registration alone.
    async fn start(
        &mut self,
        cluster: &Cluster,
        settings: &Settings,
        host: &str,
    ) -> anyhow::Result<()> {
        program::certs(settings, &self.certs(), host).await?;
        for (file, text) in &self.options.profiles {
            fs::write(self.folder.path().join("profiles").join(file), text)?;
        }
        self.address = Some((host.to_owned(), free_port(host)?));
        self.restart(settings)?;
        for object in self.manifests(settings, &self.certs().join("ca.crt")).await? {
            cluster.apply(&object).await?;
        }
        Ok(())
    }

    /// Starts the process of the url form, anew if there was one.
    pub(crate) fn restart(&mut self, settings: &Settings) -> anyhow::Result<()> {
        let (host, port) = self.address.as_ref().context("not installed by URL")?;
        let process = program::serve(settings, &self.folder.path().join("log"))?
            .args(["--bind", &format!("{host}:{port}"), "--admin-bind", "127.0.0.1:0"])
            .args(program::pair(&self.certs()))
            .arg("--profiles")
            .arg(self.folder.path().join("profiles"))
            .spawn()
            .context("arc-rocm serve")?;
        self.process = Some(process);
        Ok(())
    }

    /// Takes the webhook away: no replica, or no process, and the registration stays.
    pub(crate) async fn down(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        if let Some(process) = &mut self.process {
            process.kill().await?;
            return Ok(());
        }
        cluster.merge(&self.deployment(), &json!({"spec": {"replicas": 0}})).await?;
        let pods = pods(&self.options.namespace);
        until("end of the webhook's pods", GONE, || async {
            let left = cluster.list(&pods).await?.len();
            Ok(if left == 0 { Look::Seen(()) } else { Look::NotYet(format!("{left} pods")) })
        })
        .await
    }

    /// Brings back what [`down`](Self::down) took.
    pub(crate) async fn up(
        &mut self,
        cluster: &Cluster,
        settings: &Settings,
    ) -> anyhow::Result<()> {
        if self.process.is_some() {
            return self.restart(settings);
        }
        cluster.merge(&self.deployment(), &json!({"spec": {"replicas": REPLICAS}})).await?;
        self.rolled_out(cluster).await
    }

    /// The name that the API server verifies.
    pub(crate) fn host(&self) -> String {
        let Options { name, namespace, .. } = &self.options;
        match &self.address {
            Some((host, _)) => host.clone(),
            None => format!("{name}.{namespace}.svc"),
        }
    }

    /// Where replicas listen.
    pub(crate) async fn listeners(&self, cluster: &Cluster) -> anyhow::Result<Vec<String>> {
        if let Some((host, port)) = &self.address {
            return Ok(vec![format!("{host}:{port}")]);
        }
        let all = cluster.list(&pods(&self.options.namespace)).await?;
        Ok(all.iter().map(|pod| format!("{}:{PORT}", text(pod, "/status/podIP"))).collect())
    }

    /// Gives the webhook the certificate of another folder, as who renews a Secret does. Running
    /// replicas take it in their own time.
    pub(crate) async fn serve_pair(&self, cluster: &Cluster, folder: &Path) -> anyhow::Result<()> {
        for file in ["tls.crt", "tls.key"] {
            fs::copy(folder.join(file), self.certs().join(file))?;
        }
        match self.form {
            Form::Service => self.apply_secret(cluster).await,
            Form::Url => Ok(()),
        }
    }

    /// Registers the webhook with the CAs of a file.
    pub(crate) async fn trust(
        &self,
        cluster: &Cluster,
        settings: &Settings,
        ca: &Path,
    ) -> anyhow::Result<()> {
        for object in self.manifests(settings, ca).await? {
            if object["kind"] == REGISTRATION {
                cluster.apply(&object).await?;
            }
        }
        Ok(())
    }

    /// The folder of `ca.crt`, `tls.crt` and `tls.key`.
    pub(crate) fn certs(&self) -> std::path::PathBuf {
        self.folder.path().join("certs")
    }

    /// The path of the Deployment.
    pub(crate) fn deployment(&self) -> String {
        let Options { name, namespace, .. } = &self.options;
        format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
    }

    /// The path of the registration.
    pub(crate) fn registration(&self) -> String {
        format!("{REGISTRATIONS}/{}", self.options.name)
    }

    /// The name of the webhook in its registration, which is its label in metrics.
    pub(crate) async fn webhook(&self, cluster: &Cluster) -> anyhow::Result<String> {
        let registration = cluster.get(&self.registration()).await?;
        Ok(text(&registration, "/webhooks/0/name").to_owned())
    }

    /// The last lines of the webhook's log: of the process, or of each of its pods.
    pub(crate) async fn log(&self, cluster: &Cluster) -> anyhow::Result<String> {
        if self.form == Form::Url {
            return Ok(program::tail(&self.folder.path().join("log"))?);
        }
        let pods = format!("/api/v1/namespaces/{}/pods", self.options.namespace);
        let mut out = String::new();
        for pod in cluster.list(&pods).await? {
            let name = text(&pod, "/metadata/name");
            let path = format!("{pods}/{name}/log?tailLines=50");
            let log = match cluster.call(Method::GET, &path, "text/plain", Vec::new()).await {
                Ok(reply) => {
                    reply.object.as_str().map_or_else(|| reply.object.to_string(), str::to_owned)
                }
                Err(refused) => refused.to_string(),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "--- {name}\n{log}");
        }
        Ok(out)
    }

    /// Removes it in the documented order: the registration first.
    pub(crate) async fn uninstall(mut self, cluster: &Cluster) -> anyhow::Result<()> {
        let registration = self.registration();
        cluster.delete(&registration).await?;
        ensure!(cluster.find(&registration).await?.is_none(), "{registration} is still there");
        if self.form == Form::Service {
            let namespace = format!("/api/v1/namespaces/{}", self.options.namespace);
            cluster.delete(&namespace).await?;
            until("end of the webhook's namespace", GONE, || cluster.gone(&namespace)).await?;
        }
        if let Some(process) = &mut self.process {
            process.kill().await?;
        }
        Ok(())
    }
}

/// The kind of a registration.
const REGISTRATION: &str = "MutatingWebhookConfiguration";
/// Where registrations are.
pub(crate) const REGISTRATIONS: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// A port that is free at the moment.
pub(crate) fn free_port(host: &str) -> anyhow::Result<u16> {
    let listener = TcpListener::bind((host, 0)).with_context(|| format!("listen on {host}"))?;
    Ok(listener.local_addr()?.port())
}
