//! The CA that signs the webhook's serving certificates.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;

use super::IssueError;
use crate::tls::{self, Validity};

/// The subject of every CA. The key identifier tells one from another.
const CA_NAME: &str = "arc-rocm CA";
/// The subject of every server certificate.
const LEAF_NAME: &str = "arc-rocm";

/// A CA certificate with its key.
pub struct SigningCa {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    validity: Validity,
}

impl SigningCa {
    /// Issues a new CA with a new key.
    pub fn issue(validity: Validity) -> Result<Self, IssueError> {
        let mut params = params(CA_NAME, validity)?;
        // No CA below this one.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.der().clone();
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { certificate, issuer, validity })
    }

    /// Reads a CA from its certificate and key; `None` if the key does not match the certificate.
    pub fn read(certificate: &CertificateDer<'static>, key: &str) -> Option<Self> {
        let key = KeyPair::from_pem(key).ok()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        if *parsed.public_key().subject_public_key.data != *key.public_key_raw() {
            return None;
        }
        let issuer = Issuer::from_ca_cert_der(certificate, key).ok()?;
        let validity = tls::validity(certificate).ok()?;
        Some(Self { certificate: certificate.clone(), issuer, validity })
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
    pub const fn validity(&self) -> Validity {
        self.validity
    }

    /// Issues a server certificate with a new key; both as PEM. It never outlives the CA.
    pub fn leaf(
        &self,
        validity: Validity,
        names: Vec<SanType>,
    ) -> Result<(String, String), IssueError> {
        let not_after = validity.not_after.min(self.validity.not_after);
        let mut params = params(LEAF_NAME, Validity { not_after, ..validity })?;
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

fn params(name: &str, validity: Validity) -> Result<CertificateParams, IssueError> {
    let date =
        |seconds| OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| IssueError::Dates);
    let mut params = CertificateParams::default();
    params.not_before = date(validity.not_before)?;
    params.not_after = date(validity.not_after)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// Without the key.
impl std::fmt::Debug for SigningCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningCa").field("validity", &self.validity).finish_non_exhaustive()
    }
}
