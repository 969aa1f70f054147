//! `arc-rocm serve`: the admission webhook.

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::{
    UsageError,
    certs::{certificate_error, write},
    config::{self, ConfigArgs},
    duration::{parse_duration, parse_period},
    events::EventArgs,
    objects::ObjectArgs,
    reload::{self, ProfileSources},
    trust::TrustArgs,
};
use crate::{
    certs::{self, Issued},
    controller::{self, events},
    server::{self, Limits, PATH, Service, Shutdown, admin},
    telemetry::{CertificateKind, LogArgs, LogFormat, Metrics},
    tls::{self, Files, Identity, Pair},
};

/// Days that a certificate is valid which lives in memory only. Longer than any process.
const MEMORY_DAYS: u32 = 3650;

/// What is wrong where a flag has us talk to the API server.
const NO_CLUSTER: &str = "no access to the API server, which --webhook-configuration, \
                          --watch-profiles and --events need";

/// The least that ARC's controller could ask for: a plain runner pod, which the built-in profile
/// patches.
const TRY_REVIEW: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"try","kind":{"group":"","version":"v1","kind":"Pod"},"name":"try","namespace":"arc-runners","operation":"CREATE","userInfo":{"username":"system:serviceaccount:arc-systems:arc-gha-rs-controller"},"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"try","labels":{"actions-ephemeral-runner":"True","actions.github.com/scale-set-name":"try"},"ownerReferences":[{"apiVersion":"actions.github.com/v1alpha1","kind":"EphemeralRunner","name":"try","uid":"try","controller":true}]},"spec":{"containers":[{"name":"runner","image":"ghcr.io/actions/actions-runner:latest","command":["/home/runner/run.sh"]}]}}}}"#;

/// How to serve.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where to listen.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// The certificate.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// The certificate, where the cluster has a part in it.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Profiles in the cluster.
    #[command(flatten)]
    pub objects: ObjectArgs,
    /// How often to look at the files of profiles and certificate
    #[arg(
        long,
        env = "ARC_ROCM_POLL",
        default_value = "10s",
        value_parser = parse_period,
        value_name = "DURATION"
    )]
    pub poll: Duration,
    /// Events.
    #[command(flatten)]
    pub events: EventArgs,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Where to listen, and when to stop.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Listening")]
pub struct ListenArgs {
    /// Address of the webhook, HTTPS; `[::]` takes IPv4 too
    #[arg(long, env = "ARC_ROCM_BIND", default_value = "[::]:8443", value_name = "ADDRESS")]
    pub bind: SocketAddr,

    /// Address of /livez, /readyz and /metrics, plain HTTP
    #[arg(long, env = "ARC_ROCM_ADMIN_BIND", default_value = "[::]:8080", value_name = "ADDRESS")]
    pub admin_bind: SocketAddr,

    /// How long to go on serving after SIGTERM
    #[arg(
        long,
        env = "ARC_ROCM_SHUTDOWN_GRACE",
        default_value = "10s",
        value_parser = parse_duration,
        value_name = "DURATION"
    )]
    pub shutdown_grace: Duration,
}

/// The certificate: files, or one that is made at the start and lives in memory.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Certificate")]
pub struct TlsArgs {
    /// Certificate chain, PEM; replaced under way when the file changes
    #[arg(long, env = "ARC_ROCM_TLS_CERT", requires = "tls_key", value_name = "PATH")]
    pub tls_cert: Option<PathBuf>,

    /// Its private key, PEM
    #[arg(long, env = "ARC_ROCM_TLS_KEY", requires = "tls_cert", value_name = "PATH")]
    pub tls_key: Option<PathBuf>,

    /// Without files: host name or IP address for the certificate
    #[arg(
        long = "tls-host",
        env = "ARC_ROCM_TLS_HOST",
        value_delimiter = ',',
        conflicts_with = "tls_cert",
        value_name = "NAME"
    )]
    pub tls_hosts: Vec<String>,

    /// Without files: where to write the certificate authority, PEM
    #[arg(long, env = "ARC_ROCM_CA_OUT", conflicts_with = "tls_cert", value_name = "PATH")]
    pub ca_out: Option<PathBuf>,
}

/// A webhook at work.
#[derive(Debug)]
pub struct Serving {
    /// For replacing the configuration and setting metrics.
    pub service: Arc<Service>,
    server: server::Running,
    admin: admin::Running,
    events: Option<events::EventTask>,
    ca: Ca,
}

/// Who signed the certificate.
#[derive(Debug)]
enum Ca {
    /// Another CA.
    Foreign,
    /// We did, and wrote our certificate there if we were asked to.
    Own(Option<PathBuf>),
}

// === impl Args ===

