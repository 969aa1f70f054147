//! Properties of every pod with every profile.
//!
//! `ARC_ROCM_PROPTEST_CASES` sets the number of cases; the default is 256.

mod gpus;
mod kept;
mod reach;

use arc_rocm::{
    admission::{Outcome, answer},
    inject::Config,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    generate::{
        SECRET,
        api_server::{self, LimitRange},
        apply, foreign, pods, profiles, steps,
    },
    support::{Answered, ask, review, with_pod},
    validity,
};

pub(crate) fn proptest_config() -> ProptestConfig {
    let cases = std::env::var("ARC_ROCM_PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(256),
        max_global_rejects: 100_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn show(what: &str, review: &Value, answered: &Answered) -> String {
    format!(
        "{what}\npod: {:#}\npatch: {:#}\nwarnings: {:#?}",
        review["request"]["object"],
        answered.patch,
        answered.warnings()
    )
}

/// Checks that a patch only adds and replaces, only below spec, labels and annotations. Each
/// operation has an effect and a path of its own, and none replaces a whole list or container.
fn assert_minimal(pod: &Value, operations: &[Value]) -> Result<(), String> {
    let mut pod = pod.clone();
    let mut seen = std::collections::BTreeSet::new();
    for operation in operations {
        let (verb, path) = (&operation["op"], operation["path"].as_str().unwrap());
        let is_allowed = ["/spec/", "/metadata/labels", "/metadata/annotations"]
            .iter()
            .any(|prefix| path.starts_with(prefix));
        if !is_allowed {
            return Err(format!("{path} is outside spec, labels and annotations"));
        }
        let (parent, _) = path.rsplit_once('/').unwrap();
        let in_list = pod.pointer(parent).is_some_and(Value::is_array);
        let there = pod.pointer(path);
        let is_there = there.is_some_and(|there| !there.is_null()) && !in_list;
        if !(verb == "add" || (verb == "replace" && is_there)) {
            return Err(format!("{path}: {verb}"));
        }
        if !in_list && there == Some(&operation["value"]) {
            return Err(format!("{path} has no effect"));
        }
        if !in_list && !seen.insert(path) {
            return Err(format!("{path} twice"));
        }
        let holds_something = there.is_some_and(|there| match there {
            Value::Array(items) => !items.is_empty(),
            Value::Object(members) => !members.is_empty(),
            _ => false,
        });
        let is_command = path.ends_with("/command");
        if holds_something && !in_list && !is_command {
            return Err(format!("{path} replaces a whole list or object"));
        }
        let one: json_patch::Patch = serde_json::from_value(json!([operation])).unwrap();
        json_patch::patch(&mut pod, &one).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Checks that warnings are valid HTTP headers and that values of variables are only in the patch.
fn assert_no_secrets(review: &Value, config: &Config) -> Result<(), String> {
    let body = serde_json::to_vec(review).unwrap();
    let answer = answer(&body, config).unwrap();
    let mut whole: Value = serde_json::from_slice(&answer.body).unwrap();
    whole["response"].as_object_mut().unwrap().remove("patch");
    for text in [whole.to_string(), format!("{:?}", answer.record)] {
        if text.contains(SECRET) {
            return Err(format!("a secret in {text}"));
        }
    }
    let warnings = whole["response"]["warnings"].as_array().cloned().unwrap_or_default();
    for warning in &warnings {
        let text = warning.as_str().unwrap();
        if text.len() > 256 || !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return Err(format!("warning {text:?}"));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(proptest_config())]

    /// One test checks all properties of one answer, because compiling the profile takes most time.
    #[test]
    fn patch_keeps_own_values_and_valid_pod(
        pod in pods::cases(),
        profile in profiles::cases(),
        foreign in steps(foreign::TABLE, 4),
        limit_range in any::<u64>().prop_map(LimitRange::new),
    ) {
        let review = pod.review();
        let configs = profile.configs();
        prop_assume!(configs.is_some());
        let (config, other) = configs.unwrap();
        let answered = ask(&review, &config);
        let before = &review["request"]["object"];
        let show = |what: &str| show(what, &review, &answered);

        let minimal = assert_minimal(before, answered.operations());
        prop_assert!(minimal.is_ok(), "{}", show(&minimal.unwrap_err()));
        let kept = kept::compare(before, &answered.pod);
        prop_assert!(kept.is_ok(), "{}", show(&kept.unwrap_err()));
        let gpus = gpus::check(before, &answered.pod);
        prop_assert!(gpus.is_ok(), "{}", show(&gpus.unwrap_err()));
        let no_secrets = assert_no_secrets(&review, &config);
        prop_assert!(no_secrets.is_ok(), "{}", show(&no_secrets.unwrap_err()));

        // What is wrong with a skipped pod stays.
        let is_skipped = answered.review["response"]["auditAnnotations"]["outcome"] == "skipped";
        if !is_skipped && is_repairable(&validity::problems(before)) {
            let mut problems = validity::problems(&answered.pod);
            problems.extend(validity::priority_problem(before, &answered.pod));
            prop_assert!(problems.is_empty(), "{}", show(&format!("{problems:#?}")));
        }

        let again = with_pod(&review, answered.pod.clone());
        let second = ask(&again, &config);
        prop_assert!(second.operations().is_empty(), "second pass: {:#}\n{}", second.patch, show(""));

        let defaulted = with_pod(&review, api_server::again(&answered.pod));
        let reinvoked = ask(&defaulted, &config);
        prop_assert!(
            reinvoked.operations().is_empty(),
            "after the API server's defaults: {:#}\n{}",
            reinvoked.patch,
            show("")
        );

        // Its plugin runs before both passes, and the second time for the containers added.
        let mut filled = before.clone();
        limit_range.fill(&mut filled);
        let is_refused = limit_range.refusal(&filled).is_some();
        if !is_skipped && !is_refused && is_repairable(&validity::problems(&filled)) {
            // Where the scale set says all, the webhook sees nothing of a `min`, and with resources
            // of the pod's own the defaults are cut.
            let sees_min = limit_range.has_filled(&filled) && before["spec"]["resources"].is_null();
            let mut pod = api_server::again(&ask(&with_pod(&review, filled), &config).pod);
            limit_range.fill(&mut pod);
            let filled = with_pod(&review, pod);
            let fitted = ask(&filled, &config);
            let mut problems = validity::problems(&fitted.pod);
            // The plugin's own note may be what does not fit.
            problems.retain(|problem| !problem.starts_with("annotations"));
            problems.extend(limit_range.refusal(&fitted.pod).filter(|_| sees_min));
            let show = |what: &str| self::show(what, &filled, &fitted);
            prop_assert!(problems.is_empty(), "{limit_range:?} {}", show(&format!("{problems:#?}")));
            let last = ask(&with_pod(&review, fitted.pod.clone()), &config);
            prop_assert!(last.operations().is_empty(), "{:#} {}", last.patch, show(""));
        }

        // In a rollout of `scripts.image`, a replica of the other mode may get the second call.
        let switched = ask(&again, &other);
        let kept = kept::compare(before, &switched.pod);
        prop_assert!(kept.is_ok(), "{} {}", kept.unwrap_err(), self::show("", &again, &switched));
        if !is_skipped && is_repairable(&validity::problems(before)) {
            let problems = validity::problems(&switched.pod);
            let show = |what: &str| self::show(what, &again, &switched);
            prop_assert!(problems.is_empty(), "{}", show(&format!("{problems:#?}")));
        }
        let last = ask(&with_pod(&review, switched.pod.clone()), &other);
        prop_assert!(last.operations().is_empty(), "{:#} {}", last.patch, show(""));

        let touched = with_pod(&review, apply(answered.pod.clone(), &foreign));
        let repaired = ask(&touched, &config);
        let last = ask(&with_pod(&review, repaired.pod.clone()), &config);
        prop_assert!(
            last.operations().is_empty(),
            "after a foreign change {foreign:?}: {:#}\n{}",
            last.patch,
            self::show("", &touched, &repaired)
        );
    }

    /// A policy that fills in what is unset, after the webhook and before its second call, leaves a
    /// valid pod wherever it does so without the webhook.
    #[test]
    fn filled_pod_is_valid_after_second_call(
        pod in pods::cases(),
        profile in profiles::cases(),
        seed in any::<u64>(),
    ) {
        let review = pod.review();
        let config = profile.config();
        prop_assume!(config.is_some());
        let config = config.unwrap();
        let filled = |pod: &Value| {
            let mut pod = api_server::again(pod);
            foreign::fill(&mut pod, seed);
            api_server::again(&pod)
        };
        let before = &review["request"]["object"];
        prop_assume!(validity::problems(&filled(before)).is_empty());
        let answered = ask(&review, &config);
        // The profile wants every container to be root, and the policy that none is.
        prop_assume!(answered.pod["spec"]["securityContext"]["runAsUser"] != 0);
        let touched = with_pod(&review, filled(&answered.pod));
        let repaired = ask(&touched, &config);
        let problems = validity::problems(&repaired.pod);
        prop_assert!(problems.is_empty(), "{}", show(&format!("{problems:#?}"), &touched, &repaired));
        let last = ask(&with_pod(&review, api_server::again(&repaired.pod)), &config);
        prop_assert!(
            last.operations().is_empty(),
            "third call: {:#}\n{}",
            last.patch,
            show("", &touched, &repaired)
        );
    }

    #[test]
    fn review_of_random_bytes_is_unreadable(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(answer(&bytes, builtin()).is_err());
    }

    #[test]
    fn review_cut_or_changed_is_answered_or_unreadable(
        at in any::<prop::sample::Index>(),
        byte in prop::option::of(any::<u8>()),
    ) {
        let mut bytes = serde_json::to_vec(&review("plain")).unwrap();
        let at = at.index(bytes.len());
        match byte {
            Some(byte) => bytes[at] = byte,
            None => bytes.truncate(at),
        }
        if let Ok(answer) = answer(&bytes, builtin()) {
            let answered: Value = serde_json::from_slice(&answer.body).unwrap();
            prop_assert_eq!(&answered["response"]["allowed"], &json!(true));
        }
    }

    #[test]
    fn review_of_any_json_gets_no_patch(object in json_value()) {
        let review = with_pod(&review("plain"), object);
        let answered = ask(&review, builtin());
        prop_assert!(answered.operations().is_empty());
    }

    /// A pod that no API server would send gets an answer too, with a patch that applies.
    #[test]
    fn pod_with_random_values_is_answered(
        pod in pods::cases(),
        changes in prop::collection::vec((any::<u64>(), json_value()), 1..4),
    ) {
        let mut review = pod.review();
        for (at, value) in changes {
            let paths = pointers(&review["request"]["object"]);
            let index = usize::try_from(at % u64::try_from(paths.len()).unwrap()).unwrap();
            *review["request"]["object"].pointer_mut(&paths[index]).unwrap() = value;
        }
        let answered = ask(&review, builtin());
        let no_secrets = assert_no_secrets(&review, builtin());
        prop_assert!(no_secrets.is_ok(), "{}", show(&no_secrets.unwrap_err(), &review, &answered));
    }
}

/// Whether the plan repairs all problems of a pod.
fn is_repairable(problems: &[String]) -> bool {
    let is_repaired =
        |problem: &String| validity::REPAIRED.iter().any(|part| problem.contains(part));
    problems.iter().all(is_repaired)
}

fn builtin() -> &'static Config {
    static CONFIG: std::sync::OnceLock<Config> = std::sync::OnceLock::new();
    CONFIG.get_or_init(Config::default)
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(json!("runner")),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        let key = prop_oneof![".{0,4}", Just("name".to_owned()), Just("spec".to_owned())];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4)
                .prop_map(|all| { Value::Object(all.into_iter().collect()) }),
        ]
    })
}

