//! Registries as dockerd takes them (`github.com/docker/docker/registry`, `config.go`).

use ipnet::IpNet;

use super::Part;
use crate::profile::report::Report;

/// Checks the URL of a mirror. The URL may hold a password and is not repeated.
pub(super) fn mirror(url: &str, path: &[Part], report: &mut Report<'_>) {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let message = match rest {
        None => "must start with https:// or http://",
        Some(rest) if rest.contains(['?', '#']) => "must have no query or fragment",
        Some(rest) => match rest.split_once('/').unwrap_or((rest, "")) {
            (host, _) if host.contains('@') => {
                "must have no user; dockerd asks mirrors without one"
            }
            (host, _) if !is_host(host) => "has no valid host",
            (_, path) if path.bytes().all(|byte| byte.is_ascii_graphic()) => return,
            _ => "has a character that no URL has",
        },
    };
    report.add(path, message);
}

/// Checks a registry without TLS: a host, with a port or not, or a CIDR.
pub(super) fn insecure(registry: &str, path: &[Part], report: &mut Report<'_>) {
    let message = match registry.split_once('/') {
        _ if registry.contains("://") => "must be without a scheme, such as registry.example:5000",
        Some(_) if registry.parse::<IpNet>().is_ok() => return,
        Some(_) => "must be HOST, HOST:PORT or a CIDR, without a path",
        None if is_host(registry) => return,
        None => "must be HOST, HOST:PORT or a CIDR",
    };
    report.add(path, message);
}

/// Whether `text` is a host, with a port or not.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
            ("localhost", port.strip_prefix(':').or_else(|| (!port.is_empty()).then_some("")))
        }
        _ => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    !host.is_empty()
        && !host.starts_with(['-', '.'])
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_hosts_and_cidrs_follow_dockerd() {
        for host in ["a", "a.b:5000", "10.0.0.1", "[::1]:5000", "[::1]", "my_registry"] {
            assert!(is_host(host), "{host}");
        }
        for host in ["", "a:", "a:0", "a:99999", "a b", "-a", "a:1:2", "[::1]x", "[x]:1"] {
            assert!(!is_host(host), "{host}");
        }
        for (cidr, wanted) in
            [("10.0.0.0/8", true), ("::1/128", true), ("10.0.0.0/33", false), ("a/8", false)]
        {
            assert_eq!(cidr.parse::<IpNet>().is_ok(), wanted, "{cidr}");
        }
    }
}
