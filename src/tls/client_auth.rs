//! Who may call: clients with a certificate of an authority that is there for this alone.

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

use super::{Validity, is_foreign, provider};

/// The authorities whose certificates clients have to have.
#[derive(Clone, Debug)]
pub struct ClientCa(Vec<Authority>);

/// One of them. Its own dates count, as they do for Go (`crypto/x509`); webpki has none of a trust
/// anchor.
#[derive(Clone, Debug)]
struct Authority {
    validity: Validity,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// Why PEM text is no authority for clients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientCaError {
    /// The PEM is broken.
    #[error("cannot read the certificate")]
    Pem(#[source] pem::Error),
    /// A certificate is PEM around something else.
    #[error("a certificate is not X.509")]
    NotX509,
    /// A certificate may sign no others, such as a client's own.
    #[error("the certificate of {subject} is not that of an authority")]
    NotAuthority {
        /// Whose it is.
        subject: String,
    },
    /// There is no certificate at all.
    #[error("there is no CERTIFICATE in it")]
    None,
    /// Others cannot be verified with a certificate.
    #[error("a certificate is not usable")]
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

/// What webpki has no word for.
#[derive(Debug, thiserror::Error)]
enum Refused {
    /// No authority is valid at the moment.
    #[error("no authority of --client-ca is valid at the moment")]
    Ended,
    /// A certificate that the authority has signed for somebody else. What it is for is only told
    /// about: the names are those that the authority has put there.
    #[error("its certificate is for {0:?}, and for no --client-name")]
    Stranger(Vec<String>),
    /// Somebody shows a certificate that is not theirs.
    #[error("it does not have the key of the certificate that it shows")]
    Key,
}

// === impl ClientCa ===

impl ClientCa {
    /// Reads one or more certificates of authorities.
    pub fn from_pem(text: &[u8]) -> Result<Self, ClientCaError> {
        let certificates = CertificateDer::pem_slice_iter(text);
        let authorities: Vec<_> = certificates
            .map(|certificate| Authority::new(certificate.map_err(ClientCaError::Pem)?))
            .collect::<Result<_, _>>()?;
        if authorities.is_empty() { Err(ClientCaError::None) } else { Ok(Self(authorities)) }
    }

    /// Whether an authority that is valid has signed a certificate that is valid.
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let mut refused = None;
        for Authority { validity, verifier } in &self.0 {
            if !validity.holds(seconds) {
                continue;
            }
            match verifier.verify_client_cert(end_entity, intermediates, now) {
                Ok(verified) => return Ok(verified),
                // What is wrong with its own certificate says more than that it is no other's.
                Err(error) if refused.as_ref().is_none_or(is_foreign) => refused = Some(error),
                Err(_) => {}
            }
        }
        Err(refused.unwrap_or_else(|| Refused::Ended.into()))
    }
}

// === impl Authority ===

impl Authority {
    fn new(certificate: CertificateDer<'static>) -> Result<Self, ClientCaError> {
        let (_, parsed) =
            parse_x509_certificate(&certificate).map_err(|_| ClientCaError::NotX509)?;
        if !parsed.is_ca() {
            return Err(ClientCaError::NotAuthority { subject: parsed.subject().to_string() });
        }
        let validity = Validity::of(&parsed);
        let mut root = RootCertStore::empty();
        root.add(certificate).map_err(|_| ClientCaError::NotX509)?;
        // It also wants the usage `clientAuth` wherever a certificate is limited to some.
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(root), provider());
        let verifier = verifier.build().map_err(ClientCaError::Unusable)?;
        Ok(Self { validity, verifier })
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

    fn knows(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        if self.names.is_empty() {
            return Ok(());
        }
        let names =
            names(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if names.iter().any(|name| self.names.contains(name)) {
            return Ok(());
        }
        Err(Refused::Stranger(names).into())
    }
}

/// rustls has the same word for this and for a certificate that another authority has signed.
fn of_key(error: Error) -> Error {
    if is_foreign(&error) { Refused::Key.into() } else { error }
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
        let verified = self.ca.load().verify(end_entity, intermediates, now)?;
        self.knows(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms).map_err(of_key)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms).map_err(of_key)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

// === impl Refused ===

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))))
    }
}