/// The JSON pointer of each value below `value`, without labels and owner, which make the pod a
/// runner.
fn pointers(value: &Value) -> Vec<String> {
    fn walk(value: &Value, path: &str, found: &mut Vec<String>) {
        let children: Vec<(String, &Value)> = match value {
            Value::Array(items) => {
                items.iter().enumerate().map(|(i, item)| (i.to_string(), item)).collect()
            }
            Value::Object(members) => members
                .iter()
                .map(|(key, item)| (key.replace('~', "~0").replace('/', "~1"), item))
                .collect(),
            _ => return,
        };
        for (token, child) in children {
            let path = format!("{path}/{token}");
            walk(child, &path, found);
            found.push(path);
        }
    }
    let mut found = Vec::new();
    walk(&value["spec"], "/spec", &mut found);
    walk(&value["metadata"]["annotations"], "/metadata/annotations", &mut found);
    if found.is_empty() {
        found.push("/status".to_owned());
    }
    found
}

#[test]
fn patch_is_base64_of_json() {
    let body = serde_json::to_vec(&review("plain")).unwrap();
    let answer = answer(&body, builtin()).unwrap();
    assert_eq!(answer.record.outcome, Outcome::Patched);
    let whole: Value = serde_json::from_slice(&answer.body).unwrap();
    let patch = BASE64_STANDARD.decode(whole["response"]["patch"].as_str().unwrap()).unwrap();
    let patch: Vec<Value> = serde_json::from_slice(&patch).unwrap();
    assert_eq!(patch.len(), answer.record.operations);
}
