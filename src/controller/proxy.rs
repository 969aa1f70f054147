//! Which proxy leads to an API server, by the rules of kubectl: those of Go's
//! `golang.org/x/net/http/httpproxy`.
//!
//! kube 5.0 compares `NO_PROXY` with the proxy's own URL, knows no domain suffixes, and refuses `a,`.

use std::net::IpAddr;

use hyper::Uri;
use ipnet::IpNet;

/// The schemes that kube's client can connect through.
const SCHEMES: [&str; 3] = ["http", "https", "socks5"];

/// A proxy that cannot be used. The message leaves out the URL, which may have a password.
#[derive(Debug, thiserror::Error)]
#[error("{source_name}: a proxy's URL begins with http://, https:// or socks5://")]
pub struct ProxyError {
    /// Where the URL is from.
    source_name: &'static str,
}

/// The proxy for `server`: the kubeconfig's `proxy-url`, or that of the environment unless
/// `NO_PROXY` exempts the server. `env` returns a variable.
pub(super) fn proxy(
    proxy_url: Option<&str>,
    server: &Uri,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Option<Uri>, ProxyError> {
    if let Some(url) = proxy_url.filter(|url| !url.is_empty()) {
        return parse(url, "proxy-url of the kubeconfig").map(Some);
    }
    let env = |name: &str| {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        set(name).or_else(|| set(&name.to_lowercase()))
    };
    let (variable, port) = match server.scheme_str() {
        Some("http") => ("HTTP_PROXY", 80),
        _ => ("HTTPS_PROXY", 443),
    };
    let Some(url) = env(variable) else { return Ok(None) };
    let host = server.host().unwrap_or_default();
    let port = server.port_u16().unwrap_or(port);
    if is_exempt(host, port, &env("NO_PROXY").unwrap_or_default()) {
        return Ok(None);
    }
    parse(&url, variable).map(Some)
}

fn parse(url: &str, source_name: &'static str) -> Result<Uri, ProxyError> {
    // Without a scheme it is an HTTP proxy.
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    // kube's client has the proxy resolve names anyway, which is what the `h` asks for.
    let url = url.replacen("socks5h://", "socks5://", 1);
    let uri = url.parse::<Uri>().ok();
    let usable = |uri: &Uri| uri.scheme_str().is_some_and(|scheme| SCHEMES.contains(&scheme));
    uri.filter(usable).ok_or(ProxyError { source_name })
}

/// Whether `NO_PROXY` exempts a host: by `*`, an address, a CIDR, a domain with its subdomains, or
/// `.domain` for the subdomains alone; each but a CIDR with an optional port. This machine is exempt
/// always.
fn is_exempt(host: &str, port: u16, no_proxy: &str) -> bool {
    let host = host.trim_matches(['[', ']']).to_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    no_proxy.split(',').map(|entry| entry.trim().to_lowercase()).any(|entry| {
        if let Ok(network) = entry.parse::<IpNet>() {
            return address.is_some_and(|address| network.contains(&address));
        }
        let (name, of_port) = match entry.rsplit_once(':') {
            Some((name, of_port)) if entry.parse::<IpAddr>().is_err() => {
                (name.trim_matches(['[', ']']), Some(of_port))
            }
            _ => (entry.as_str(), None),
        };
        if name == "*" {
            return of_port.is_none();
        }
        if name.is_empty() || of_port.is_some_and(|of_port| of_port != port.to_string()) {
            return false;
        }
        if address.is_some() || name.parse::<IpAddr>().is_ok() {
            return address == name.parse().ok();
        }
        let domain = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
        match domain.strip_prefix('.') {
            Some(_) => host.ends_with(domain),
            None => {
                host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases of `TestUseProxy` and of the package's comment (golang.org/x/net/http/httpproxy).
    #[test]
    fn no_proxy_exempts_as_in_go() {
        const LIST: &str = "foobar.com, .barbaz.net, *.wild.io,192.168.1.1, 192.168.1.2:81,\
                            192.168.1.3:80, 10.0.0.0/30, 2001:db8::52:0:1, [2001:db8::52:0:2]:443,\
                            2002:db8:a::45/64,  PORT.example:6443, ,";
        for (host, port, exempt) in [
            ("localhost", 443, true),
            ("127.0.0.1", 443, true),
            ("127.0.0.2", 443, true),
            ("[::1]", 443, true),
            ("[::2]", 443, false),
            ("192.168.1.1", 443, true),
            ("192.168.1.2", 80, false),
            ("192.168.1.2", 81, true),
            ("192.168.1.3", 80, true),
            ("192.168.1.3", 443, false),
            ("192.168.1.4", 443, false),
            ("10.0.0.2", 443, true),
            ("10.0.0.4", 443, false),
            ("[2001:db8::52:0:1]", 443, true),
            ("[2001:db8::52:0:2]", 443, true),
            ("[2001:db8::52:0:2]", 6443, false),
            ("[2002:db8:a::123]", 443, true),
            ("[fe80::424b:c8be:1643:a1b6]", 443, false),
            ("barbaz.net", 443, false),
            ("www.barbaz.net", 443, true),
            ("foobar.com", 443, true),
            ("www.foobar.com", 443, true),
            ("FOObar.com", 443, true),
            ("foofoobar.com", 443, false),
            ("api.wild.io", 443, true),
            ("wild.io", 443, false),
            ("port.example", 6443, true),
            ("a.port.example", 6443, true),
            ("port.example", 443, false),
            ("baz.com", 443, false),
        ] {
            assert_eq!(is_exempt(host, port, LIST), exempt, "{host}:{port}");
        }
        assert!(is_exempt("any.example", 443, "other.example,*"));
        assert!(!is_exempt("any.example", 443, ""));
    }

    fn found(proxy_url: Option<&str>, server: &str, env: &[(&str, &str)]) -> Option<String> {
        let env = |name: &str| {
            let (_, value) = env.iter().find(|(other, _)| *other == name)?;
            Some((*value).to_owned())
        };
        let proxy = proxy(proxy_url, &server.parse().unwrap(), env).unwrap();
        proxy.map(|uri| uri.to_string())
    }

    #[test]
    fn proxy_comes_from_kubeconfig_then_environment() {
        let server = "https://api.example:6443";
        let env = &[("HTTPS_PROXY", "proxy:3128"), ("http_proxy", "http://plain:1/")][..];
        assert_eq!(found(None, server, &[]), None);
        assert_eq!(found(None, server, env).unwrap(), "http://proxy:3128/");
        assert_eq!(found(None, "http://api.example", env).unwrap(), "http://plain:1/");
        let lower = &[("HTTPS_PROXY", ""), ("https_proxy", "https://lower:1")][..];
        assert_eq!(found(None, server, lower).unwrap(), "https://lower:1/");
        let exempt = &[("HTTPS_PROXY", "http://proxy:1"), ("NO_PROXY", "api.example")][..];
        assert_eq!(found(None, server, exempt), None);
        // As client-go: NO_PROXY says nothing about a kubeconfig's own proxy.
        for own in ["socks5://bastion:1080", "socks5h://bastion:1080"] {
            assert_eq!(found(Some(own), server, exempt).unwrap(), "socks5://bastion:1080/");
        }
        assert_eq!(found(Some(""), server, env).unwrap(), "http://proxy:3128/");
    }

    #[test]
    fn unusable_proxy_is_refused_without_its_password() {
        let server = "https://api.example".parse().unwrap();
        for url in ["ftp://user:secret@proxy", "http://user:secret@pro xy"] {
            let error = proxy(Some(url), &server, |_| None).unwrap_err().to_string();
            assert!(error.starts_with("proxy-url of the kubeconfig:"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
