//! Is this a runner pod that a profile is for, and which profile.

use super::{Config, Skip, own_gpus};
use crate::{
    annotations,
    podspec::{Json, RUNNER_LABEL, RunnerPod, is_kubernetes_mode},
    profile::{KubernetesMode, Match, Profile, Selected, pattern::MAX_GPUS},
};

/// The profile that won, with what the choice depended on.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'p> {
    /// The profile.
    pub profile: &'p Profile,
    /// The number of GPUs.
    pub gpus: u32,
    /// Where the number of GPUs comes from.
    pub gpus_from: GpusFrom,
    /// The number that the profile would give, where the scale set's own holds instead.
    pub gpus_overruled: Option<u32>,
    /// Whether the runner is in one of ARC's kubernetes modes.
    pub kubernetes_mode: bool,
    /// Another profile of the same priority that matches as well.
    pub tie: Option<&'p Profile>,
}

/// Where the number of GPUs comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GpusFrom {
    /// The pod's own requests of the profile's GPU resource.
    Pod,
    /// A resource claim of the pod's own, whose number of GPUs nothing says.
    Claim,
    /// The pod's annotation `arc-rocm.dev/gpus`.
    Annotation,
    /// The scale set's name, by `{gpus}`.
    Name,
    /// The profile's template, or its `runner.resources`.
    Template,
    /// The profile's `gpu.count`.
    Count,
}

impl GpusFrom {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pod => "the pod's own resources",
            Self::Claim => "the pod's own resource claim",
            Self::Annotation => "annotation arc-rocm.dev/gpus",
            Self::Name => "{gpus} in the scale set's name",
            Self::Template => "the profile's template",
            Self::Count => "gpu.count of the profile",
        }
    }
}

/// A runner pod that a profile is for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'p> {
    /// The pod.
    pub pod: &'p Json<'p>,
    /// The index of the container that ARC watches.
    pub runner: usize,
    /// The profile.
    pub selection: Selection<'p>,
}

/// Tells a runner pod, as ARC made it, from everything else.
pub(crate) fn identify<'p>(
    pod: &'p Json<'p>,
    namespace: &'p str,
    user: &str,
    config: &Config,
) -> Result<RunnerPod<'p>, Skip> {
    let runner_pod = RunnerPod::new(pod, namespace);
    if runner_pod.label(RUNNER_LABEL) != Some("True") {
        return Err(Skip::NotARunner);
    }
    let says_no = |value: Option<&str>| value.is_some_and(|v| v.eq_ignore_ascii_case("false"));
    if says_no(runner_pod.label(annotations::INJECT))
        || says_no(runner_pod.annotation(annotations::INJECT))
    {
        return Err(Skip::OptedOut);
    }
    if runner_pod.is_windows() {
        return Err(Skip::Windows);
    }
    if runner_pod.owner().is_none() {
        return Err(Skip::NoOwner);
    }
    if !config.controller_users.contain(user) {
        return Err(Skip::ControllerUser);
    }
    Ok(runner_pod)
}

/// The runner pod and its profile; or why the pod is skipped.
pub fn select<'p>(
    pod: &'p Json<'p>,
    namespace: &'p str,
    user: &str,
    config: &'p Config,
) -> Result<Subject<'p>, Skip> {
    let runner_pod = identify(pod, namespace, user, config)?;
    let (index, runner) = runner_pod.runner().ok_or(Skip::NoRunnerContainer)?;
    let selection = choose(&runner_pod, runner, config)?;
    Ok(Subject { pod, runner: index, selection })
}

/// Chooses the profile: the one that the pod names, else the first that matches.
fn choose<'p>(
    pod: &RunnerPod<'_>,
    runner: &Json<'_>,
    config: &'p Config,
) -> Result<Selection<'p>, Skip> {
    let profiles = &config.profiles;
    let named = pod.annotation(annotations::PROFILE).filter(|name| !name.is_empty());
    let (profile, from_name, tie) = if let Some(name) = named {
        let profile = profiles.get(name).ok_or(Skip::UnknownProfile)?;
        (profile, profile.gpus_in_name(pod), None)
    } else {
        let mut rest = profiles.iter();
        let matching = |profile: &'p Profile| match profile.matches(pod) {
            Match::Yes { gpus } => Some((profile, gpus)),
            _ => None,
        };
        let (profile, from_name) = rest.find_map(matching).ok_or(Skip::NoProfile)?;
        let mut equals = rest.take_while(|other| other.priority == profile.priority);
        (profile, from_name, equals.find_map(matching).map(|(other, _)| other))
    };
    let kubernetes_mode = is_kubernetes_mode(runner);
    if kubernetes_mode && profile.kubernetes_mode == KubernetesMode::Skip {
        return Err(Skip::KubernetesMode);
    }
    let template = profile.template(kubernetes_mode);
    let spec = pod.spec().ok_or(Skip::NoRunnerContainer)?;
    if own_gpus::has_others(spec, template) {
        return Err(Skip::OtherGpu);
    }
    let annotated = pod.annotation(annotations::GPUS).and_then(|text| text.parse().ok());
    let annotated = annotated.filter(|gpus| *gpus <= MAX_GPUS);
    let (wanted, from) = match (annotated, from_name) {
        // A profile without GPUs gives none, whatever is asked for.
        _ if !template.has_gpus() => (0, GpusFrom::Count),
        (Some(gpus), _) => (gpus, GpusFrom::Annotation),
        (None, _) if profile.fixed_gpus.is_some() => (profile.default_gpus(), GpusFrom::Template),
        (None, Some(gpus)) => (gpus, GpusFrom::Name),
        (None, None) => (profile.default_gpus(), GpusFrom::Count),
    };
    // What the scale set wrote stays, so what comes with each GPU goes by it. What the profile
    // itself put there on an earlier pass is not the scale set's, also where its template says
    // another number than `gpu`.
    let given = template.gpus(wanted);
    let own = own_gpus::number(spec, template).filter(|gpus| *gpus <= MAX_GPUS);
    let (gpus, gpus_from, gpus_overruled) = match own {
        Some(gpus) if gpus != given => (gpus, GpusFrom::Pod, template.has_gpus().then_some(given)),
        None if own_gpus::claims(spec, template, given).next().is_some() => {
            match (annotated, from_name) {
                (Some(gpus), _) => (gpus, GpusFrom::Annotation, None),
                (None, Some(gpus)) => (gpus, GpusFrom::Name, None),
                // The profile's number is not the claim's: at least one, unless it is for CPU runners.
                (None, None) => (profile.default_gpus().min(1), GpusFrom::Claim, None),
            }
        }
        _ => (wanted, from, None),
    };
    Ok(Selection { profile, gpus, gpus_from, gpus_overruled, kubernetes_mode, tie })
}

impl<'p> Selection<'p> {
    /// What the plan needs.
    pub fn selected(&self) -> Selected<'p> {
        let Self { profile, gpus, gpus_overruled, kubernetes_mode, .. } = *self;
        let template = profile.template(kubernetes_mode);
        Selected { name: &profile.name, digest: &profile.digest, template, gpus, gpus_overruled }
    }
}
