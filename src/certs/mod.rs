//! Issuing CA and server certificates, and deciding when to issue new ones.
//!
//! Pure but for the randomness of keys: callers pass the time in and store the result. [`issue`] is
//! for files and for memory, and drops the CA key. [`CertBundle`] is the content of a Secret that keeps
//! the CA key, so that the same CA signs the next certificate; [`rotation`] decides about it.

mod bundle;
mod ca;
mod names;
pub mod rotation;

use std::time::{Duration, SystemTime};

pub use self::{
    bundle::{
        CA_CERTIFICATE, CA_KEY, CERTIFICATE, CertBundle, KEY, ServingCert, certificates, pem,
    },
    ca::SigningCa,
    names::Names,
};
use crate::tls::Validity;

/// Seconds.
const DAY: u64 = 24 * 60 * 60;
/// How long before its issue a certificate is valid, in seconds, for clocks that are behind. At most
/// as long as it is valid afterwards.
const BACKDATED: i64 = 60 * 60;

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
    let validity = validity(now(), Duration::from_secs(u64::from(days) * DAY));
    let ca = SigningCa::issue(validity)?;
    let (certificate, key) = ca.leaf(validity, Names::new(hosts)?.and(&[]))?;
    Ok(Issued { ca: pem([ca.certificate()]), certificate, key })
}

/// The local time, in seconds since the epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    seconds(since)
}

/// The validity of a certificate that is issued now.
fn validity(now: i64, lifetime: Duration) -> Validity {
    let lifetime = seconds(lifetime);
    let not_before = now.saturating_sub(lifetime.min(BACKDATED));
    Validity { not_before, not_after: now.saturating_add(lifetime) }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Without the key.
impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").finish_non_exhaustive()
    }
}
