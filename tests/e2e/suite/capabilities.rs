//! What a cluster can do for a case.

use std::fmt;

use serde_json::Value;

use crate::{
    cluster::{Cluster, Refused, text},
    settings::{Form, Settings},
};

/// The label of nodes that cases may use; `real` has a kubelet, `kwok` only says that pods run.
pub(crate) const NODE_LABEL: &str = "arc-rocm.dev/test-node";
/// The extended resource of AMD's device plugin.
pub(crate) const GPU: &str = "amd.com/gpu";

/// Something that a case cannot do without.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Need {
    /// A node that runs pods and offers GPUs.
    RealGpuNode,
    /// A node that only says that pods run, and offers GPUs.
    KwokNodes,
    /// An address under which the API server reaches servers of this process.
    Host,
    /// The webhook runs as the chart's Deployment.
    Service,
    /// kubectl.
    Kubectl,
    /// A cert-manager that runs for the case alone.
    CertManager,
    /// The webhook that the figures are beside.
    Peer,
}

impl fmt::Display for Need {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::RealGpuNode => "no node labelled arc-rocm.dev/test-node=real offers amd.com/gpu",
            Self::KwokNodes => "no node labelled arc-rocm.dev/test-node=kwok offers amd.com/gpu",
            Self::Host => "ARC_ROCM_E2E_HOST is not set: the API server cannot reach this process",
            Self::Service => "the webhook is installed by URL: no node runs its Deployment",
            Self::Kubectl => "ARC_ROCM_KUBECTL is not set",
            Self::Peer => "ARC_ROCM_PEER is not set",
            Self::CertManager => {
                "ARC_ROCM_CERT_MANAGER and ARC_ROCM_CERT_MANAGER_CRDS are not both set"
            }
        })
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub(crate) struct Capabilities {
    /// The API server's version, such as `v1.37.2`.
    pub(crate) version: String,
    /// How the webhook is to be installed.
    pub(crate) form: Form,
    /// The address of this machine; loopback where the webhook has to run here.
    pub(crate) host: Option<String>,
    /// GPUs on real nodes.
    pub(crate) real_gpus: u64,
    /// GPUs on kwok nodes.
    pub(crate) kwok_gpus: u64,
    /// Whether there is a kubectl.
    pub(crate) kubectl: bool,
    /// Whether there is a cert-manager.
    pub(crate) cert_manager: bool,
    /// Whether there is a peer.
    pub(crate) peer: bool,
}

impl Capabilities {
    /// Looks at the cluster.
    pub(crate) async fn find(cluster: &Cluster, settings: &Settings) -> Result<Self, Refused> {
        let version = cluster.get("/version").await?;
        let nodes = cluster.list("/api/v1/nodes").await?;
        let of = |kind: &str| -> Vec<&Value> {
            let label = |node: &Value| node["metadata"]["labels"][NODE_LABEL] == kind;
            nodes.iter().filter(|&node| label(node)).collect()
        };
        let gpus = |nodes: &[&Value]| nodes.iter().map(|node| allocatable_gpus(node)).sum();
        let (real, kwok) = (of("real"), of("kwok"));
        // Every kubelet labels its node with its system; kwok's nodes bear no such label.
        let runs_pods =
            nodes.iter().any(|node| node["metadata"]["labels"]["kubernetes.io/os"] == "linux");
        let form = settings.form.unwrap_or(if runs_pods { Form::Service } else { Form::Url });
        let host = match (&settings.host, form) {
            (Some(host), _) => Some(host.clone()),
            // The API server of a control plane alone runs beside this process.
            (None, Form::Url) => Some("127.0.0.1".to_owned()),
            (None, Form::Service) => None,
        };
        Ok(Self {
            version: text(&version, "/gitVersion").to_owned(),
            form,
            host,
            real_gpus: gpus(&real),
            kwok_gpus: gpus(&kwok),
            kubectl: settings.kubectl.is_some(),
            cert_manager: settings.cert_manager.is_some(),
            peer: settings.peer.is_some(),
        })
    }

    /// Whether a need is met.
    pub(crate) fn has(&self, need: Need) -> bool {
        match need {
            Need::RealGpuNode => self.real_gpus > 0,
            Need::KwokNodes => self.kwok_gpus > 0,
            Need::Host => self.host.is_some(),
            Need::Service => self.form == Form::Service,
            Need::Kubectl => self.kubectl,
            Need::CertManager => self.cert_manager,
            Need::Peer => self.peer,
        }
    }
}

/// What a node offers.
pub(crate) fn allocatable_gpus(node: &Value) -> u64 {
    node["status"]["allocatable"][GPU].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}
