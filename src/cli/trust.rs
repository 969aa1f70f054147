//! Flags for certificates of our own and for readiness by the API server's trust.

use std::{fs, sync::Arc, time::Duration};

use kube::Client;
use tokio::sync::oneshot;

use super::{certs::certificate_error, duration::parse_period};
use crate::{
    certs::{Names, rotation::Policy},
    controller::certificates::{self, CertManager, ObjectRefs},
    server::{Gate, Service, Shutdown},
    tls::Identity,
};

/// Where a pod's own namespace is written.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Certificates of our own, and who has to trust them.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Certificate in the cluster")]
pub struct TrustArgs {
    /// Keep a certificate of our own in this Secret, for all replicas, and renew it
    #[arg(
        long,
        env = "ARC_ROCM_TLS_SECRET",
        conflicts_with_all = ["tls_cert", "ca_out"],
        requires = "webhook_configuration",
        value_name = "NAME"
    )]
    pub tls_secret: Option<String>,

    /// Namespace of the Secret [default: the pod's own, or the kubeconfig's]
    #[arg(long, env = "ARC_ROCM_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// MutatingWebhookConfiguration that must trust the certificate before we are ready; with
    /// --tls-secret, its caBundle is kept, and with --watch-profiles also that of a
    /// ValidatingWebhookConfiguration of the same name
    #[arg(long, env = "ARC_ROCM_WEBHOOK_CONFIGURATION", value_name = "NAME")]
    pub webhook_configuration: Option<String>,

    /// Lifetime of a certificate authority of our own
    #[arg(
        long,
        env = "ARC_ROCM_CA_LIFETIME",
        default_value = "8760h",
        value_parser = parse_period,
        value_name = "DURATION"
    )]
    pub ca_lifetime: Duration,

    /// Lifetime of a certificate of our own
    #[arg(
        long,
        env = "ARC_ROCM_CERTIFICATE_LIFETIME",
        default_value = "2160h",
        value_parser = parse_period,
        value_name = "DURATION"
    )]
    pub certificate_lifetime: Duration,

    /// How long an old authority is trusted beside its successor
    #[arg(
        long,
        env = "ARC_ROCM_CA_OVERLAP",
        default_value = "1h",
        value_parser = parse_period,
        value_name = "DURATION"
    )]
    pub ca_overlap: Duration,

    /// How long until every API server has noticed a new authority; for tests
    #[arg(
        long,
        env = "ARC_ROCM_CA_SETTLE",
        default_value = "30s",
        value_parser = parse_period,
        value_name = "DURATION",
        hide = true
    )]
    pub ca_settle: Duration,
}

impl TrustArgs {
    /// Starts to keep the Secret, if asked to, until `shutdown` is asked for. The first certificate
    /// comes when the API server trusts it.
    pub(super) fn keep(
        &self,
        client: Option<&Client>,
        hosts: &[String],
        service: &Arc<Service>,
        shutdown: &Shutdown,
        validates: bool,
    ) -> anyhow::Result<Option<oneshot::Receiver<Arc<Identity>>>> {
        let (Some(secret), Some(client)) = (&self.tls_secret, client) else { return Ok(None) };
        let configuration = self.webhook_configuration.clone().unwrap_or_default();
        let names = Names::new(hosts).map_err(certificate_error)?;
        let namespace = self.namespace.clone().or_else(own_namespace);
        let namespace = namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        let refs = ObjectRefs { namespace, secret: secret.clone(), configuration, validates };
        let policy = Policy {
            ca: self.ca_lifetime,
            leaf: self.certificate_lifetime,
            overlap: self.ca_overlap,
            settle: self.ca_settle,
            turn: 0.0,
        };
        let (manager, first) = CertManager::new(client, refs, policy, names, Arc::clone(service));
        tokio::spawn(manager.run(shutdown.clone()));
        Ok(Some(first))
    }

    /// Starts to check whether a certificate from files is trusted, if the flags say so.
    pub(super) fn check(
        &self,
        client: Option<&Client>,
        identity: &Arc<Identity>,
        service: &Arc<Service>,
    ) {
        let configuration = self.webhook_configuration.clone();
        let (Some(configuration), Some(client)) = (configuration, client) else { return };
        let (namespace, secret) = (String::new(), String::new());
        let refs = ObjectRefs { namespace, secret, configuration, validates: false };
        service.gates().close(Gate::Trust, "the webhook configuration was not read yet");
        let (identity, service) = (Arc::clone(identity), Arc::clone(service));
        tokio::spawn(certificates::check(client.clone(), refs, identity, service));
    }
}

fn own_namespace() -> Option<String> {
    let text = fs::read_to_string(NAMESPACE_FILE).ok()?;
    Some(text.trim().to_owned()).filter(|namespace| !namespace.is_empty())
}
