//! The CA that signs the webhook's serving certificates.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;

use super::{IssueError, Span, common_name, leaf};

/// The subject of every CA. The key identifier tells one from another.
const NAME: &str = "arc-rocm CA";

/// A CA certificate with its key.
pub struct SigningCa {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    span: Span,
}

impl SigningCa {
    /// Issues a new CA with a new key.
    pub fn issue(span: Span) -> Result<Self, IssueError> {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = span.dates()?;
        params.distinguished_name = common_name(NAME);
        // No CA below this one.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.der().clone();
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { certificate, issuer, span })
    }

    /// Reads a CA from its certificate and key; `None` if the key does not match the certificate.
    pub fn read(certificate: &CertificateDer<'static>, span: Span, key: &str) -> Option<Self> {
        let key = KeyPair::from_pem(key).ok()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        if *parsed.public_key().subject_public_key.data != *key.public_key_raw() {
            return None;
        }
        let issuer = Issuer::from_ca_cert_der(certificate, key).ok()?;
        Some(Self { certificate: certificate.clone(), issuer, span })
    }

    /// Its certificate.
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its private key, PEM.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// How long it is valid.
    pub const fn span(&self) -> Span {
        self.span
    }

    /// Issues a server certificate with a new key. It never outlives the CA.
    pub fn leaf(&self, span: Span, names: Vec<rcgen::SanType>) -> Result<leaf::Issued, IssueError> {
        leaf::issue(span.within(self.span), names, &self.issuer)
    }
}

/// Without the key.
impl std::fmt::Debug for SigningCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningCa").field("span", &self.span).finish_non_exhaustive()
    }
}
