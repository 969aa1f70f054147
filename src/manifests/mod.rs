//! The objects that register the webhook and run it, as the documents that `kubectl apply` takes.
//!
//! They are the chart's: `deploy/render` renders it with words in the place of what differs between
//! two installations, and here the words are replaced. Pure: settings in, documents out, the same
//! for the same settings.

mod ca;
mod fill;

use serde_json::{Value, json};

use self::fill::{Blank, fill, quote};

pub use ca::{BundleError, bundle};

/// The default image, of this very version.
pub const IMAGE: &str = concat!("ghcr.io/arc-rocm/arc-rocm:", env!("CARGO_PKG_VERSION"));

// The chart, rendered by `deploy/render` for each way to certificates.
const SELF_MANAGED: &str = include_str!("self-managed.yaml");
const FILES: &str = include_str!("files.yaml");
const URL: &str = include_str!("url.yaml");

/// What differs between two installations.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the objects: a DNS label that begins with a letter.
    pub name: String,
    /// Our own namespace, whose pods are never sent to us: a DNS label.
    pub namespace: String,
    /// What the API server does without an answer.
    pub failure_policy: FailurePolicy,
    /// How long the API server waits for an answer, in seconds.
    pub timeout: u8,
    /// Where the webhook runs.
    pub target: Target,
}

/// Where the webhook runs.
#[derive(Clone, Debug)]
pub enum Target {
    /// In the cluster; the documents make it run there.
    Cluster(Workload),
    /// Somewhere else.
    Elsewhere {
        /// Where it is reached.
        url: String,
        /// PEM certificates that the API server trusts for it, see [`bundle`].
        ca_bundle: String,
    },
}

/// How the webhook runs in the cluster.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The image.
    pub image: String,
    /// How many pods.
    pub replicas: u16,
    /// Who makes the certificate in [`tls_secret`](Self::tls_secret).
    pub certificates: Certificates,
    /// The Secret with the serving certificate: a DNS subdomain.
    pub tls_secret: String,
    /// The ConfigMap with the profiles, which need not exist: a DNS subdomain.
    pub profiles_config_map: String,
    /// Patterns for `--arc-controller-user`; none for the default.
    pub controller_users: Vec<String>,
}

/// Who makes the certificate.
#[derive(Clone, Debug)]
pub enum Certificates {
    /// The webhook does, and keeps the registration's `caBundle` right.
    SelfManaged,
    /// Somebody else does. The webhook reads files, and never calls the API server.
    Files {
        /// PEM certificates that the API server trusts for it, see [`bundle`].
        ca_bundle: String,
    },
}

/// What the API server does with a runner pod when the webhook does not answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum FailurePolicy {
    /// It is refused, and ARC tries again.
    #[default]
    #[value(name = "Fail")]
    Fail,
    /// It is created as it is, without GPUs and Docker.
    #[value(name = "Ignore")]
    Ignore,
}

/// YAML documents with comments, in the order in which they are to be applied: the registration
/// comes last. Byte for byte what `helm template` prints for the same values.
pub fn yaml(settings: &Settings) -> String {
    let Settings { name, namespace, failure_policy, timeout, target } = settings;
    let blank = |word, value: String| Blank { word, value };
    let mut blanks = vec![
        blank("name-placeholder", name.clone()),
        blank("namespace-placeholder", namespace.clone()),
        blank("failurePolicy: Ignore\n", format!("failurePolicy: {}\n", failure_policy.as_str())),
        blank("timeoutSeconds: 29\n", format!("timeoutSeconds: {timeout}\n")),
    ];
    // base64 of the word "placeholder".
    let authority = |pem: &str| {
        let encoded = base64_simd::STANDARD.encode_to_string(pem);
        blank("cGxhY2Vob2xkZXI=", encoded)
    };
    let text = match target {
        Target::Elsewhere { url, ca_bundle } => {
            blanks.push(authority(ca_bundle));
            blanks.push(blank("\"https://url-placeholder/mutate\"", quote(url)));
            URL
        }
        Target::Cluster(workload) => {
            let Workload { image, replicas, tls_secret, profiles_config_map, .. } = workload;
            let flag = |pattern| {
                format!("            - {}\n", quote(&format!("--arc-controller-user={pattern}")))
            };
            blanks.extend([
                blank("\"image-placeholder:tag\"", quote(image)),
                blank("replicas: 7777\n", format!("replicas: {replicas}\n")),
                blank("secret-placeholder", tls_secret.clone()),
                blank("profiles-placeholder", profiles_config_map.clone()),
                blank(
                    "            - \"--arc-controller-user=controller-user-placeholder\"\n",
                    workload.controller_users.iter().map(flag).collect(),
                ),
            ]);
            match &workload.certificates {
                Certificates::SelfManaged => SELF_MANAGED,
                Certificates::Files { ca_bundle } => {
                    blanks.push(authority(ca_bundle));
                    FILES
                }
            }
        }
    };
    fill(text, &blanks)
}

