//! The next runner pod of each scale set, and what the webhook will do with it.

use std::collections::BTreeMap;

use kube::ResourceExt;
use serde_json::{Value, to_value};

use super::{
    deployment,
    facts::{Facts, full_name},
};
use crate::{
    admission::{Decision, Request, decide, of_pod, read, subject},
    arc::next_runner_pod,
    inject::{ARC_CONTROLLER, Config, ControllerUsers, GpusFrom, Skip, patch::applied},
    profile::{DepthLimited, File, Object, ProfileSet, Resolved, resolve, status},
};

/// The label with the scale set's name.
const SCALE_SET: &str = "actions.github.com/scale-set-name";

/// What the webhook does with a pod.
#[derive(Clone, Debug)]
pub(super) struct Injected {
    pub(super) profile: String,
    /// The GPUs, if their number comes from the scale set's name.
    pub(super) gpus_by_name: Option<u32>,
    /// The pod with the patch.
    pub(super) pod: Value,
}

/// A scale set with the result for its next runner.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) namespace: String,
    /// `NAMESPACE/NAME`.
    pub(super) name: String,
    pub(super) outcome: Result<Injected, Skip>,
    /// Whether the built-in profile alone would be for it, by its name or its request of GPUs.
    pub(super) wants_rocm: bool,
}

/// All scale sets, evaluated with the webhook's profiles.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) config: Config,
    /// Why the files do not compile. The built-in profiles then replace them.
    pub(super) problems: Vec<String>,
    /// The objects that are left out, each with the reason.
    pub(super) rejected: BTreeMap<String, String>,
    /// Whether the profiles could be read and compiled.
    pub(super) known: bool,
    pub(super) all: Vec<Sample>,
}

impl Samples {
    pub(super) fn of(facts: &Facts) -> Self {
        let mut rejected = BTreeMap::new();
        let mut objects = Vec::new();
        for object in facts.profiles.iter().flatten().filter(|_| watches(facts)) {
            let conditions = object.status.iter().flat_map(|status| &status.conditions);
            let refusal = conditions
                .filter(|one| one.type_ == status::ACCEPTED && one.status == "False")
                .map(|one| one.message.clone())
                .next();
            let (name, uid) = (object.name_any(), object.uid().unwrap_or_default());
            if let Some(refusal) = refusal {
                rejected.insert(name, refusal);
            } else {
                let DepthLimited(spec) = object.spec.clone();
                objects.push(Object { name, uid, generation: 0, spec });
            }
        }
        // An object that is left out counts as one: the built-in profiles are then used by name.
        let has_rejected = !rejected.is_empty();
        let (profiles, problems) = match resolve(&files(facts), &objects) {
            Ok(Resolved { profiles, refused }) => {
                for (name, problems) in refused {
                    let all: Vec<String> = problems.iter().map(status::line).collect();
                    rejected.entry(name).or_insert_with(|| all.join("; "));
                }
                (profiles, Vec::new())
            }
            Err(problems) => {
                (ProfileSet::builtin(), problems.iter().map(ToString::to_string).collect())
            }
        };
        let profiles = if has_rejected { profiles.builtin_by_name() } else { profiles };
        let image = facts.deployment().map(|one| deployment::flag(one, "scripts-image"));
        let profiles = profiles.with_scripts_image(image.into_iter().flatten().next());
        let config = Config::new(profiles, ControllerUsers::default());
        let known = problems.is_empty() && facts.profiles.is_ok() && facts.config_map.is_ok();
        let all = pods(facts).into_iter().map(|(name, (namespace, pod))| Sample {
            outcome: inject(&pod, &namespace, &config),
            wants_rocm: profile_of(&pod, &namespace, &Config::default()).is_ok(),
            namespace,
            name,
        });
        Self { all: all.collect(), config, problems, rejected, known }
    }

    /// The scale sets that the webhook is for; none if the profiles are not known.
    pub(super) fn injected(&self) -> impl Iterator<Item = (&Sample, &Injected)> {
        let all = self.all.iter().filter(|_| self.known);
        all.filter_map(|sample| Some((sample, sample.outcome.as_ref().ok()?)))
    }
}

/// The profiles' files, as the webhook reads a directory (`cli::config`).
fn files(facts: &Facts) -> Vec<File> {
    let data = facts.config_map.iter().flatten().filter_map(|map| map.data.as_ref());
    data.flatten()
        .filter(|(name, _)| File::is_name(name))
        .map(|(name, text)| File { name: name.clone(), text: text.clone() })
        .collect()
}

/// Whether the webhook watches the objects; true if its flags are not known.
pub(super) fn watches(facts: &Facts) -> bool {
    let flag = |deployment| deployment::flag(deployment, "watch-profiles");
    facts.deployment().is_none_or(|one| flag(one).first().is_some_and(|value| *value != "false"))
}

