//! What answers depend on.

use super::memo::Memo;
use crate::{profile::ProfileSet, selection::Requesters};

/// Everything that an answer depends on beside the review. Compiled ahead: a new configuration is
/// a new value, swapped in as a whole. What is remembered beside it makes answers faster, never
/// other ones.
#[derive(Debug)]
pub struct Rules {
    /// The profiles.
    pub profiles: ProfileSet,
    /// Who may have privileged containers added.
    pub requesters: Requesters,
    /// What these rules have answered already.
    pub(super) memo: Memo,
}

impl Rules {
    /// Rules with these profiles and requesters.
    pub fn new(profiles: ProfileSet, requesters: Requesters) -> Self {
        Self { profiles, requesters, memo: Memo::default() }
    }

    /// Whether `review` would be answered from memory. The answer is the same either way.
    pub fn is_known(&self, review: &[u8]) -> bool {
        self.memo.get(review).is_some()
    }
}

/// The built-in profile, and ARC's controller as requester.
impl Default for Rules {
    fn default() -> Self {
        Self::new(ProfileSet::builtin(), Requesters::default())
    }
}