/// One List of all objects, for programs; the comments are lost.
///
/// # Errors
///
/// None for what [`yaml`] makes of valid settings.
pub fn list(yaml: &str) -> Result<Value, serde_saphyr::Error> {
    let items: Vec<Value> = serde_saphyr::from_multiple(yaml)?;
    Ok(json!({"apiVersion": "v1", "kind": "List", "items": items}))
}

impl FailurePolicy {
    /// Kubernetes' word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "Fail",
            Self::Ignore => "Ignore",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        podspec::Quantity as Amount,
        server::limits::{
            BUFFERED_BODIES, LARGE_REVIEWS, MAX_CONNECTIONS, READ_BUFFER, SPARE_CONNECTIONS,
        },
    };

    #[test]
    fn the_memory_limit_has_room_for_what_the_server_allows() {
        // limits.rs: some 30 KiB a connection, and what is read ahead on each; 30 MiB a large
        // review; a few MiB for the process itself.
        let connections = (MAX_CONNECTIONS + SPARE_CONNECTIONS) * (30 * 1024 + READ_BUFFER);
        let needed = BUFFERED_BODIES + connections + LARGE_REVIEWS * (30 << 20) + (16 << 20);
        for text in [SELF_MANAGED, FILES] {
            let list = list(text).unwrap();
            let items = list["items"].as_array().unwrap();
            let deployment = items.iter().find(|item| item["kind"] == "Deployment").unwrap();
            let container = &deployment["spec"]["template"]["spec"]["containers"][0];
            let limit = container["resources"]["limits"]["memory"].as_str().unwrap();
            let limit = limit.parse::<Amount>().unwrap().whole().unwrap();
            assert!(limit >= needed as u64, "{limit} < {needed}");
        }
    }

    #[test]
    fn no_placeholder_is_left_in_any_of_the_renders() {
        let settings = |target| Settings {
            name: "n".to_owned(),
            namespace: "s".to_owned(),
            failure_policy: FailurePolicy::Fail,
            timeout: 5,
            target,
        };
        let cluster = |certificates| {
            Target::Cluster(Workload {
                image: "i".to_owned(),
                replicas: 2,
                certificates,
                tls_secret: "t".to_owned(),
                profiles_config_map: "p".to_owned(),
                controller_users: Vec::new(),
            })
        };
        let ca_bundle = "c".to_owned();
        for target in [
            cluster(Certificates::SelfManaged),
            cluster(Certificates::Files { ca_bundle: ca_bundle.clone() }),
            Target::Elsewhere { url: "https://u/mutate".to_owned(), ca_bundle },
        ] {
            let text = yaml(&settings(target));
            for word in ["placeholder", "7777", "cGxhY2Vob2xkZXI", "timeoutSeconds: 29"] {
                assert!(!text.contains(word), "{word}\n{text}");
            }
            assert!(text.contains("failurePolicy: Fail\n"));
        }
    }
}
