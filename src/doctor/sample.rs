//! The next runner pod of each scale set, and what the webhook will do with it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Facts, deployment,
    facts::{found, text, texts},
};
use crate::{
    admission::{of_pod, read, subject},
    inject::{ARC_CONTROLLER, Config, ControllerUsers, GpusFrom, Selection, Skip},
    podspec::scale_set::runner_pod,
    profile::{BUILTIN, File, ProfileSet, status::ACCEPTED},
};

const SCALE_SET: &str = "actions.github.com/scale-set-name";

/// What the webhook does with a pod.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub(super) profile: String,
    pub(super) gpus: u32,
    pub(super) resource: String,
    /// Whether the number of GPUs comes from the scale set's name.
    pub(super) by_name: bool,
    pub(super) node_selector: BTreeMap<String, String>,
}

/// A scale set with the result for its next runner.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) outcome: Result<Resolved, Skip>,
}

/// All scale sets, evaluated with the webhook's profiles.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) config: Config,
    /// Why the profiles do not compile. The built-in profile then replaces them.
    pub(super) problems: Vec<String>,
    /// Whether the profiles could be read.
    pub(super) known: bool,
    pub(super) all: Vec<Sample>,
}

impl Samples {
    pub(super) fn of(facts: &Facts) -> Self {
        let objects = objects(facts);
        let files = files(facts, objects);
        let (profiles, problems) = match ProfileSet::compile(&files) {
            Ok(profiles) => (profiles, Vec::new()),
            Err(problems) => {
                (ProfileSet::builtin(), problems.iter().map(ToString::to_string).collect())
            }
        };
        // If there are objects, accepted or not, the built-in profile is only used by name.
        let profiles = if !objects.is_empty() && files.is_empty() {
            profiles.builtin_by_name()
        } else {
            profiles
        };
        let config = Config::new(profiles, ControllerUsers::default());
        let known = problems.is_empty() && facts.profiles.is_ok() && facts.config_map.is_ok();
        let all = pods(facts)
            .into_iter()
            .map(|((namespace, name), pod)| {
                let outcome = evaluate(&pod, &namespace, &config);
                Sample { namespace, name, outcome }
            })
            .collect();
        Self { config, problems, known, all }
    }
}

/// The objects that the webhook watches.
fn objects(facts: &Facts) -> &[Value] {
    match &facts.profiles {
        Ok(Some(all)) if watched(facts) => &all.items,
        _ => &[],
    }
}

/// The profiles in force, as files: the `ConfigMap`'s and the accepted objects.
fn files(facts: &Facts, objects: &[Value]) -> Vec<File> {
    let mut files = Vec::new();
    for (name, text) in facts.config_map.iter().flatten().flatten() {
        // As the webhook reads a directory (cli::config).
        if [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending)) {
            files.push(File { name: name.clone(), text: text.clone() });
        }
    }
    for object in objects {
        let name = text(object, "/metadata/name");
        if let (None, Some(spec)) = (rejection(object), object.get("spec")) {
            let kept = json!({
                "apiVersion": object.get("apiVersion"),
                "kind": "RunnerProfile",
                "metadata": {"name": name},
                "spec": spec,
            });
            files.push(File { name: format!("runnerprofile/{name}"), text: kept.to_string() });
        }
    }
    files
}

/// Why an object is not accepted, from its status.
pub(super) fn rejection(profile: &Value) -> Option<&str> {
    let accepted = super::facts::list(profile, "/status/conditions")
        .find(|condition| text(condition, "/type") == ACCEPTED)?;
    (text(accepted, "/status") == "False").then(|| text(accepted, "/message"))
}

/// Whether the webhook watches the objects; true if its flags are not known.
pub(super) fn watched(facts: &Facts) -> bool {
    let deployment = found(&facts.deployment);
    deployment.is_none_or(|deployment| {
        deployment::flag(deployment, "watch-profiles")
            .first()
            .is_some_and(|value| *value != "false")
    })
}

