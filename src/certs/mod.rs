//! Certificate authorities and server certificates: issuing them, and when to issue new ones.
//!
//! All of it is pure but for the key's randomness: the time is passed in, and where a certificate
//! is kept is for others. [`issue`] is for files and for memory, where the authority's key is not
//! kept; [`Kept`] and [`rotation`] are for a Secret that has it, because there a new certificate
//! of the same authority is the usual case.

mod authority;
mod clock;
mod file;
mod kept;
mod leaf;
mod names;
pub mod rotation;
mod span;

use std::time::Duration;

use rcgen::{DistinguishedName, DnType};

pub use self::{
    authority::Authority,
    clock::Clock,
    file::write,
    kept::{CA_CERTIFICATE, CA_KEY, CERTIFICATE, KEY, Kept, KeptLeaf, certificates, dated},
    names::Names,
    span::{BACKDATED, Span, now},
};

/// Seconds.
const DAY: u64 = 24 * 60 * 60;

/// An authority and a certificate of it, all PEM.
#[derive(Clone)]
pub struct Issued {
    /// The authority's certificate: the webhook configuration's `caBundle`, before base64.
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
    #[error("{host:?} is neither a host name nor an IP address")]
    Host {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// An end of validity that the calendar does not have.
    #[error("the end of validity is out of range")]
    Dates,
    /// What was issued is no pair.
    #[error("the certificate that was issued is not usable")]
    Unusable,
    /// The library's own failure.
    #[error("cannot issue a certificate")]
    Library(#[from] rcgen::Error),
}

/// Issues a certificate for the usual names and for `hosts`, valid for `days`, of an authority
/// whose key is then gone: nothing is around that could sign for other names.
pub fn issue(hosts: &[String], days: u32) -> Result<Issued, IssueError> {
    let span = Span::new(now(), Duration::from_secs(u64::from(days) * DAY));
    let authority = Authority::issue(span)?;
    let leaf::Issued { certificate, key } = authority.leaf(span, Names::new(hosts)?.and(&[]))?;
    Ok(Issued { ca: kept::pem([authority.certificate()]), certificate, key })
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
