//! The names on a certificate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::SanType;
use rustls_pki_types::ServerName;

use super::IssueError;

/// The names that every certificate is for: the Service of the manifests, and what a try-out on
/// the own machine uses.
const NAMES: [&str; 2] = ["arc-rocm.arc-rocm.svc", "localhost"];
const ADDRESSES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// The names of a certificate: the usual ones, and more.
#[derive(Clone, Debug)]
pub struct Names(Vec<SanType>);

impl Names {
    /// The usual ones and `hosts`, each a DNS name or an IP address.
    pub fn new(hosts: &[String]) -> Result<Self, IssueError> {
        let mut all = Vec::new();
        for name in NAMES {
            all.push(SanType::DnsName(name.try_into()?));
        }
        all.extend(ADDRESSES.map(SanType::IpAddress));
        for host in hosts {
            // With the root's dot no client finds its name on the certificate (RFC 6125, 6.4.1).
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

    /// The same, and those of another certificate that these lack.
    pub(super) fn and(&self, others: &[SanType]) -> Vec<SanType> {
        let mut all = self.0.clone();
        for other in others {
            if !all.contains(other) {
                all.push(other.clone());
            }
        }
        all
    }

    /// Each as a client asks for it.
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

    /// webpki takes no absolute name on a certificate, so it would be issued again and again.
    #[test]
    fn the_roots_dot_is_left_out_of_a_name() {
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
