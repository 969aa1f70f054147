//! Which form of a hand-written template gives the same pod: the short forms with the rest of it, or all of
//! it as it is. Each is tried on the way that a review takes.

use serde_json::{Map, Value, json};

use super::{
    Outcome, PROFILES, Written, factor,
    factor::Member,
    idioms::{self, Short},
    plain, secrets,
    secrets::TODO,
};
use crate::{
    admission::{self, Decision, decide, read},
    arc,
    compare::{Class, Difference, compare},
    inject::{ARC_CONTROLLER, Config, ControllerUsers, DEFAULT_CONTROLLER_USER, patch::applied},
    podspec::{
        Json, RUNNER, RunnerPod, all_containers, is_kubernetes_mode, resources::is_other_gpu,
    },
    profile::{File, Problem, ProfileSet, beyond, template::name_of},
};

/// Most fields of a pod that stay in the values: more than any pod has that a profile has not.
const MOST_FIELDS: usize = 20;

/// The profiles in force. Placeholders are taken for what a person will write.
pub(super) fn compile(documents: &[Value]) -> Result<ProfileSet, Vec<Problem>> {
    let texts: Vec<String> = documents.iter().map(filled_in).collect();
    let file = File { name: PROFILES.to_owned(), text: texts.join("\n---\n") };
    ProfileSet::compile(if documents.is_empty() { &[] } else { std::slice::from_ref(&file) })
}

/// A document with something valid in place of placeholders.
fn filled_in(document: &Value) -> String {
    let mut document = document.clone();
    let spec = document.get_mut("spec").and_then(Value::as_object_mut);
    if let Some(spec) = spec.filter(|spec| spec.get("groups") == Some(&json!([TODO]))) {
        spec.remove("groups");
    }
    document.to_string().replace(&format!("\"{TODO}\""), "\"todo\"")
}

/// Why a runner pod gets no profile.
pub(super) fn reason_to_keep(pod: &Value) -> Option<String> {
    let json = Json::of(pod);
    let runner_pod = RunnerPod::new(&json, "");
    let Some((_, runner)) = runner_pod.runner() else {
        return Some("no container is named runner".to_owned());
    };
    if is_kubernetes_mode(runner) {
        return Some("kubernetes mode: its jobs run in other pods".to_owned());
    }
    if runner_pod.is_windows() {
        return Some("it runs on Windows".to_owned());
    }
    let spec = runner_pod.spec()?;
    let mut resources = all_containers(spec).flat_map(|place| {
        let maps = ["limits", "requests"].map(|map| place.container.at(&["resources", map]));
        maps.into_iter().flatten().flat_map(Json::members)
    });
    resources
        .find(|(name, _)| is_other_gpu(name))
        .map(|(name, _)| format!("GPUs of another vendor ({name})"))
}

/// The short forms if they give the same pod, else the template as it is, else nothing.
pub(super) fn attempts(
    written: &Written,
    pod: &Value,
    template: &Value,
    groups: &[i64],
) -> Outcome {
    let (mut raw, mut kept) = (template.clone(), Value::Null);
    take_account(&mut raw, &written.name, &mut kept);
    let template = idioms::normalized(&raw);
    let (short, mut why) = match idioms::short(&template) {
        Ok(short) => (Some((short, false)), String::new()),
        Err(why) => (None, why),
    };
    let whole = Short { template, ..Short::default() };
    for (short, is_whole) in short.into_iter().chain([(whole, true)]) {
        let found = attempt(written, pod, &short, kept.clone(), groups).and_then(|found| {
            // A line that the start wrapper does not do, or that has a secret, is left to a person.
            let is_script =
                |one: &Difference| one.path == format!("spec.containers[{RUNNER}].command");
            let mut others = found.2.iter().filter(|one| one.class == Class::Different);
            match others.find(|one| !is_script(one)) {
                Some(other) if other.note.is_empty() => Err(other.to_string()),
                Some(other) => Err(format!("{}: {}", other.path, other.note)),
                None => Ok(found),
            }
        });
        match found {
            Ok((member, template, _)) => {
                let why = secrets::without_tokens(&why).unwrap_or(why);
                let whole = if is_whole { why } else { String::new() };
                return Outcome::Profile { member, template, whole };
            }
            // What the short forms lack says more than what the whole template does.
            Err(message) if !is_whole || why.is_empty() => why = message,
            Err(_) => {}
        }
    }
    Outcome::Kept(secrets::without_tokens(&why).unwrap_or(why))
}

