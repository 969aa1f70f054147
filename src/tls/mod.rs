//! TLS: one provider, passed explicitly, and a certificate that can be swapped under way.

mod callers;
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
    callers::{Callers, ClientCa, ClientCaError},
    reload::{CaFile, Files, ReadError},
    verify::{Distrust, is_foreign, named, signed, verify},
};

/// All that is ever offered in ALPN: what the API server pins for webhooks.
const ALPN: &[u8] = b"http/1.1";

/// A certificate chain with its key, checked to belong together.
#[derive(Clone, Debug)]
pub struct Pair {
    key: Arc<CertifiedKey>,
    /// The leaf's validity.
    pub leaf: Validity,
    /// That of the last certificate after the leaf, if there is any.
    pub ca: Option<Validity>,
}

/// From when to when a certificate is valid, in seconds since the epoch, as it says itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// The first second.
    pub not_before: i64,
    /// The last second.
    pub not_after: i64,
}

/// Why PEM text is not a usable pair.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// The certificate's PEM is broken.
    #[error("cannot read the certificate")]
    Certificate(#[source] pem::Error),
    /// There is no certificate at all.
    #[error("there is no CERTIFICATE in the certificate file")]
    NoCertificate,
    /// The key's PEM is broken, or it is something else.
    #[error("cannot read the private key")]
    Key(#[source] pem::Error),
    /// The certificate is PEM around something else.
    #[error("the certificate is not X.509")]
    NotX509,
    /// They do not belong together, or the provider does not know the kind of key.
    #[error("the certificate and the key are not usable together")]
    Unusable(#[from] rustls::Error),
}

/// The certificate that new handshakes get.
pub struct Identity {
    key: ArcSwap<CertifiedKey>,
    changed: Notify,
}

/// The server's TLS configuration, for these callers, or for everybody.
pub fn server_config(
    identity: Arc<Identity>,
    callers: Option<Arc<Callers>>,
) -> Result<ServerConfig, rustls::Error> {
    let config =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let config = match callers {
        Some(callers) => config.with_client_cert_verifier(callers),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_cert_resolver(identity);
    config.alpn_protocols = vec![ALPN.to_vec()];
    // No resumption: the API server never resumes, so tickets would be work for nothing, and a
    // client that does resume would not see a new certificate, nor we a client's.
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

    /// Whether it holds at a time in seconds since the epoch.
    fn holds(self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

// === impl Identity ===

impl Identity {
    /// An identity that starts with this pair.
    pub fn new(pair: &Pair) -> Self {
        Self { key: ArcSwap::new(Arc::clone(&pair.key)), changed: Notify::new() }
    }

    /// Gives this pair to all handshakes from now on.
    pub fn replace(&self, pair: &Pair) {
        self.key.store(Arc::clone(&pair.key));
        self.changed.notify_one();
    }

    /// Waits until another pair was given since the last call. For one that waits.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The chain that new handshakes get, leaf first.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.key.load().cert.clone()
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key.load_full())
    }
}

/// Without the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}
