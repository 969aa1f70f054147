//! Client authentication: only clients with a certificate of `--client-ca` pass.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{verify_tls12_signature, verify_tls13_signature},
    server::{
        VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime, pem, pem::PemObject};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use super::{Validity, is_unknown_issuer, provider};

/// The CAs that sign client certificates.
#[derive(Clone, Debug)]
pub struct ClientCa(Vec<TrustAnchor>);

/// One CA. Its validity counts, as in Go (`crypto/x509`); webpki ignores that of a trust anchor.
#[derive(Clone, Debug)]
struct TrustAnchor {
    validity: Validity,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// Why PEM text is not usable as client CA.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientCaError {
    /// The PEM is broken.
    #[error("cannot read the certificate")]
    Pem(#[source] pem::Error),
    /// The PEM holds no X.509 certificate.
    #[error("a certificate is not X.509")]
    NotX509,
    /// The certificate is not a CA, such as a client's own.
    #[error(
        "the certificate of {subject} is not a CA certificate, use the one that signs client certificates"
    )]
    NotCa {
        /// Its subject.
        subject: String,
    },
    /// The text has no certificate.
    #[error("it has no CERTIFICATE")]
    None,
    /// rustls cannot verify with the certificate.
    #[error("a certificate is not usable as CA")]
    Unusable(#[source] VerifierBuilderError),
}

/// Refuses the handshakes of other clients. Open connections stay when the CA is replaced; without
/// TLS resumption no new one gets around it.
#[derive(Debug)]
pub struct ClientAuth {
    ca: ArcSwap<ClientCa>,
    /// Accepted common names or DNS names; if empty, any certificate of the CA passes.
    names: Vec<String>,
}

/// Failures that rustls has no error for.
#[derive(Debug, thiserror::Error)]
enum ClientCertError {
    /// No CA is valid now.
    #[error("no CA of --client-ca is valid now, replace the file")]
    Expired,
    /// The certificate has none of the accepted names. The message has its names, which the CA wrote.
    #[error("its certificate is for {0:?}, which is no --client-name")]
    NameMismatch(Vec<String>),
    /// The client does not have the certificate's key.
    #[error("it does not have the key of its certificate")]
    Key,
}

// === impl ClientCa ===

impl ClientCa {
    /// Reads one or more CA certificates.
    pub fn from_pem(text: &[u8]) -> Result<Self, ClientCaError> {
        let certificates = CertificateDer::pem_slice_iter(text);
        let cas: Vec<_> = certificates
            .map(|certificate| TrustAnchor::new(certificate.map_err(ClientCaError::Pem)?))
            .collect::<Result<_, _>>()?;
        if cas.is_empty() { Err(ClientCaError::None) } else { Ok(Self(cas)) }
    }

    /// Whether a valid CA signed the certificate and the certificate is valid.
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let mut refused = None;
        for TrustAnchor { validity, verifier } in &self.0 {
            if !validity.holds(seconds) {
                continue;
            }
            match verifier.verify_client_cert(end_entity, intermediates, now) {
                Ok(verified) => return Ok(verified),
                // An error other than "unknown issuer" comes from the CA that signed it.
                Err(error) if refused.as_ref().is_none_or(is_unknown_issuer) => {
                    refused = Some(error);
                }
                Err(_) => {}
            }
        }
        Err(refused.unwrap_or_else(|| ClientCertError::Expired.into()))
    }
}

// === impl TrustAnchor ===

impl TrustAnchor {
    fn new(certificate: CertificateDer<'static>) -> Result<Self, ClientCaError> {
        let (_, parsed) =
            parse_x509_certificate(&certificate).map_err(|_| ClientCaError::NotX509)?;
        if !parsed.is_ca() {
            return Err(ClientCaError::NotCa { subject: parsed.subject().to_string() });
        }
        let validity = Validity::of(&parsed);
        let mut root = RootCertStore::empty();
        root.add(certificate).map_err(|_| ClientCaError::NotX509)?;
        // It also requires `clientAuth` of a certificate with extended key usages.
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(root), provider());
        let verifier = verifier.build().map_err(ClientCaError::Unusable)?;
        Ok(Self { validity, verifier })
    }
}

// === impl ClientAuth ===

impl ClientAuth {
    /// Accepts certificates of `ca`, with one of `names` unless that is empty.
    pub fn new(ca: ClientCa, names: Vec<String>) -> Self {
        Self { ca: ArcSwap::from_pointee(ca), names }
    }

    /// Uses another CA for later handshakes.
    pub fn replace(&self, ca: ClientCa) {
        self.ca.store(Arc::new(ca));
    }

    fn check_names(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        if self.names.is_empty() {
            return Ok(());
        }
        let names =
            names(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if names.iter().any(|name| self.names.contains(name)) {
            return Ok(());
        }
        Err(ClientCertError::NameMismatch(names).into())
    }
}

/// rustls has one error for a wrong key and for an unknown issuer.
fn key_error(error: Error) -> Error {
    if is_unknown_issuer(&error) { ClientCertError::Key.into() } else { error }
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

impl ClientCertVerifier for ClientAuth {
    /// Empty: the CA may be replaced in the middle of a handshake, and without hints a client sends
    /// the certificate that it has (RFC 8446, 4.2.4).
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.ca.load().verify(end_entity, intermediates, now)?;
        self.check_names(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms).map_err(key_error)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms).map_err(key_error)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

// === impl ClientCertError ===

impl From<ClientCertError> for Error {
    fn from(refused: ClientCertError) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))))
    }
}