/// The profile that short forms and the rest of the template give for one scale set, and the differences
/// of its runner.
fn attempt(
    written: &Written,
    pod: &Value,
    short: &Short,
    mut kept: Value,
    groups: &[i64],
) -> Result<(Member, Value, Vec<Difference>), String> {
    let mut template = short.template.clone();
    // Each field that a profile does not have stays in the values.
    for _ in 0..MOST_FIELDS {
        let values = plain::values(written, &kept);
        let set = written.set_of(&values)?;
        let plain = idioms::normalized(set.pointer("/spec/template").unwrap_or(&Value::Null));
        let mut spec = short.spec.clone();
        if !groups.is_empty() && spec.get("groups") == Some(&json!([TODO])) {
            spec.insert("groups".into(), json!(groups));
        }
        drop_image(&mut spec, &plain);
        let member = |spec: &Map<String, Value>| Member {
            name: written.name.clone(),
            namespace: written.namespace.clone(),
            spec: spec.clone(),
            gpus: short.gpus.clone(),
        };
        let rest = beyond(&plain, &template).unwrap_or_else(|| json!({}));
        let count = short.gpus.as_ref().map_or(0, |gpus| gpus.count);
        let given =
            compile(&factor::profiles(&[member(&spec)])).map_err(|problems| first(&problems))?;
        let given = given.iter().find(|profile| profile.matcher.is_some());
        let given = given.map(|profile| idioms::normalized(&profile.pod_template(count)));
        if let Some(rest) = beyond(&given.unwrap_or_default(), &rest) {
            idioms::lift(&mut spec, rest);
        }
        if spec.is_empty() {
            return Err("it is plain already".to_owned());
        }
        let member = member(&spec);
        match compile(&factor::profiles(std::slice::from_ref(&member))) {
            Ok(profiles) => {
                let patched = patched(&set, &written.namespace, &config(profiles)).pod;
                let differences = compare(&Json::of(pod), &Json::of(&patched));
                return Ok((member, kept, differences));
            }
            Err(problems) => {
                let moved = problems
                    .iter()
                    .any(|problem| move_field(&problem.path, &mut template, &mut kept));
                if !moved {
                    return Err(first(&problems));
                }
            }
        }
    }
    Err("too many fields that a profile does not have".to_owned())
}

/// The first problem, without its place: its text is written nowhere.
fn first(problems: &[Problem]) -> String {
    let Some(Problem { path, message, .. }) = problems.first() else { return String::new() };
    format!("{path}: {message}")
}

/// Takes the runner's image out of a spec where the plain values give the same.
fn drop_image(spec: &mut Map<String, Value>, plain: &Value) {
    let image = |runner: &Value| runner.get("image").cloned();
    let containers = plain.pointer("/spec/containers").and_then(Value::as_array);
    let mut runners = containers.into_iter().flatten().filter(|one| name_of(one) == RUNNER);
    if spec.get("runner").and_then(image) == runners.next().and_then(image) {
        spec.remove("runner");
    }
}

/// A service account of the scale set's own stays in the values: the API server gives a pod its token
/// before a webhook could.
fn take_account(template: &mut Value, name: &str, kept: &mut Value) {
    const FIELD: &str = "serviceAccountName";
    let Some(Value::Object(spec)) = template.get_mut("spec") else { return };
    if let Some(account) = spec.remove(FIELD)
        && account != format!("{}-gha-rs-no-permission", name.replace('_', "-"))
    {
        *kept = json!({"spec": {FIELD: account}});
    }
}

/// Moves the field of the pod that a problem of a profile is about to the values.
fn move_field(path: &str, template: &mut Value, kept: &mut Value) -> bool {
    let Some(field) = path.strip_prefix("spec.template.spec.") else { return false };
    let field = field.split(['.', '[']).next().unwrap_or_default();
    let Some(Value::Object(spec)) = template.get_mut("spec") else { return false };
    if ["containers", "initContainers", "volumes"].contains(&field) {
        return false;
    }
    let Some(value) = spec.remove(field) else { return false };
    if kept.is_null() {
        *kept = json!({"spec": {}});
    }
    if let Some(Value::Object(spec)) = kept.get_mut("spec") {
        spec.insert(field.to_owned(), value);
    }
    true
}

pub(super) fn config(profiles: ProfileSet) -> Config {
    let users = ControllerUsers::parse([DEFAULT_CONTROLLER_USER]).unwrap_or_default();
    Config::new(profiles, users)
}

/// A scale set's next runner as the webhook makes it.
pub(super) struct Patched {
    /// The profile and the number of GPUs; `None` where the pod is skipped.
    pub(super) profile: Option<(String, u32)>,
    pub(super) pod: Value,
    /// The codes of its conflicts, each once.
    pub(super) conflicts: Vec<&'static str>,
}

/// What the webhook makes of a scale set's next runner.
pub(super) fn patched(set: &Value, namespace: &str, config: &Config) -> Patched {
    let pod = arc::next_runner_pod(set);
    let review = admission::of_pod("import", &pod, namespace, ARC_CONTROLLER);
    let body = serde_json::to_vec(&review).unwrap_or_default();
    let decided = read(&body).ok().and_then(|request| match decide(&request, config) {
        Decision::Planned { selection, operations, conflicts } => {
            let profile = Some((selection.profile.name.clone(), selection.gpus));
            let mut conflicts: Vec<_> = conflicts.iter().map(|one| one.code.as_str()).collect();
            conflicts.sort_unstable();
            conflicts.dedup();
            Some(Patched { profile, pod: applied(&pod, &operations).ok()?, conflicts })
        }
        Decision::Skip(_) => None,
    });
    decided.unwrap_or(Patched { profile: None, pod, conflicts: Vec::new() })
}
