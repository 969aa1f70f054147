//! The objects that register and run the webhook, as YAML for `kubectl apply`.
//!
//! `deploy/render` renders the chart with placeholders for the values that differ between two
//! installations, and this module replaces them.

mod ca;
mod fill;

use serde_json::{Value, json};

use self::fill::{Blank, fill, quote};

pub use ca::{BundleError, bundle};

/// The default image, of this version.
pub const IMAGE: &str = concat!("ghcr.io/arc-rocm/arc-rocm:", env!("CARGO_PKG_VERSION"));

// The chart, rendered by `deploy/render`, for each source of certificates.
const SELF_MANAGED: &str = include_str!("self-managed.yaml");
const FILES: &str = include_str!("files.yaml");
const URL: &str = include_str!("url.yaml");

/// What differs between two installations.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the objects: a DNS label that begins with a letter.
    pub name: String,
    /// The webhook's namespace, whose pods are never sent to the webhook: a DNS label.
    pub namespace: String,
    /// What the API server does when the webhook does not answer.
    pub failure_policy: FailurePolicy,
    /// How long the API server waits for the webhook, in seconds.
    pub timeout: u8,
    /// Where the webhook runs.
    pub target: Target,
}

/// Where the webhook runs.
#[derive(Clone, Debug)]
pub enum Target {
    /// In the cluster, run by these objects.
    Cluster(Workload),
    /// Somewhere else.
    Elsewhere {
        /// Its URL.
        url: String,
        /// CA certificates for the API server, PEM, see [`bundle`].
        ca_bundle: String,
    },
}

/// How the webhook runs in the cluster.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The image.
    pub image: String,
    /// The number of pods.
    pub replicas: u16,
    /// The source of the certificate in [`tls_secret`](Self::tls_secret).
    pub certificates: Certificates,
    /// The Secret with the serving certificate: a DNS subdomain.
    pub tls_secret: String,
    /// The optional ConfigMap with the profiles: a DNS subdomain.
    pub profiles_config_map: String,
    /// Patterns for `--arc-controller-user`; none for the default.
    pub controller_users: Vec<String>,
}

/// The source of the certificate.
#[derive(Clone, Debug)]
pub enum Certificates {
    /// The webhook issues it and sets the registration's `caBundle`.
    SelfManaged,
    /// Files, from cert-manager or by hand. The webhook never calls the API server.
    Files {
        /// CA certificates for the API server, PEM, see [`bundle`].
        ca_bundle: String,
    },
}

/// What the API server does with a runner pod when the webhook does not answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum FailurePolicy {
    /// It refuses the pod, and ARC retries.
    #[default]
    #[value(name = "Fail")]
    Fail,
    /// It creates the pod without GPUs and Docker.
    #[value(name = "Ignore")]
    Ignore,
}

/// YAML documents with comments, in the order to apply them: the registration comes last. The same
/// bytes as `helm template` for the same values.
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
    let ca_bundle_value = |pem: &str| {
        let encoded = base64_simd::STANDARD.encode_to_string(pem);
        blank("cGxhY2Vob2xkZXI=", encoded)
    };
    let text = match target {
        Target::Elsewhere { url, ca_bundle } => {
            blanks.push(ca_bundle_value(ca_bundle));
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
                    blanks.push(ca_bundle_value(ca_bundle));
                    FILES
                }
            }
        }
    };
    fill(text, &blanks)
}

/// One List of all objects, for programs. Comments are dropped.
///
/// # Errors
///
/// None for what [`yaml`] makes of valid settings.
pub fn list(yaml: &str) -> Result<Value, serde_saphyr::Error> {
    let items: Vec<Value> = serde_saphyr::from_multiple(yaml)?;
    Ok(json!({"apiVersion": "v1", "kind": "List", "items": items}))
}

impl FailurePolicy {
    /// The value in Kubernetes.
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
    #[test]
    fn renders_have_no_placeholder_left() {
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