impl Args {
    /// Serves until `shutdown` is asked for and done with.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let logs = self.log.init()?;
        let mut metrics = Metrics::new();
        metrics.add_dropped_lines(logs.dropped());
        // Asked to stop before there was a certificate, there is nothing to drain.
        let Some(serving) = self.start(metrics, shutdown).await? else { return Ok(()) };
        serving.hint(logs.format());
        serving.join().await
    }

    /// Starts to serve; `None` if `shutdown` is asked for before there is a certificate.
    pub async fn start(
        self,
        metrics: Metrics,
        shutdown: Shutdown,
    ) -> anyhow::Result<Option<Serving>> {
        let Self { listen, tls, trust, config, objects, poll, events, log: _ } = self;
        let (profiles, config) =
            ProfileSources::new(config, objects.watch_profiles).map_err(config::usage_error)?;
        metrics.profiles_loaded.set(reload::loaded(&config));
        let ListenArgs { bind, admin_bind, shutdown_grace } = listen;
        let TlsArgs { tls_cert, tls_key, tls_hosts, ca_out } = tls;
        let limits = Limits { shutdown_grace, ..Limits::default() };
        // One for all: one set of connections, one token to renew.
        let client =
            if trust.webhook_configuration.is_some() || objects.watch_profiles || events.events {
                let client = controller::connect(None, None).await;
                Some(client.context(UsageError(NO_CLUSTER.to_owned()))?)
            } else {
                None
            };
        let client = client.as_ref();
        let (service, events) = events.start(client, Service::new(config, metrics, limits));
        let service = Arc::new(service);

        // While the process waits for a certificate, /livez answers and /readyz says what it waits for.
        let admin = admin::spawn(admin_bind, Arc::clone(&service))
            .with_context(|| cannot_listen(admin_bind))?;

        // The certificate before the port: nothing connects to a server that cannot answer.
        let mut files = tls_cert.zip(tls_key).map(|(cert, key)| Files::new(cert, key));
        let validates = objects.watch_profiles;
        let kept = trust.keep(client, &tls_hosts, &service, &shutdown, validates)?;
        let (identity, ca) = if let Some(first) = kept {
            tokio::select! {
                // The certificate manager ends with the request to stop.
                biased;
                () = shutdown.drain() => return Ok(None),
                identity = first => (identity.context("the certificate manager ended")?, Ca::Foreign),
            }
        } else {
            let (pair, ca) = if let Some(files) = &mut files {
                let none = || UsageError("no certificate".to_owned());
                let pair = files.changed().with_context(none)?;
                (pair.context("the first read is always a change")?, Ca::Foreign)
            } else {
                (in_memory(bind, tls_hosts, ca_out.as_deref())?, Ca::Own(ca_out))
            };
            let metrics = service.metrics();
            metrics.validity(CertificateKind::Leaf, Some(pair.leaf));
            metrics.validity(CertificateKind::Ca, pair.ca);
            let identity = Arc::new(Identity::new(&pair));
            trust.check(client, &identity, &service, &shutdown);
            (identity, ca)
        };
        let tls_config = tls::server_config(Arc::clone(&identity))?;
        let listener = server::listen(bind).with_context(|| cannot_listen(bind))?;
        if let Some(files) = files {
            tokio::spawn(server::watch_certificate(files, poll, identity, Arc::clone(&service)));
        }
        let (channels, validate) = objects.start(client, &service).unzip();
        tokio::spawn(profiles.watch(poll, Arc::clone(&service), channels));
        let router = server::router(&service, validate.unwrap_or_default());
        let server = server::spawn(listener, tls_config, router, Arc::clone(&service), shutdown)?;
        tracing::info!(
            address = %server.local_addr(),
            admin = %admin.local_addr(),
            version = crate::VERSION,
            "serving"
        );
        Ok(Some(Serving { service, server, admin, events, ca }))
    }
}

fn cannot_listen(address: SocketAddr) -> UsageError {
    UsageError(format!("cannot listen on {address}"))
}

/// Makes a certificate that is gone with the process, signed by an authority that is too.
fn in_memory(
    bind: SocketAddr,
    mut hosts: Vec<String>,
    ca_out: Option<&Path>,
) -> anyhow::Result<Pair> {
    if !bind.ip().is_unspecified() {
        hosts.push(bind.ip().to_string());
    }
    let Issued { ca, certificate, key } =
        certs::issue(&hosts, MEMORY_DAYS).map_err(certificate_error)?;
    let mut pair = Pair::from_pem(certificate.as_bytes(), key.as_bytes())?;
    pair.ca = Some(tls::validity(&CertificateDer::from_pem_slice(ca.as_bytes())?)?);
    if let Some(path) = ca_out {
        write(path, ca.as_bytes(), 0o644)
            .with_context(|| UsageError(format!("cannot write {}", path.display())))?;
    }
    Ok(pair)
}

// === impl Serving ===

impl Serving {
    /// Waits for the end.
    pub async fn join(self) -> anyhow::Result<()> {
        let Self { service: _, server, admin, events, ca: _ } = self;
        server.join().await.context("the server failed")?;
        if let Some(events) = events {
            events.finish().await;
        }
        // Up to here /readyz has said that we are draining, and /metrics how far.
        drop(admin);
        Ok(())
    }

    /// Says how to try it, if the certificate is our own and a cluster is thus unlikely.
    fn hint(&self, format: LogFormat) {
        let Ca::Own(ca) = &self.ca else { return };
        let trust = ca.as_ref().map_or_else(
            || "--insecure".to_owned(),
            |path| format!("--cacert '{}'", path.display()),
        );
        let address = self.server.local_addr();
        let url = match address.ip() {
            ip if ip.is_unspecified() => format!("https://localhost:{}{PATH}", address.port()),
            IpAddr::V4(_) | IpAddr::V6(_) => format!("https://{address}{PATH}"),
        };
        let command =
            format!("curl {trust} -H 'Content-Type: application/json' -d '{TRY_REVIEW}' {url}");
        match format {
            LogFormat::Json => tracing::info!(command, "try it"),
            LogFormat::Text => {
                let _ = writeln!(std::io::stderr(), "\nTry it:\n\n  {command}\n");
            }
        }
    }
}
