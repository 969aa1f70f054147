//! The set of profiles, and the choice among them.

use std::collections::HashMap;

use super::{Profile, Selected, spec::KubernetesMode};
use crate::{
    plan::{is_kubernetes_mode, quantity},
    pod::Json,
    selection::{Index, Mismatch, RunnerPod, Skip, pattern::MAX_GPUS},
};

/// The built-in profile's name.
pub const BUILTIN: &str = "rocm";

/// Compiled profiles: highest priority first, then by name, so that the first match wins.
#[derive(Clone, Debug)]
pub struct ProfileSet {
    profiles: Vec<Profile>,
    /// Places in `profiles` by what a pod's names are.
    index: Index,
    /// Places in `profiles` by the profile's name.
    names: HashMap<String, usize>,
}

/// The profile that won, with what the choice depended on.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'p> {
    /// The profile.
    pub profile: &'p Profile,
    /// The number of GPUs.
    pub gpus: u32,
    /// Where the number of GPUs comes from.
    pub gpus_from: GpusFrom,
    /// The number that the profile would give, where the author's own holds instead.
    pub gpus_overruled: Option<u32>,
    /// Whether the runner is in one of ARC's kubernetes modes.
    pub kubernetes_mode: bool,
    /// Another profile of the same priority that matches as well.
    pub tie: Option<&'p Profile>,
}

/// Where the number of GPUs comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GpusFrom {
    /// The runner's own request of the profile's GPU resource.
    Runner,
    /// The pod's annotation `arc-rocm.dev/gpus`.
    Annotation,
    /// The scale set's name, by `{gpus}`.
    Name,
    /// The profile's `gpu.count`.
    Count,
}

impl GpusFrom {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Runner => "the runner's own resources",
            Self::Annotation => "annotation arc-rocm.dev/gpus",
            Self::Name => "{gpus} in the scale set's name",
            Self::Count => "gpu.count of the profile",
        }
    }
}

/// How one profile stands to one pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It matches, perhaps with a number of GPUs from the name.
    Matches(Option<u32>),
    /// It does not match.
    Mismatch(Mismatch),
    /// It has no `match`, so a pod must name it.
    OnlyByName,
}

impl ProfileSet {
    pub(super) fn new(mut profiles: Vec<Profile>) -> Self {
        profiles.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
        let index = Index::new(profiles.iter().map(|profile| profile.matcher.as_ref()));
        let places = profiles.iter().enumerate();
        let names = places.map(|(place, profile)| (profile.name.clone(), place)).collect();
        Self { profiles, index, names }
    }

    /// The same with the built-in profile only for pods that name it: what there is to say of the
    /// others is not known yet.
    #[must_use]
    pub fn builtin_by_name(mut self) -> Self {
        for profile in self.profiles.iter_mut().filter(|profile| profile.name == BUILTIN) {
            profile.matcher = None;
        }
        Self::new(self.profiles)
    }

    /// The profile `name`.
    pub fn get(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(*self.names.get(name)?)
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

    /// How `profile` stands to `pod`.
    pub fn verdict(profile: &Profile, pod: &RunnerPod<'_>) -> Verdict {
        match &profile.matcher {
            None => Verdict::OnlyByName,
            Some(matcher) => match matcher.judge(pod) {
                Ok(gpus) => Verdict::Matches(gpus),
                Err(mismatch) => Verdict::Mismatch(mismatch),
            },
        }
    }

    /// Chooses the profile for `pod`. `runner` is the container that ARC watches.
    pub fn choose(&self, pod: &RunnerPod<'_>, runner: &Json<'_>) -> Result<Choice<'_>, Skip> {
        let (profile, from_name, tie) = if let Some(name) = pod.named_profile() {
            let profile = self.get(name).ok_or(Skip::UnknownProfile)?;
            let from_name = match Self::verdict(profile, pod) {
                Verdict::Matches(gpus) => gpus,
                _ => None,
            };
            (profile, from_name, None)
        } else {
            let candidates = self.index.candidates(pod);
            let mut matching = candidates.iter().filter_map(|place| {
                let profile = self.profiles.get(*place)?;
                match Self::verdict(profile, pod) {
                    Verdict::Matches(gpus) => Some((profile, gpus)),
                    _ => None,
                }
            });
            let (profile, from_name) = matching.next().ok_or(Skip::NoProfile)?;
            let tie = matching.next().map(|(other, _)| other);
            (profile, from_name, tie.filter(|other| other.priority == profile.priority))
        };
        let kubernetes_mode = is_kubernetes_mode(runner);
        if kubernetes_mode && profile.kubernetes_mode == KubernetesMode::Skip {
            return Err(Skip::KubernetesMode);
        }
        let (wanted, from) = match (pod.named_gpus(), from_name) {
            (Some(gpus), _) => (gpus, GpusFrom::Annotation),
            (None, Some(gpus)) => (gpus, GpusFrom::Name),
            (None, None) => (profile.default_gpus(), GpusFrom::Count),
        };
        // What the author wrote stays, so what comes with each GPU goes by it. What the profile
        // itself put there on an earlier pass is not the author's, also where its template says
        // another number than `gpu`.
        let given = profile.template(wanted).gpu.as_ref().map_or(0, |gpu| gpu.count);
        let (gpus, gpus_from, gpus_overruled) = match own_gpus(runner, profile) {
            Some(gpus) if gpus != given => (gpus, GpusFrom::Runner, Some(given)),
            _ => (wanted, from, None),
        };
        Ok(Choice { profile, gpus, gpus_from, gpus_overruled, kubernetes_mode, tie })
    }
}

/// The number of GPUs that the runner asks for itself.
fn own_gpus(runner: &Json<'_>, profile: &Profile) -> Option<u32> {
    let resource = profile.gpu_resource();
    let amount = ["limits", "requests"]
        .into_iter()
        .find_map(|map| runner.at(&["resources", map, resource]))?;
    quantity(amount)?
        .whole()
        .and_then(|gpus| u32::try_from(gpus).ok())
        .filter(|gpus| *gpus <= MAX_GPUS)
}

impl<'p> Choice<'p> {
    /// What the plan needs.
    pub fn selected(&self) -> Selected<'p> {
        let Self { profile, gpus, gpus_overruled, kubernetes_mode, .. } = *self;
        Selected { gpus_overruled, ..profile.selected(gpus, kubernetes_mode) }
    }
}
