//! What a scale set belongs to.

use std::fmt;

/// An organization, a repository or an enterprise: what `githubConfigUrl` names. Each is a tenant
/// with scale sets of its own.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Scope {
    Organization(String),
    Repository(String, String),
    Enterprise(String),
}

impl Scope {
    /// Owner and repository as job messages have them; the repository is made up where jobs may
    /// come from any.
    pub(crate) fn owner_and_repository(&self) -> (&str, &str) {
        match self {
            Self::Organization(owner) | Self::Enterprise(owner) => (owner, "stand-in"),
            Self::Repository(owner, repository) => (owner, repository),
        }
    }
}

/// The path of `githubConfigUrl`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organization(name) => write!(f, "{name}"),
            Self::Repository(owner, name) => write!(f, "{owner}/{name}"),
            Self::Enterprise(name) => write!(f, "enterprises/{name}"),
        }
    }
}
