//! Reads a certificate's files and says when they have changed.
//!
//! The kubelet replaces a Secret's files by swapping a symlink above them, which a file watch does
//! not survive (kubernetes#111947), and modification times do not change with it. So it polls, and
//! compares bytes.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::{Pair, PairError};
use crate::files;

/// A certificate file and a key file.
#[derive(Debug)]
pub struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// The content read last, usable or not.
    seen: Option<Contents>,
}

#[derive(Eq, PartialEq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Why the files are not usable.
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
    /// They hold no usable certificate and key.
    #[error("{} and {} are not usable as certificate and key", certificate.display(), key.display())]
    Pair {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// Why.
        source: PairError,
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
    /// Creates it without reading the files.
    pub const fn new(certificate: PathBuf, key: PathBuf) -> Self {
        Self { certificate, key, seen: None }
    }

    /// Reads the pair if the files have changed since the last call, successful or not.
    pub fn changed(&mut self) -> Result<Option<Pair>, ReadError> {
        let contents = Contents { certificate: read(&self.certificate)?, key: read(&self.key)? };
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

fn read(path: &Path) -> Result<Vec<u8>, ReadError> {
    files::read(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_has_no_private_key() {
        let contents = Contents { certificate: b"certificate".to_vec(), key: b"key".to_vec() };
        let files = Files { seen: Some(contents), ..Files::new("c".into(), "k".into()) };
        let output = format!("{files:?}");
        assert!(output.ends_with("seen: Some(Contents { .. }) }"), "{output}");
    }
}
