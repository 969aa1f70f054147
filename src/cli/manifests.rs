//! `arc-rocm manifests`: what runs the webhook in a cluster and registers it there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use hyper::Uri;

use super::{UsageError, output};
use crate::{
    inject::ControllerUsers,
    manifests::{self, Certificates, FailurePolicy, IMAGE, Settings, Target, Workload},
    server::PATH,
};

/// What to print.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Certificates that the API server is to trust for the webhook, PEM: the caBundle. Without,
    /// the webhook makes its certificate itself and needs nothing; with it, the certificate comes
    /// from the Secret, and the webhook never calls the API server
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// Namespace of the webhook
    #[arg(long, default_value = "arc-rocm", value_parser = label, value_name = "NAMESPACE")]
    pub namespace: String,

    /// Name of all objects
    #[arg(long, default_value = "arc-rocm", value_parser = service_name, value_name = "NAME")]
    pub name: String,

    /// Register a webhook that runs elsewhere, and print nothing but the registration
    #[arg(
        long,
        requires = "ca",
        value_parser = webhook_url,
        value_name = "https://HOST:PORT/mutate"
    )]
    pub url: Option<String>,

    /// What the API server does with a runner pod when the webhook does not answer
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    pub failure_policy: FailurePolicy,

    /// How long the API server waits for an answer, in seconds
    #[arg(
        long,
        default_value_t = 5,
        value_parser = clap::value_parser!(u8).range(1..=30),
        value_name = "SECONDS"
    )]
    pub timeout: u8,

    /// How to print it
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,

    /// How it runs in the cluster.
    #[command(flatten)]
    pub workload: WorkloadArgs,
}

/// How the webhook runs in the cluster.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "In the cluster")]
pub struct WorkloadArgs {
    /// Image of the webhook
    #[arg(long, default_value = IMAGE, conflicts_with = "url", value_name = "IMAGE")]
    pub image: String,

    /// Number of pods
    #[arg(
        long,
        default_value_t = 2,
        value_parser = clap::value_parser!(u16).range(1..),
        conflicts_with = "url",
        value_name = "N"
    )]
    pub replicas: u16,

    /// Secret with the serving certificate; with --ca it has to be there, of type kubernetes.io/tls
    #[arg(
        long,
        default_value = "arc-rocm-tls",
        value_parser = subdomain,
        conflicts_with = "url",
        value_name = "NAME"
    )]
    pub tls_secret: String,

    /// ConfigMap with runner profiles; without it, the built-in profile is used
    #[arg(
        long,
        default_value = "arc-rocm-profiles",
        value_parser = subdomain,
        conflicts_with = "url",
        value_name = "NAME"
    )]
    pub profiles_configmap: String,

    /// User who may create runner pods; `*` stands for any characters [default: ARC's controller]
    #[arg(
        long = "arc-controller-user",
        value_delimiter = ',',
        conflicts_with = "url",
        value_name = "PATTERN"
    )]
    pub controller_users: Vec<String>,
}

/// How to print the documents.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Output {
    /// YAML documents, with comments
    #[default]
    Yaml,
    /// One List
    Json,
}

impl Args {
    /// Prints the documents.
    pub fn run(self) -> anyhow::Result<()> {
        let Self { ca, namespace, name, url, failure_policy, timeout, output, workload } = self;
        let WorkloadArgs { image, replicas, tls_secret, profiles_configmap, controller_users } =
            workload;
        ControllerUsers::parse(controller_users.iter().map(String::as_str))
            .map_err(|error| UsageError::error(format!("--arc-controller-user: {error}")))?;
        let ca_bundle = ca.as_deref().map(authorities).transpose()?;
        let target = match (url, ca_bundle) {
            (Some(url), Some(ca_bundle)) => Target::Elsewhere { url, ca_bundle },
            (Some(_), None) => return Err(UsageError::error("--url needs --ca")),
            (None, ca_bundle) => Target::Cluster(Workload {
                image,
                replicas,
                certificates: ca_bundle.map_or(Certificates::SelfManaged, |ca_bundle| {
                    Certificates::Files { ca_bundle }
                }),
                tls_secret,
                profiles_config_map: profiles_configmap,
                controller_users,
            }),
        };
        let yaml = manifests::yaml(&Settings { name, namespace, failure_policy, timeout, target });
        let text = match output {
            Output::Yaml => yaml,
            Output::Json => format!("{:#}\n", manifests::list(&yaml)?),
        };
        output::write(|out| Ok(out.write_all(text.as_bytes())?))
    }
}

