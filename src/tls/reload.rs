//! Certificate files that change while the server runs.
//!
//! Bytes are compared, because the times of files from a Secret say nothing.

use std::{fmt, io, path::PathBuf};

use tokio::fs;

use super::{ClientCa, ClientCaError, Pair, PairError};

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
