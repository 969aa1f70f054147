//! Verifies a server certificate as the API server's client does.

use std::time::Duration;

use rustls::{
    CertificateError, Error, RootCertStore,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{provider, validity};

/// Why a certificate is not trusted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no certificate.
    #[error("there is no certificate")]
    NoCertificate,
    /// The certificate cannot be parsed.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// No trusted CA that is valid at that time signed it.
    #[error("no CA in the caBundle signed it")]
    Issuer,
    /// Another reason, such as an expired certificate.
    #[error("verification failed: {0}")]
    Chain(Error),
    /// It has another name.
    #[error("it is not for {name}")]
    Name {
        /// The name.
        name: String,
    },
}

/// Verifies a chain, leaf first, against `roots` at `now`, in seconds since the epoch. As Go
/// (`crypto/x509`) and so the API server do it: the validity of roots counts, and a leaf that is a
/// root itself is trusted.
pub fn verify(
    chain: &[CertificateDer<'static>],
    roots: &[CertificateDer<'static>],
    now: i64,
) -> Result<(), VerifyError> {
    let valid = |root: &&CertificateDer<'static>| validity(root).is_ok_and(|one| one.holds(now));
    let roots: Vec<_> = roots.iter().filter(valid).cloned().collect();
    if chain.first().is_some_and(|leaf| roots.contains(leaf)) {
        return Ok(());
    }
    signed(chain, &roots, now)
}

/// Verifies a chain and ignores the validity of the roots.
pub fn signed(
    chain: &[CertificateDer<'static>],
    roots: &[CertificateDer<'static>],
    now: i64,
) -> Result<(), VerifyError> {
    let (leaf, others) = chain.split_first().ok_or(VerifyError::NoCertificate)?;
    let leaf = ParsedCertificate::try_from(leaf).map_err(|_| VerifyError::Unreadable)?;
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().cloned());
    let now = Duration::from_secs(u64::try_from(now).unwrap_or_default());
    verify_server_cert_signed_by_trust_anchor(
        &leaf,
        &store,
        others,
        UnixTime::since_unix_epoch(now),
        provider().signature_verification_algorithms.all,
    )
    .map_err(|error| {
        if is_unknown_issuer(&error) { VerifyError::Issuer } else { VerifyError::Chain(error) }
    })
}

/// Whether no trusted CA signed the certificate. A bad signature means another CA of the same name,
/// which all CAs of the webhook share.
const fn is_unknown_issuer(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)
    )
}

/// Verifies that a chain's leaf has all of `names`.
pub fn named<'n>(
    chain: &[CertificateDer<'static>],
    names: impl IntoIterator<Item = ServerName<'n>>,
) -> Result<(), VerifyError> {
    let leaf = chain.first().ok_or(VerifyError::NoCertificate)?;
    let leaf = ParsedCertificate::try_from(leaf).map_err(|_| VerifyError::Unreadable)?;
    for name in names {
        verify_server_name(&leaf, &name)
            .map_err(|_| VerifyError::Name { name: name.to_str().into_owned() })?;
    }
    Ok(())
}