/// A pod for each scale set, by `NAMESPACE/NAME` and with its namespace: from its template, or or an
/// existing one.
pub(super) fn pods(facts: &Facts) -> BTreeMap<String, (String, Value)> {
    let mut pods = BTreeMap::new();
    for set in facts.scale_sets.iter().flatten() {
        let pod = to_value(set).map(|set| next_runner_pod(&set)).unwrap_or_default();
        pods.insert(full_name(set), (set.namespace().unwrap_or_default(), pod));
    }
    for pod in facts.runner_pods.iter().flatten() {
        let Some(set) = pod.labels().get(SCALE_SET) else { continue };
        let namespace = pod.namespace().unwrap_or_default();
        pods.entry(format!("{namespace}/{set}"))
            .or_insert_with(|| (namespace, to_value(pod).unwrap_or_default()));
    }
    pods
}

/// The review of a pod as if ARC's controller created it: another check compares the controller's user.
fn review(pod: &Value, namespace: &str) -> String {
    of_pod("doctor", pod, namespace, ARC_CONTROLLER).to_string()
}

fn request(body: &str) -> Result<Request<'_>, Skip> {
    // An unreadable review is no pod.
    read(body.as_bytes()).map_err(|_| Skip::NotAPod)
}

/// Injects a pod.
fn inject(pod: &Value, namespace: &str, config: &Config) -> Result<Injected, Skip> {
    let body = review(pod, namespace);
    match decide(&request(&body)?, config) {
        Decision::Skip(skip) => Err(skip),
        Decision::Planned { selection, operations, .. } => {
            let pod = applied(pod, &operations).map_err(|_| Skip::NotAPod)?;
            let by_name = selection.gpus_from == GpusFrom::Name;
            Ok(Injected {
                profile: selection.profile.name.clone(),
                gpus_by_name: by_name.then_some(selection.gpus),
                pod,
            })
        }
    }
}

/// The profile for a pod: its name and digest.
pub(super) fn profile_of(
    pod: &Value,
    namespace: &str,
    config: &Config,
) -> Result<(String, String), Skip> {
    let body = review(pod, namespace);
    let request = request(&body)?;
    let profile = subject(&request, config)?.selection.profile;
    Ok((profile.name.clone(), profile.digest.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::testing::{healthy, profile_object};

    fn captured(stem: &str) -> Value {
        let path = format!(
            "{}/tests/fixtures/arc/objects/autoscalingrunnerset.{stem}.json",
            env!("CARGO_MANIFEST_DIR")
        );
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn captured_scale_set_and_its_pod_get_the_same_profile() {
        let config = Config::default();
        for stem in ["plain", "dind", "kubernetes", "author-overrides", "experimental-plain"] {
            let path = format!("{}/tests/fixtures/arc/{stem}.pod.json", env!("CARGO_MANIFEST_DIR"));
            let pod: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            let by_pod = inject(&pod, "arc-runners", &config);
            let by_set = inject(&next_runner_pod(&captured(stem)), "arc-runners", &config);
            match (by_pod, by_set) {
                (Ok(pod), Ok(set)) => {
                    assert_eq!(
                        (pod.profile, pod.gpus_by_name),
                        (set.profile, set.gpus_by_name),
                        "{stem}"
                    );
                    let selector = |pod: &Value| pod["spec"]["nodeSelector"].clone();
                    assert_eq!(selector(&pod.pod), selector(&set.pod), "{stem}");
                }
                (pod, set) => assert_eq!(pod.unwrap_err(), set.unwrap_err(), "{stem}"),
            }
        }
    }

    #[test]
    fn ephemeral_runner_metadata_reaches_the_pod() {
        let inject = |set: &Value| inject(&next_runner_pod(set), "n", &Config::default());
        let mut set = captured("plain");
        set["spec"]["ephemeralRunnerMetadata"] = json!({"annotations": {"arc-rocm.dev/gpus": "7"}});
        let pod = inject(&set).unwrap().pod;
        assert_eq!(pod["spec"]["containers"][0]["resources"]["limits"]["amd.com/gpu"], "7");
        set["spec"]["template"]["metadata"] = json!({"labels": {"arc-rocm.dev/inject": "false"}});
        assert_eq!(inject(&set).unwrap_err(), Skip::OptedOut);
    }

    #[test]
    fn rejected_object_is_left_out_and_counts() {
        let samples = |accepted: Option<&str>| {
            let object = profile_object("fleet", &json!({"extends": "rocm"}), accepted);
            let facts = Facts {
                profiles: Ok(vec![object]),
                config_map: Ok(None),
                deployment: Ok(None),
                ..healthy()
            };
            Samples::of(&facts)
        };
        for accepted in [Some("True"), None] {
            let samples = samples(accepted);
            assert!(samples.rejected.is_empty() && samples.config.profiles.get("fleet").is_some());
        }
        let samples = samples(Some("False"));
        assert!(samples.config.profiles.get("fleet").is_none());
        assert_eq!(samples.rejected["fleet"], "spec.x: no such field");
        // Once an object exists, the built-in profile is only for pods that name it.
        assert_eq!(samples.all[0].outcome.as_ref().unwrap_err(), &Skip::NoProfile);
        assert!(samples.all[0].wants_rocm);
    }

    #[test]
    fn bad_object_without_a_status_is_rejected_here() {
        let object = profile_object("bad", &json!({"groups": ["x"]}), None);
        let facts = Facts { profiles: Ok(vec![object]), deployment: Ok(None), ..healthy() };
        let rejected = Samples::of(&facts).rejected;
        assert!(rejected["bad"].starts_with("spec.groups"), "{rejected:?}");
    }
}
