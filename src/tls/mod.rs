//! TLS: an explicit crypto provider, and a certificate that can be replaced while serving.

mod reload;
mod verify;

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject};
use tokio::sync::Notify;
use x509_parser::{certificate::X509Certificate, parse_x509_certificate};

pub use self::{
    reload::{Files, ReadError},
    verify::{VerifyError, named, signed, verify},
};

/// The only protocol in ALPN, which the API server uses for webhooks.
const ALPN: &[u8] = b"http/1.1";

/// A certificate chain with its matching key.
#[derive(Clone, Debug)]
pub struct Pair {
    key: Arc<CertifiedKey>,
    /// The leaf's validity.
    pub leaf: Validity,
    /// The validity of the last certificate after the leaf.
    pub ca: Option<Validity>,
}

/// The validity of a certificate, in seconds since the epoch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// The first second.
    pub not_before: i64,
    /// The last second.
    pub not_after: i64,
}

/// Why PEM text is not a usable certificate and key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// The certificate's PEM is broken.
    #[error("cannot read the certificate")]
    Certificate(#[source] pem::Error),
    /// The text has no certificate.
    #[error("the certificate file has no CERTIFICATE")]
    NoCertificate,
    /// The key is no PEM private key.
    #[error("cannot read the private key")]
    Key(#[source] pem::Error),
    /// The PEM holds no X.509 certificate.
    #[error("the certificate is not X.509")]
    NotX509,
    /// The key does not match, or its kind is not supported.
    #[error("the certificate and the key do not match, or the kind of key is not supported")]
    Unusable(#[from] rustls::Error),
}

/// The certificate for new handshakes.
pub struct Identity {
    pair: ArcSwap<Pair>,
    changed: Notify,
}

/// The server's TLS configuration.
pub fn server_config(identity: Arc<Identity>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(identity);
    config.alpn_protocols = vec![ALPN.to_vec()];
    // No resumption: the API server never resumes, and a resuming client would skip a new certificate.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

// === impl Pair ===

impl Pair {
    /// Reads a pair from PEM text.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, PairError> {
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(PairError::Certificate)?;
        let (first, others) = chain.split_first().ok_or(PairError::NoCertificate)?;
        let leaf = validity(first)?;
        let ca = others.last().map(validity).transpose()?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(PairError::Key)?;
        let key = Arc::new(CertifiedKey::from_der(chain, key, &provider())?);
        Ok(Self { key, leaf, ca })
    }

    /// The chain, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }
}

/// A certificate's validity.
pub fn validity(certificate: &CertificateDer<'_>) -> Result<Validity, PairError> {
    let (_, certificate) = parse_x509_certificate(certificate).map_err(|_| PairError::NotX509)?;
    Ok(Validity::of(&certificate))
}

// === impl Validity ===

impl Validity {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self {
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        }
    }

    /// Whether it is valid at `now`, in seconds since the epoch.
    fn holds(self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

// === impl Identity ===

impl Identity {
    /// An identity that starts with this pair.
    pub fn new(pair: &Pair) -> Self {
        Self { pair: ArcSwap::from_pointee(pair.clone()), changed: Notify::new() }
    }

    /// Uses this pair for later handshakes.
    pub fn replace(&self, pair: &Pair) {
        self.pair.store(Arc::new(pair.clone()));
        self.changed.notify_one();
    }

    /// Waits for the next [`replace`](Self::replace). For one waiting task.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The chain for new handshakes, leaf first.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.pair.load().key.cert.clone()
    }

    /// The validity of that chain's leaf.
    pub fn leaf(&self) -> Validity {
        self.pair.load().leaf
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.pair.load().key))
    }
}

/// Without the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}
