//! Whether a certificate is trusted, as the API server's client sees it.

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
pub enum Distrust {
    /// There is none.
    #[error("there is no certificate")]
    None,
    /// It cannot be read.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// Nobody who is trusted, and valid at that time, has signed it.
    #[error("it does not verify: no authority in caBundle has signed it")]
    Issuer,
    /// Anything else, such as a certificate that is not valid at that time.
    #[error("it does not verify: {0}")]
    Chain(Error),
    /// It is for another name.
    #[error("it is not for {name}")]
    Name {
        /// The name.
        name: String,
    },
}

/// Whether `roots` have signed a chain, leaf first, and all are valid at a time in seconds since
/// the epoch. As Go does it (`crypto/x509`), and so the API server: roots' dates count as well, and
/// a certificate that is a root itself needs nobody to sign it.
pub fn verify(
    chain: &[CertificateDer<'static>],
    roots: &[CertificateDer<'static>],
    now: i64,
) -> Result<(), Distrust> {
    let valid = |root: &&CertificateDer<'static>| validity(root).is_ok_and(|one| one.holds(now));
    let roots: Vec<_> = roots.iter().filter(valid).cloned().collect();
    if chain.first().is_some_and(|leaf| roots.contains(leaf)) {
        return Ok(());
    }
    signed(chain, &roots, now)
}

/// The same, whatever the dates of the roots are.
pub fn signed(
    chain: &[CertificateDer<'static>],
    roots: &[CertificateDer<'static>],
    now: i64,
) -> Result<(), Distrust> {
    let (leaf, others) = chain.split_first().ok_or(Distrust::None)?;
    let leaf = ParsedCertificate::try_from(leaf).map_err(|_| Distrust::Unreadable)?;
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
    .map_err(|error| if is_foreign(&error) { Distrust::Issuer } else { Distrust::Chain(error) })
}

/// Whether a certificate does not verify because nobody who is trusted has signed it. A bad signature
/// is one by another authority of the same name: ours all have the same.
pub const fn is_foreign(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)
    )
}

/// Whether a chain's leaf is for all of these names.
pub fn named<'n>(
    chain: &[CertificateDer<'static>],
    names: impl IntoIterator<Item = ServerName<'n>>,
) -> Result<(), Distrust> {
    let leaf = chain.first().ok_or(Distrust::None)?;
    let leaf = ParsedCertificate::try_from(leaf).map_err(|_| Distrust::Unreadable)?;
    for name in names {
        verify_server_name(&leaf, &name)
            .map_err(|_| Distrust::Name { name: name.to_str().into_owned() })?;
    }
    Ok(())
}
