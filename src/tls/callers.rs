//! Who may call: clients with a certificate of an authority that is there for this alone.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    server::{
        VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime, pem, pem::PemObject};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use super::provider;

/// The authorities whose certificates clients have to have.
#[derive(Clone, Debug)]
pub struct ClientCa(Arc<dyn ClientCertVerifier>);

/// Why PEM text is no authority for clients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientCaError {
    /// The PEM is broken.
    #[error("cannot read the certificate")]
    Pem(#[source] pem::Error),
    /// A certificate is PEM around something else.
    #[error("a certificate is not X.509")]
    NotX509(#[source] Error),
    /// There is no certificate at all.
    #[error("there is no CERTIFICATE in it")]
    Unusable(#[source] VerifierBuilderError),
}

/// Refuses handshakes of all other clients. Connections that are open stay when the authority is
/// replaced, and there is no resumption that could get past it.
#[derive(Debug)]
pub struct Callers {
    ca: ArcSwap<ClientCa>,
    /// Common names or DNS names; with none, any certificate of the authority will do.
    names: Vec<String>,
}

/// A certificate that the authority has signed for somebody else. What it is for is only told
/// about: the names are those that the authority has put there.
#[derive(Debug, Eq, PartialEq)]
struct Stranger {
    names: Vec<String>,
}

// === impl ClientCa ===

impl ClientCa {
    /// Reads one or more certificates of authorities.
    pub fn from_pem(text: &[u8]) -> Result<Self, ClientCaError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(text) {
            let certificate = certificate.map_err(ClientCaError::Pem)?;
            roots.add(certificate).map_err(ClientCaError::NotX509)?;
        }
        // It also wants the usage `clientAuth` wherever a certificate is limited to some.
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        verifier.build().map(Self).map_err(ClientCaError::Unusable)
    }
}

// === impl Callers ===

impl Callers {
    /// Clients of this authority, with one of these names if there are any.
    pub fn new(ca: ClientCa, names: Vec<String>) -> Self {
        Self { ca: ArcSwap::from_pointee(ca), names }
    }

    /// Judges all handshakes from now on by this authority.
    pub fn replace(&self, ca: ClientCa) {
        self.ca.store(Arc::new(ca));
    }

    fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.ca.load().0)
    }

    fn knows(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        if self.names.is_empty() {
            return Ok(());
        }
        let names =
            names(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if names.iter().any(|name| self.names.contains(name)) {
            return Ok(());
        }
        let stranger = OtherError(Arc::new(Stranger { names }));
        Err(Error::InvalidCertificate(CertificateError::Other(stranger)))
    }
}

/// The common names of a certificate's subject, and its DNS names.
fn names(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let alternative = certificate.subject_alternative_name().ok()?;
    let dns = alternative.iter().flat_map(|names| &names.value.general_names);
    let dns = dns.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    Some(common.chain(dns).map(str::to_owned).collect())
}

impl ClientCertVerifier for Callers {
    /// None: they are read from a verifier that may be replaced in the middle of a handshake, and
    /// a client that is told none shows the one certificate that it has (RFC 8446, 4.2.4).
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.verifier().verify_client_cert(end_entity, intermediates, now)?;
        self.knows(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier().verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier().verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier().supported_verify_schemes()
    }
}

// === impl Stranger ===

impl fmt::Display for Stranger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "its certificate is for {:?}, and for no --client-name", self.names)
    }
}

impl std::error::Error for Stranger {}
