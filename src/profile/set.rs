//! The set of profiles.

use super::{Origin, Profile, matcher::Mismatch};
use crate::podspec::RunnerPod;

/// The name of the built-in profile that matches pods.
pub const BUILTIN: &str = "rocm";

/// Compiled profiles: highest priority first, then by name, so that the first match wins.
#[derive(Clone, Debug)]
pub struct ProfileSet {
    profiles: Vec<Profile>,
}

/// How a profile's `match` stands to a pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Match {
    /// It matches.
    Yes {
        /// The number of GPUs that the scale set's name gives, if it gives one.
        gpus: Option<u32>,
    },
    /// It does not match.
    No(Mismatch),
    /// The profile has no `match`, so a pod must name it.
    OnlyByName,
}

impl ProfileSet {
    pub(super) fn new(mut profiles: Vec<Profile>) -> Self {
        profiles.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
        Self { profiles }
    }

    /// The same with the built-in profiles only for pods that name them.
    #[must_use]
    pub fn builtin_by_name(mut self) -> Self {
        for profile in self.profiles.iter_mut().filter(|one| one.origin == Origin::BuiltIn) {
            profile.matcher = None;
        }
        self
    }

    /// The same with the scripts from `image`, if there is one.
    #[must_use]
    pub fn with_scripts_image(mut self, image: Option<&str>) -> Self {
        if let Some(image) = image {
            let profiles = self.profiles.into_iter();
            self.profiles = profiles.map(|profile| profile.with_scripts_image(image)).collect();
        }
        self
    }

    /// The profile `name`.
    pub fn get(&self, name: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.name == name)
    }

    /// All profiles, in the order in which they are tried.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.profiles.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.profiles.is_empty()
    }
}

impl Profile {
    /// How the profile's `match` stands to `pod`.
    pub fn matches(&self, pod: &RunnerPod<'_>) -> Match {
        match self.matcher.as_ref().map(|matcher| matcher.mismatch(pod)) {
            None => Match::OnlyByName,
            Some(None) => Match::Yes { gpus: self.gpus_in_name(pod) },
            Some(Some(mismatch)) => Match::No(mismatch),
        }
    }

    /// The number of GPUs that the scale set's name gives, however the profile was chosen.
    pub fn gpus_in_name(&self, pod: &RunnerPod<'_>) -> Option<u32> {
        self.number_patterns
            .iter()
            .find_map(|pattern| pod.scale_sets().find_map(|name| pattern.matches(name)?.gpus))
    }
}
