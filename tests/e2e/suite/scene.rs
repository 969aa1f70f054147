//! What a case gets: the cluster, the installed webhook, and a namespace of its own that is gone
//! afterwards, however the case ends.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use http::Method;
use serde_json::{Value, json};

use crate::{
    arc::{controller::Controller, runners},
    capabilities::Capabilities,
    cluster::{Cluster, path_of, pods, text},
    install::Installation,
    report::{Report, say},
    settings::Settings,
    wait::{Look, WATCHED, until},
};

/// The label of all that the suite makes in a cluster.
pub(crate) const LABEL: &str = "arc-rocm.dev/e2e";
/// Pods of the real node have the grace that their clean-up asks for, and the kubelet's own time.
const PODS_GONE: Duration = Duration::from_secs(90);

/// What all cases share.
pub(crate) struct World {
    /// By who runs the suite.
    pub(crate) cluster: Cluster,
    /// What the environment says.
    pub(crate) settings: Settings,
    /// What the cluster can do.
    pub(crate) capabilities: Capabilities,
    /// The webhook. Cases that change it run alone, and put it back.
    pub(crate) installation: tokio::sync::Mutex<Installation>,
    /// The table and the figures.
    pub(crate) report: Report,
}

/// One case's part of the world.
pub(crate) struct Scene {
    /// What all cases share.
    pub(crate) world: Arc<World>,
    /// The case's namespace.
    pub(crate) namespace: String,
    extra: Mutex<Vec<String>>,
}

impl Scene {
    /// Makes the namespace.
    pub(crate) async fn open(world: &Arc<World>, case: &str) -> anyhow::Result<Self> {
        let namespace = namespace(case);
        let path = format!("/api/v1/namespaces/{namespace}");
        let gone = "namespace of an earlier run to be gone";
        until(gone, PODS_GONE, || world.cluster.gone(&path)).await?;
        make_namespace(&world.cluster, &namespace, &json!({})).await?;
        Ok(Self { world: Arc::clone(world), namespace, extra: Mutex::default() })
    }