/// A pod for each scale set, by namespace and name: from its template, or an existing one.
fn pods(facts: &Facts) -> BTreeMap<(String, String), Value> {
    let mut pods = BTreeMap::new();
    if let Ok(Some(sets)) = &facts.scale_sets {
        for set in &sets.items {
            let at = |pointer| text(set, pointer).to_owned();
            pods.insert((at("/metadata/namespace"), at("/metadata/name")), runner_pod(set));
        }
        return pods;
    }
    for pod in facts.runners.iter().flat_map(|listed| &listed.items) {
        let labels = texts(pod, "/metadata/labels");
        let Some(name) = labels.get(SCALE_SET) else { continue };
        let namespace = text(pod, "/metadata/namespace").to_owned();
        pods.entry((namespace, name.clone())).or_insert_with(|| pod.clone());
    }
    pods
}

/// Evaluates a pod as if ARC's controller created it.
pub(super) fn evaluate(pod: &Value, namespace: &str, config: &Config) -> Result<Resolved, Skip> {
    // Another check compares the controller's user.
    let body = of_pod("doctor", pod, namespace, ARC_CONTROLLER).to_string();
    // An unreadable review is no pod.
    let request = read(body.as_bytes()).map_err(|_| Skip::NotAPod)?;
    let Selection { profile, gpus, gpus_from, .. } = subject(&request, config)?.selection;
    let template = profile.pod_template(gpus);
    let mut node_selector = texts(&template, "/spec/nodeSelector");
    // The scale set's template wins.
    node_selector.extend(texts(pod, "/spec/nodeSelector"));
    Ok(Resolved {
        profile: profile.name.clone(),
        gpus,
        resource: profile.gpu_resource().to_owned(),
        by_name: gpus_from == GpusFrom::Name,
        node_selector,
    })
}

impl Resolved {
    pub(super) fn is_built_in(&self) -> bool {
        self.profile == BUILTIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{facts::Listed, testing::healthy};

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
            let by_pod = evaluate(&pod, "arc-runners", &config);
            let by_set = evaluate(&runner_pod(&captured(stem)), "arc-runners", &config);
            match (by_pod, by_set) {
                (Ok(pod), Ok(set)) => {
                    assert_eq!(
                        (pod.profile, pod.gpus, pod.node_selector),
                        (set.profile, set.gpus, set.node_selector),
                        "{stem}"
                    );
                }
                (pod, set) => assert_eq!(pod.unwrap_err(), set.unwrap_err(), "{stem}"),
            }
        }
    }

    #[test]
    fn ephemeral_runner_metadata_reaches_the_pod() {
        let mut set = captured("plain");
        set["spec"]["ephemeralRunnerMetadata"] = json!({"annotations": {"arc-rocm.dev/gpus": "7"}});
        assert_eq!(evaluate(&runner_pod(&set), "n", &Config::default()).unwrap().gpus, 7);
        set["spec"]["template"]["metadata"] = json!({"labels": {"arc-rocm.dev/inject": "false"}});
        let skip = evaluate(&runner_pod(&set), "n", &Config::default()).unwrap_err();
        assert_eq!(skip, Skip::OptedOut);
    }

    #[test]
    fn refused_object_is_left_out() {
        let names = |accepted: Option<&str>| {
            let condition = accepted.map(|status| json!({"type": "Accepted", "status": status}));
            let object = json!({
                "apiVersion": "arc-rocm.dev/v1alpha1",
                "metadata": {"name": "fleet"},
                "spec": {"groups": [1]},
                "status": {"conditions": condition.into_iter().collect::<Vec<_>>()},
            });
            let listed = Listed { items: vec![object], cut: false };
            let facts = Facts { profiles: Ok(Some(listed)), deployment: Ok(None), ..healthy() };
            let files = files(&facts, objects(&facts));
            files.iter().any(|file| file.name == "runnerprofile/fleet")
        };
        assert!(names(Some("True")) && names(None));
        assert!(!names(Some("False")));
    }
}
