//! Flags for certificates in a Secret, and for readiness by the API server's trust.

use std::{sync::Arc, time::Duration};

use kube::Client;
use tokio::sync::oneshot;

use super::{certs::certificate_error, duration::parse_period};
use crate::{
    certs::{Names, rotation::Policy},
    controller::certificates::CertManager,
    server::{Service, Shutdown},
    tls::Identity,
};

/// How long a CA must be in the live `caBundle` before a certificate of it is served. API servers see a
/// change within a second; this leaves room for a slow one.
const SETTLE: Duration = Duration::from_secs(30);

/// Flags for certificates in a Secret, and for who has to trust the certificate in use.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Certificate in the cluster")]
pub struct TrustArgs {
    /// Keep the certificate of all replicas in this Secret, and renew it
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

    /// Name of the MutatingWebhookConfiguration that must trust the certificate. With
    /// --tls-secret its caBundle is kept, and with --watch-profiles also that of a
    /// ValidatingWebhookConfiguration of this name
    #[arg(long, env = "ARC_ROCM_WEBHOOK_CONFIGURATION", value_name = "NAME")]
    pub webhook_configuration: Option<String>,

    /// Lifetime of a CA in the Secret
    #[arg(
        long,
        env = "ARC_ROCM_CA_LIFETIME",
        default_value = "87600h",
        value_parser = parse_period,
        value_name = "DURATION"
    )]
    pub ca_lifetime: Duration,

    /// Lifetime of a certificate in the Secret
    #[arg(
        long,
        env = "ARC_ROCM_CERTIFICATE_LIFETIME",
        default_value = "2160h",
        value_parser = parse_period,
        value_name = "DURATION"
    )]
    pub certificate_lifetime: Duration,
}

impl TrustArgs {
    /// Starts to keep the Secret until shutdown begins, if the flag is set. The first certificate comes
    /// when the API server trusts it.
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
        // In a pod, the default is the pod's own.
        let namespace = self.namespace.as_deref().unwrap_or_else(|| client.default_namespace());
        let policy = Policy {
            ca: self.ca_lifetime,
            leaf: self.certificate_lifetime,
            settle: SETTLE,
            jitter: fastrand::u8(..),
        };
        let (object, service) = ((namespace, secret.as_str()), Arc::clone(service));
        let (manager, first) =
            CertManager::new(client, object, &configuration, validates, policy, names, service);
        tokio::spawn(manager.run(shutdown.clone()));
        Ok(Some(first))
    }

    /// Starts to check whether the API server trusts a certificate from files, if the flag is set.
    pub(super) fn check(
        &self,
        client: Option<&Client>,
        identity: &Arc<Identity>,
        service: &Arc<Service>,
        shutdown: &Shutdown,
    ) {
        let (Some(name), Some(client)) = (&self.webhook_configuration, client) else { return };
        let (identity, service) = (Arc::clone(identity), Arc::clone(service));
        let manager = CertManager::checking(client, name, identity, service);
        tokio::spawn(manager.run(shutdown.clone()));
    }
}
