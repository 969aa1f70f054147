//! Who may have privileged containers added: the account of ARC's controller.

use crate::profile::{Pattern, PatternError};

/// Patterns over the names of users who are ARC's controller.
#[derive(Clone, Debug)]
pub struct ControllerUsers(Vec<Pattern>);

/// The account of ARC's controller: its chart names it RELEASE-gha-rs-controller, in any
/// namespace (charts/gha-runner-scale-set-controller `_helpers.tpl`).
pub const DEFAULT_CONTROLLER_USER: &str = "system:serviceaccount:*:*gha-rs-controller";
/// The account that the chart of ARC's documentation makes, where none is known.
pub(crate) const ARC_CONTROLLER: &str = "system:serviceaccount:arc-systems:arc-gha-rs-controller";

impl ControllerUsers {
    /// Parses patterns in which `*` is any text.
    ///
    /// # Errors
    ///
    /// The first pattern that is empty, too long or has `{gpus}`.
    pub fn parse<'t>(patterns: impl IntoIterator<Item = &'t str>) -> Result<Self, PatternError> {
        let parse = |text| Pattern::parse(text)?.without_gpus();
        patterns.into_iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether `user` is one of them.
    pub fn contain(&self, user: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(user).is_some())
    }
}

impl Default for ControllerUsers {
    fn default() -> Self {
        Self(Pattern::parse(DEFAULT_CONTROLLER_USER).into_iter().collect())
    }
}
