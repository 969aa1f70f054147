use serde_json::json;

use crate::{
    podspec::{Bounded, RunnerPod},
    profile::{File, Match, ProfileSet},
};

const NAMES: &str = include_str!("../../../tests/fixtures/scale-set-names.tsv");

fn compiled(profiles: &[(&str, &str)]) -> Result<ProfileSet, Vec<String>> {
    let documents = profiles.iter().map(|(name, spec)| {
        format!(
            "---\napiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: \
             {name}}}\nspec: {spec}\n"
        )
    });
    let file = File { name: "p".to_owned(), text: documents.collect() };
    ProfileSet::compile(&[file])
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// Whether `profile` matches a runner of the scale set `name` that asks for `gpus`.
fn matches(set: &ProfileSet, profile: &str, name: &str, gpus: Option<u32>) -> Match {
    let limits = gpus.map_or_else(|| json!({}), |gpus| json!({"amd.com/gpu": gpus.to_string()}));
    let pod = json!({
        "metadata": {"annotations": {"actions.github.com/runner-scale-set-name": name}},
        "spec": {"containers": [{"name": "runner", "resources": {"limits": limits}}]},
    })
    .to_string();
    let pod = serde_json::from_str::<Bounded<'_>>(&pod).unwrap().0.unwrap();
    set.get(profile).unwrap().matches(&RunnerPod::new(&pod, "n"))
}

fn number(set: &ProfileSet, profile: &str, name: &str) -> Option<u32> {
    match matches(set, profile, name, None) {
        Match::Yes { gpus } => gpus,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn exact_name_keeps_base_pattern_count() {
    let set = compiled(&[
        ("exact", "{extends: rocm, match: {scaleSets: [linux.rocm.gpu.mi300.4]}}"),
        ("pool", "{extends: rocm, match: {scaleSets: ['pool-x{gpus}-*']}, gpu: {count: 8}}"),
        ("member", "{extends: pool, match: {scaleSets: [pool-x2-a, pool-b]}}"),
        ("other", "{extends: rocm, match: {scaleSets: ['*.mi300.{gpus}', 'a-mi300-2gpu']}}"),
    ])
    .unwrap();
    assert_eq!(number(&set, "exact", "linux.rocm.gpu.mi300.4"), Some(4));
    assert_eq!(number(&set, "member", "pool-x2-a"), Some(2));
    assert_eq!(number(&set, "member", "pool-b"), None);
    assert_eq!(number(&set, "other", "x.mi300.8"), Some(8));
    assert_eq!(number(&set, "other", "a-mi300-2gpu"), Some(2));
}

#[test]
fn number_that_nothing_uses_is_refused() {
    let problems = compiled(&[
        ("unused", "{extends: base, match: {scaleSets: [a-*, 'b-{gpus}']}}"),
        ("used", "{extends: base, match: {scaleSets: ['c-{gpus}']}, gpu: {}}"),
    ])
    .unwrap_err();
    let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
    assert!(problem.contains("scaleSets[1]: the profile gives no GPUs"), "{problem}");
}

#[test]
fn written_count_precedes_base_patterns() {
    let set = compiled(&[(
        "exact",
        "{extends: rocm, match: {scaleSets: [linux.rocm.gpu.mi300.4]}, gpu: {count: 1}}",
    )])
    .unwrap();
    assert_eq!(number(&set, "exact", "linux.rocm.gpu.mi300.4"), None);
    assert_eq!(set.get("exact").unwrap().default_gpus(), 1);
}

#[test]
fn unread_number_needs_a_count() {
    let pool = ("pool", "{extends: base, gpu: {count: 2}}");
    let with = |spec: &str| compiled(&[pool, ("a", spec)]).err().unwrap_or_default();
    for (name, gpus) in [
        ("gpu-runner-4", "4 GPUs"),
        ("gpu.4.test", "4 GPUs"),
        ("x-1gpu-y", "1 GPU"),
        ("'pool-8-*'", "8 GPUs"),
    ] {
        let spec = format!("{{extends: pool, match: {{scaleSets: [{name}]}}}}");
        assert_eq!(
            with(&spec),
            [format!(
                "p:10:43: spec.match.scaleSets[0]: the name seems to say {gpus}, and gpu.count is \
                 2 here; write {{gpus}} in place of the number, or gpu.count"
            )]
        );
        assert!(with(&spec.replace("extends: pool", "extends: base")).is_empty(), "{name}");
        let count = spec.replace("extends: pool", "extends: pool, gpu: {count: 2}");
        assert!(with(&count).is_empty(), "{name}");
    }
    for name in ["gpu-runner-2", "mi300", "linux-x86-64", "gfx942", "v4", "noble"] {
        let spec = format!("{{extends: pool, match: {{scaleSets: [{name}]}}}}");
        assert_eq!(with(&spec), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn gpu_limit_of_runner_is_the_count() {
    let set = compiled(&[
        ("pool", "{extends: base, gpu: {count: 2}}"),
        (
            "a",
            "{extends: pool, match: {scaleSets: [x-8]}, runner: {resources: {limits: \
             {amd.com/gpu: 4}}}}",
        ),
    ]);
    assert!(set.is_ok(), "{set:?}");
}

#[test]
fn builtin_profile_matches_rocm_names() {
    let set = ProfileSet::builtin();
    let is_match = |name, gpus| matches!(matches(&set, "rocm", name, gpus), Match::Yes { .. });
    for name in ["linux.rocm.gpu.2", "amd-gfx942", "x-mi210", "linux-mi35x-gpu-8.fabric"] {
        assert!(is_match(name, None), "{name}");
    }
    for name in ["linux-amd64", "build-only-aiter", "linux-x86-64-1gpu-amd", "shark41-rdna4", ""] {
        assert!(!is_match(name, None), "{name}");
        assert!(is_match(name, Some(1)), "{name}");
        assert!(!is_match(name, Some(0)), "{name}");
    }
    assert_eq!(matches(&set, "base", "linux.rocm.gpu.2", None), Match::OnlyByName);
}

#[test]
fn builtin_profile_reads_no_wrong_gpu_count() {
    let set = ProfileSet::builtin();
    let mut read = 0;
    for line in NAMES.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let [name, expected, _] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        if let Match::Yes { gpus: Some(gpus) } = matches(&set, "rocm", name, None) {
            assert_eq!(gpus.to_string(), expected, "{name}");
            read += 1;
        } else {
            // The built-in profile's own count is 2, so it must read a higher number from the name.
            assert!(["1", "-"].contains(&expected) || !name.contains("rocm"), "{name}");
        }
    }
    assert!(read > 80, "{read}");
}
