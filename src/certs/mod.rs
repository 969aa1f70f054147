//! Issuing CA and server certificates, and deciding when to issue new ones.
//!
//! Pure but for the randomness of keys: callers pass the time in and store the result. [`issue`] is
//! for files and for memory, and drops the CA key. [`CertBundle`] and [`rotation`] are for a Secret
//! that keeps the CA key, so that the same CA signs the next certificate.

mod bundle;
mod ca;
mod clock;
mod file;
mod leaf;
mod names;
pub mod rotation;
mod span;

use std::time::Duration;

use rcgen::{DistinguishedName, DnType};

pub use self::{
    bundle::{
        CA_CERTIFICATE, CA_KEY, CERTIFICATE, CertBundle, KEY, ServingCert, certificates, dated,
    },
    ca::SigningCa,
    clock::Clock,
    file::write,
    names::Names,
    span::{BACKDATED, Span, now},
};

/// Seconds.
const DAY: u64 = 24 * 60 * 60;

/// A CA certificate and a server certificate that it signs, PEM.
#[derive(Clone)]
pub struct Issued {
    /// The CA's certificate: the webhook configuration's `caBundle`, before base64.
    pub ca: String,
    /// The server's certificate.
    pub certificate: String,
    /// The server's private key.
    pub key: String,
}

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// A name that a certificate cannot have.
    #[error("{host:?} is neither a DNS name nor an IP address")]
    Host {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// The end of validity is not a date.
    #[error("the end of validity is out of range, use a shorter lifetime")]
    Dates,
    /// The issued certificate and key do not work together.
    #[error("the issued certificate is not usable")]
    Unusable,
    /// The library failed.
    #[error("cannot issue a certificate")]
    Library(#[from] rcgen::Error),
}

/// Issues a certificate for the default names and `hosts`, valid for `days`. The CA key is dropped,
/// so that nothing can sign for other names later.
pub fn issue(hosts: &[String], days: u32) -> Result<Issued, IssueError> {
    let span = Span::new(now(), Duration::from_secs(u64::from(days) * DAY));
    let ca = SigningCa::issue(span)?;
    let leaf::Issued { certificate, key } = ca.leaf(span, Names::new(hosts)?.and(&[]))?;
    Ok(Issued { ca: bundle::pem([ca.certificate()]), certificate, key })
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Without the key.
impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").finish_non_exhaustive()
    }
}