/// The `caBundle` from a file.
fn authorities(path: &Path) -> anyhow::Result<String> {
    let unusable = || UsageError(format!("--ca {}", path.display()));
    manifests::bundle(&fs::read(path).with_context(unusable)?).with_context(unusable)
}

/// What a namespace may be called (RFC 1123 label).
fn label(text: &str) -> Result<String, String> {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_ok = (1..=63).contains(&text.len())
        && text.bytes().all(|byte| is_alphanumeric(byte) || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    let message = "1 to 63 lower-case letters, digits and dashes, with a letter or digit at both \
                   ends";
    is_ok.then(|| text.to_owned()).ok_or_else(|| message.to_owned())
}

/// What a Service may be called (RFC 1035 label), which is the narrowest of our objects.
fn service_name(text: &str) -> Result<String, String> {
    let name = label(text)?;
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err("a Service's name begins with a letter".to_owned());
    }
    Ok(name)
}

/// What a Secret or a ConfigMap may be called (RFC 1123 subdomain).
fn subdomain(text: &str) -> Result<String, String> {
    let is_ok = text.len() <= 253 && text.split('.').all(|part| label(part).is_ok());
    let message =
        "lower-case letters, digits, dashes and dots, at most 253 in all and 63 between dots";
    is_ok.then(|| text.to_owned()).ok_or_else(|| message.to_owned())
}

/// What the API server accepts as a webhook's URL (`k8s.io/apiserver/pkg/util/webhook`).
fn webhook_url(text: &str) -> Result<String, String> {
    // Uri forgets a fragment.
    if text.contains('#') {
        return Err("the API server takes no fragment in a webhook's URL".to_owned());
    }
    let malformed = || format!("not a URL: write https://HOST:PORT{PATH}");
    let url: Uri = text.parse().map_err(|_| malformed())?;
    if url.scheme_str() != Some("https") {
        return Err("the API server calls webhooks by https:// only".to_owned());
    }
    if url.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err("the API server takes no user in a webhook's URL".to_owned());
    }
    if url.host().is_none_or(str::is_empty) {
        return Err(malformed());
    }
    if url.query().is_some() {
        return Err("the API server takes no query in a webhook's URL".to_owned());
    }
    if url.path() == "/" {
        return Err(format!("a path is missing: the webhook answers at {PATH}"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_held_to_the_api_servers_rules() {
        let good = "https://ci.example:8443/mutate";
        assert_eq!(webhook_url(good).as_deref(), Ok(good));
        assert!(webhook_url("https://[::1]:8443/mutate").is_ok());
        for (url, says) in [
            ("http://ci.example/mutate", "https://"),
            ("ci.example/mutate", "https://"),
            ("/mutate", "https://"),
            ("https:///mutate", "not a URL"),
            ("https://:8443/mutate", "not a URL"),
            ("https://ci.example/mutate?x=1", "no query"),
            ("https://ci.example/mutate#x", "no fragment"),
            ("https://me:pw@ci.example/mutate", "no user"),
            ("https://ci.example", "/mutate"),
            ("https://ci.example/", "/mutate"),
        ] {
            let error = webhook_url(url).unwrap_err();
            assert!(error.contains(says), "{url}: {error}");
        }
    }

    #[test]
    fn names_are_those_that_a_service_may_have() {
        assert!(service_name("arc-rocm-2").is_ok());
        for name in ["", "-a", "a-", "A", "a.b", "2a", &"a".repeat(64)] {
            assert!(service_name(name).is_err(), "{name:?}");
        }
        assert!(label("2a").is_ok());
        assert!(subdomain("a.b-2").is_ok());
        for name in ["", ".", "a..b", "a_b", "a\"b", &"a.".repeat(200)] {
            assert!(subdomain(name).is_err(), "{name:?}");
        }
    }
}
