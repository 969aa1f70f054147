//! Issuing a certificate authority and one server certificate from it.
//!
//! The authority's key is not kept: a new certificate means a new authority, so there is no key
//! around that could sign for other names.

mod file;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

pub use file::write;

/// The names that every certificate is for: the Service of the manifests, and what a try-out on
/// the own machine uses.
const NAMES: [&str; 2] = ["arc-rocm.arc-rocm.svc", "localhost"];
const ADDRESSES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Valid from a little before now on, for clocks that are late.
const BACKDATED: Duration = Duration::minutes(5);

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
    #[error("{0} days from now is out of range")]
    Days(u32),
    /// The library's own failure.
    #[error("cannot issue a certificate")]
    Library(#[from] rcgen::Error),
}

/// Issues a certificate for the usual names and for `hosts`, valid for `days`.
pub fn issue(hosts: &[String], days: u32) -> Result<Issued, IssueError> {
    let now = OffsetDateTime::now_utc();
    let not_before = now - BACKDATED;
    let not_after = now.checked_add(Duration::days(days.into())).ok_or(IssueError::Days(days))?;

    let mut authority = CertificateParams::default();
    authority.not_before = not_before;
    authority.not_after = not_after;
    authority.distinguished_name = common_name("arc-rocm CA");
    // No authority below this one.
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let mut server = CertificateParams::default();
    server.not_before = not_before;
    server.not_after = not_after;
    server.distinguished_name = common_name("arc-rocm");
    server.subject_alt_names = subject_alt_names(hosts)?;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;

    Ok(Issued { ca: authority.pem(), certificate: certificate.pem(), key: key.serialize_pem() })
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn subject_alt_names(hosts: &[String]) -> Result<Vec<SanType>, IssueError> {
    let mut all = Vec::new();
    for name in NAMES {
        all.push(SanType::DnsName(name.try_into()?));
    }
    all.extend(ADDRESSES.map(SanType::IpAddress));
    for host in hosts {
        let san = match host.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(
                host.as_str()
                    .try_into()
                    .map_err(|source| IssueError::Host { host: host.clone(), source })?,
            ),
        };
        if !all.contains(&san) {
            all.push(san);
        }
    }
    Ok(all)
}

/// Without the key.
impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").finish_non_exhaustive()
    }
}
