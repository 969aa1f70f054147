//! The objects that register the webhook and run it, as the documents that `kubectl apply` takes.
//!
//! Pure: settings in, documents out, the same for the same settings. The objects are Kubernetes'
//! own types, so that a misspelt field does not compile.

mod ca;
mod webhook;
mod workload;

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

pub use ca::{BundleError, bundle};

/// The default image, of this very version.
pub const IMAGE: &str = concat!("ghcr.io/arc-rocm/arc-rocm:", env!("CARGO_PKG_VERSION"));

/// What differs between two installations.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the objects.
    pub name: String,
    /// Our own namespace, whose pods are never sent to us.
    pub namespace: String,
    /// PEM certificates that the API server trusts for the webhook, see [`bundle`].
    pub ca_bundle: String,
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
    /// Somewhere that is reached by this URL.
    Url(String),
}

/// How the webhook runs in the cluster.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The image.
    pub image: String,
    /// How many pods.
    pub replicas: u16,
    /// The Secret of type `kubernetes.io/tls` with the serving certificate.
    pub tls_secret: String,
    /// The ConfigMap with the profiles; it need not exist.
    pub profiles_config_map: String,
    /// Patterns for `--requester`; none for the default.
    pub requesters: Vec<String>,
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

/// One object, and what a reader should know about it.
#[derive(Clone, Debug)]
pub struct Document {
    /// Lines of text, without the `#`.
    pub comment: String,
    /// The object.
    pub object: Value,
}

/// The documents, in the order in which they are to be applied: the registration comes last.
pub fn documents(settings: &Settings) -> serde_json::Result<Vec<Document>> {
    let mut documents = match &settings.target {
        Target::Cluster(workload) => workload::documents(settings, workload)?,
        Target::Url(_) => Vec::new(),
    };
    documents.push(webhook::document(settings)?);
    Ok(documents)
}

/// YAML, each document below its comment.
pub fn yaml(documents: &[Document]) -> Result<String, serde_saphyr::ser::Error> {
    let mut text = String::new();
    for (index, Document { comment, object }) in documents.iter().enumerate() {
        if index > 0 {
            text.push_str("---\n");
        }
        for line in comment.lines() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# {line}");
        }
        // A caBundle on one line, as kubectl prints it.
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        text.push_str(serde_saphyr::to_string_with_options(object, options)?.trim_end());
        text.push('\n');
    }
    Ok(text)
}

/// One List of all objects, for programs; the comments are lost.
pub fn list(documents: &[Document]) -> Value {
    let items: Vec<&Value> = documents.iter().map(|document| &document.object).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

impl Document {
    fn new(comment: impl Into<String>, object: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self { comment: comment.into(), object: serde_json::to_value(object)? })
    }
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