    /// The cluster, by who runs the suite.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.world.cluster
    }

    /// ARC's controller for the case's namespace.
    pub(crate) async fn controller(&self) -> anyhow::Result<Controller> {
        Controller::start(self.cluster(), &self.namespace).await
    }

    /// The address for servers of this process; cases that ask for it need
    /// [`Need::Host`](crate::capabilities::Need::Host).
    pub(crate) fn host(&self) -> anyhow::Result<&str> {
        self.world.capabilities.host.as_deref().context("Need::Host is missing from the case")
    }

    /// Applies an object that is deleted when the case ends. Objects in the case's namespace need
    /// no such care: they go with it.
    pub(crate) async fn apply(&self, object: &Value) -> anyhow::Result<Value> {
        self.delete_at_end(path_of(object)?);
        self.cluster().apply(object).await
    }

    /// Has what is at a path deleted when the case ends, however it ends.
    pub(crate) fn delete_at_end(&self, path: String) {
        self.extra.lock().unwrap_or_else(PoisonError::into_inner).push(path);
    }

    /// Has Pod Security enforce a level in the case's namespace, and waits until it does: its
    /// admission plugin learns of a namespace's labels after a moment.
    pub(crate) async fn enforce(&self, level: &str) -> anyhow::Result<()> {
        let labels = json!({"pod-security.kubernetes.io/enforce": level});
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        self.cluster().merge(&path, &json!({"metadata": {"labels": labels}})).await?;
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"generateName": "probe-", "namespace": self.namespace},
            "spec": {"containers": [{
                "name": "probe", "image": "probe", "securityContext": {"privileged": true},
            }]},
        });
        let path = format!("{}?dryRun=All", pods(&self.namespace));
        until("Pod Security to enforce its level", WATCHED, || async {
            let said = self.cluster().create(&path, &pod).await.err();
            let refused = said.as_ref().is_some_and(|refused| refused.code == 403);
            Ok(if refused == (level != "privileged") {
                Look::Seen(())
            } else {
                Look::NotYet(said.map_or_else(|| "accepted".to_owned(), |said| said.to_string()))
            })
        })
        .await
    }

    /// Notes a figure for the report; `value` has its unit.
    pub(crate) fn figure(&self, name: &str, value: &str) {
        self.world.report.figure(name, value);
    }

    /// What a person needs to see why a case failed.
    pub(crate) async fn dump(&self) -> String {
        let mut out = format!("--- namespace {}\n", self.namespace);
        let cluster = self.cluster();
        for runner in cluster.list(&runners(&self.namespace)).await.unwrap_or_default() {
            let name = text(&runner, "/metadata/name");
            let _ = writeln!(out, "ephemeralrunner {name}: {}", runner["status"]);
        }
        let all = cluster.list(&pods(&self.namespace)).await.unwrap_or_default();
        // The first few tell it; hundreds of equal ones would bury it.
        for pod in all.iter().take(5) {
            let name = text(pod, "/metadata/name");
            let _ = writeln!(out, "pod {name}: {}", pod["status"]);
            for list in ["initContainers", "containers"] {
                for container in pod["spec"][list].as_array().into_iter().flatten() {
                    let container = text(container, "/name");
                    let log = self.log(name, container, "tailLines=30").await;
                    let _ = writeln!(out, "log of {name}/{container}:\n{log}");
                }
            }
        }
        let events = format!("/api/v1/namespaces/{}/events", self.namespace);
        for event in cluster.list(&events).await.unwrap_or_default().iter().rev().take(30) {
            let (reason, message) = (text(event, "/reason"), text(event, "/message"));
            let name = text(event, "/involvedObject/name");
            let _ = writeln!(out, "event {name} {reason}: {message}");
        }
        if let Ok(installation) = self.world.installation.try_lock() {
            let log = installation.log(cluster).await;
            let _ = writeln!(out, "webhook:\n{}", log.unwrap_or_else(|error| error.to_string()));
        }
        out
    }

    /// A container's log, or why there is none. `query` is the API's, such as `tailLines=30`.
    pub(crate) async fn log(&self, pod: &str, container: &str, query: &str) -> String {
        let path = format!("{}/{pod}/log?container={container}&{query}", pods(&self.namespace));
        match self.cluster().call(Method::GET, &path, "text/plain", Vec::new()).await {
            Ok(reply) => {
                reply.object.as_str().map_or_else(|| reply.object.to_string(), str::to_owned)
            }
            Err(refused) => format!("({refused})"),
        }
    }

    /// Removes what the case has made. Pods are gone when this returns, so that their GPUs are
    /// free; the namespace goes in its own time.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        let cluster = self.cluster();
        let extra = std::mem::take(&mut *self.extra.lock().unwrap_or_else(PoisonError::into_inner));
        for path in extra.iter().rev() {
            cluster.delete(path).await.with_context(|| path.clone())?;
        }
        let pods = pods(&self.namespace);
        cluster.delete(&runners(&self.namespace)).await?;
        cluster.delete(&format!("{pods}?gracePeriodSeconds=5")).await?;
        until("pods of the case to go", PODS_GONE, || async {
            let left = cluster.list(&pods).await?.len();
            Ok(if left == 0 { Look::Seen(()) } else { Look::NotYet(format!("{left} pods")) })
        })
        .await?;
        cluster.delete(&format!("/api/v1/namespaces/{}", self.namespace)).await?;
        Ok(())
    }
}

/// The namespace of a case of this name.
pub(crate) fn namespace(case: &str) -> String {
    let namespace: String = format!("e2e-{case}").chars().take(50).collect();
    namespace.trim_end_matches('-').to_owned()
}

/// Makes a namespace whose default ServiceAccount is there.
pub(crate) async fn make_namespace(
    cluster: &Cluster,
    name: &str,
    labels: &Value,
) -> anyhow::Result<()> {
    let mut labels = labels.clone();
    labels[LABEL] = json!("true");
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    });
    cluster.apply(&namespace).await?;
    let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
    until("default ServiceAccount", PODS_GONE, || async {
        Ok(match cluster.find(&account).await? {
            Some(_) => Look::Seen(()),
            None => Look::NotYet("none".to_owned()),
        })
    })
    .await
}

/// Deletes all that bears the suite's label: what an earlier run left, or this one.
pub(crate) async fn sweep(cluster: &Cluster) -> anyhow::Result<()> {
    let selector = format!("?labelSelector={LABEL}%3Dtrue");
    let registrations = crate::install::REGISTRATIONS;
    cluster.delete(&format!("{registrations}{selector}")).await?;
    let namespaces = format!("/api/v1/namespaces{selector}");
    for namespace in cluster.list(&namespaces).await? {
        let name = text(&namespace, "/metadata/name");
        if name.starts_with("e2e-") {
            cluster.delete(&format!("/api/v1/namespaces/{name}")).await?;
        }
    }
    until("namespaces of cases to go", PODS_GONE, || async {
        let left = cluster.list(&namespaces).await?;
        let names: Vec<&str> =
            left.iter().map(|namespace| text(namespace, "/metadata/name")).collect();
        let waiting: Vec<&str> =
            names.into_iter().filter(|name| name.starts_with("e2e-")).collect();
        Ok(if waiting.is_empty() { Look::Seen(()) } else { Look::NotYet(waiting.join(", ")) })
    })
    .await
    .inspect_err(|error| say(&error.to_string()))
}
