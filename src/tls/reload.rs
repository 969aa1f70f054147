//! Certificate files, and watching them.
//!
//! By polling, because the kubelet replaces a Secret's files by swapping a symlink above them,
//! which a file watch does not survive (kubernetes#111947), and by comparing bytes, because the
//! times of such files say nothing.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{fs, time};

use super::{Callers, ClientCa, ClientCaError, Identity, Pair, PairError};
use crate::{
    server::Service,
    telemetry::{CertificateKind, Chain, Metrics, ReloadResult},
};

/// A certificate file and a key file.
#[derive(Debug)]
pub struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// What was read last, good or bad.
    seen: Option<Contents>,
}

/// The file of the clients' authority.
#[derive(Debug)]
pub struct CaFile {
    path: PathBuf,
    /// What was read last, good or bad.
    seen: Option<Vec<u8>>,
}

/// What came of looking at files, look after look.
struct Looks {
    /// What is in the files.
    what: &'static str,
    /// Whether the last look found no file.
    unreadable: bool,
}

#[derive(Eq, PartialEq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Why there is nothing to use in the files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in them is no pair.
    #[error("{} and {} are no pair", certificate.display(), key.display())]
    Pair {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// Why.
        source: PairError,
    },
    /// What is in it is no authority.
    #[error("{} is no certificate authority for clients", path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ClientCaError,
    },
}

/// Without the private key.
impl fmt::Debug for Contents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Contents").finish_non_exhaustive()
    }
}

// === impl Files ===

impl Files {
    /// Files that were not read yet.
    pub const fn new(certificate: PathBuf, key: PathBuf) -> Self {
        Self { certificate, key, seen: None }
    }

    /// Reads the pair if the files are not what they were at the last call, whether that was a
    /// success or not.
    pub async fn changed(&mut self) -> Result<Option<Pair>, ReadError> {
        let contents =
            Contents { certificate: read(&self.certificate).await?, key: read(&self.key).await? };
        if self.seen.as_ref() == Some(&contents) {
            return Ok(None);
        }
        let pair = Pair::from_pem(&contents.certificate, &contents.key);
        self.seen = Some(contents);
        pair.map(Some).map_err(|source| ReadError::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        })
    }

    /// Looks at the files every `period`, for ever, and gives each new pair to `identity`.
    pub async fn watch(mut self, period: Duration, identity: Arc<Identity>, service: Arc<Service>) {
        let mut looks = Looks::new("certificate");
        let metrics = service.metrics();
        loop {
            time::sleep(period).await;
            looks.at(self.changed().await, metrics, |pair| {
                // First, because whoever knows the caBundle knows better, and is woken by the rest.
                metrics.validity(CertificateKind::Ca, pair.ca);
                identity.replace(&pair);
                metrics.validity(CertificateKind::Leaf, Some(pair.leaf));
                tracing::info!(not_after = pair.leaf.not_after, "certificate replaced");
            });
        }
    }
}

// === impl CaFile ===

impl CaFile {
    /// A file that was not read yet.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// Reads the authority if the file is not what it was at the last call, whether that was a
    /// success or not.
    pub async fn changed(&mut self) -> Result<Option<ClientCa>, ReadError> {
        let contents = read(&self.path).await?;
        if self.seen.as_ref() == Some(&contents) {
            return Ok(None);
        }
        let ca = ClientCa::from_pem(&contents);
        self.seen = Some(contents);
        ca.map(Some).map_err(|source| ReadError::ClientCa { path: self.path.clone(), source })
    }

    /// Looks at the file every `period`, for ever, and gives each new authority to `callers`.
    pub async fn watch(mut self, period: Duration, callers: Arc<Callers>, service: Arc<Service>) {
        let mut looks = Looks::new("client CA");
        loop {
            time::sleep(period).await;
            looks.at(self.changed().await, service.metrics(), |ca| {
                callers.replace(ca);
                tracing::info!("client CA replaced");
            });
        }
    }
}

// === impl Looks ===

impl Looks {
    const fn new(what: &'static str) -> Self {
        Self { what, unreadable: false }
    }

    /// Uses what a look has found, or says why it cannot be used.
    fn at<T>(
        &mut self,
        found: Result<Option<T>, ReadError>,
        metrics: &Metrics,
        replace: impl FnOnce(T),
    ) {
        match found {
            Ok(new) => {
                self.unreadable = false;
                if let Some(new) = new {
                    replace(new);
                    metrics.reloaded(ReloadResult::Replaced);
                }
            }
            // A file that is gone stays gone for many polls, and one line is enough.
            Err(ReadError::Io { .. }) if self.unreadable => {}
            Err(error) => {
                self.unreadable = matches!(error, ReadError::Io { .. });
                metrics.reloaded(ReloadResult::Rejected);
                let error = Chain(&error);
                tracing::warn!(%error, "{} not replaced, the old one stays in use", self.what);
            }
        }
    }
}

async fn read(path: &PathBuf) -> Result<Vec<u8>, ReadError> {
    fs::read(path).await.map_err(|source| ReadError::Io { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debugging_output_has_no_private_key() {
        let contents = Contents { certificate: b"certificate".to_vec(), key: b"key".to_vec() };
        let files = Files { seen: Some(contents), ..Files::new("c".into(), "k".into()) };
        let told = format!("{files:?}");
        assert!(told.ends_with("seen: Some(Contents { .. }) }"), "{told}");
    }
}
