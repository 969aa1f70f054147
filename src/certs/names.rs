//! The names on a certificate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::SanType;
use rustls_pki_types::ServerName;

use super::IssueError;

/// The default names of every certificate: the Service of the manifests, and localhost for a try-out.
const NAMES: [&str; 2] = ["arc-rocm.arc-rocm.svc", "localhost"];
const ADDRESSES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// The names of a certificate.
#[derive(Clone, Debug)]
pub struct Names(Vec<SanType>);

impl Names {
    /// The default names and `hosts`, each a DNS name or an IP address.
    pub fn new(hosts: &[String]) -> Result<Self, IssueError> {
        let mut all = Vec::new();
        for name in NAMES {
            all.push(SanType::DnsName(name.try_into()?));
        }
        all.extend(ADDRESSES.map(SanType::IpAddress));
        for host in hosts {
            // Clients compare names without the trailing dot (RFC 6125, 6.4.1).
            let host = host.strip_suffix('.').unwrap_or(host);
            let san = match host.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(
                    host.try_into()
                        .map_err(|source| IssueError::Host { host: host.to_owned(), source })?,
                ),
            };
            if !all.contains(&san) {
                all.push(san);
            }
        }
        Ok(Self(all))
    }

    /// These names, and those of `others` that are missing.
    pub(super) fn and(&self, others: &[SanType]) -> Vec<SanType> {
        let mut all = self.0.clone();
        for other in others {
            if !all.contains(other) {
                all.push(other.clone());
            }
        }
        all
    }

    /// The names as a client checks them.
    pub(super) fn asked(&self) -> impl Iterator<Item = ServerName<'_>> {
        self.0.iter().filter_map(|san| match san {
            SanType::DnsName(name) => ServerName::try_from(name.as_str()).ok(),
            SanType::IpAddress(address) => Some(ServerName::IpAddress((*address).into())),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// webpki accepts no absolute name, so the certificate would be reissued for ever.
    #[test]
    fn trailing_dot_of_a_name_is_removed() {
        let names = Names::new(&["rocm.example.".to_owned(), "rocm.example".to_owned()]).unwrap();
        let dns: Vec<&str> = names
            .0
            .iter()
            .filter_map(|san| match san {
                SanType::DnsName(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(dns, ["arc-rocm.arc-rocm.svc", "localhost", "rocm.example"]);
    }
}
