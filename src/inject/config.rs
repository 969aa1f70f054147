//! What answers depend on.

use super::ControllerUsers;
use crate::profile::ProfileSet;

/// Everything that an answer depends on beside the review. Compiled ahead: a new configuration is
/// a new value, swapped in as a whole.
#[derive(Debug)]
pub struct Config {
    /// The profiles.
    pub profiles: ProfileSet,
    /// Who may have privileged containers added.
    pub controller_users: ControllerUsers,
}

impl Config {
    /// A configuration of these profiles and users.
    pub fn new(profiles: ProfileSet, controller_users: ControllerUsers) -> Self {
        Self { profiles, controller_users }
    }
}

/// The built-in profiles, and ARC's controller by the name that its chart gives it.
impl Default for Config {
    fn default() -> Self {
        Self::new(ProfileSet::builtin(), ControllerUsers::default())
    }
}
