//! `test`: suites of expectations about profiles.

use std::fs;

use tempfile::TempDir;

use crate::{Ran, fixture, run};

/// A folder with a profile and a suite of this text.
fn folder(suite: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let profile = "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {name: fleet}\n\
                   spec: {extends: rocm, match: {scaleSets: [\"a-{gpus}\", \"*gfx942*\"]}}\n";
    fs::write(folder.path().join("fleet.yaml"), profile).unwrap();
    fs::write(folder.path().join("fleet.test.yaml"), suite).unwrap();
    folder
}

fn test(folder: &TempDir, more: &[&str]) -> Ran {
    run(&[&["test", folder.path().to_str().unwrap()], more].concat(), "")
}

#[test]
fn suite_beside_its_profiles_passes() {
    let overrides = fixture("author-overrides.review.json");
    let folder = folder(&format!(
        "tests:\n- {{scaleSet: a-4, expect: {{profile: fleet, gpus: 4}}}}\n\
         - {{scaleSet: a-4, as: somebody, expect: {{skip: controller-user}}}}\n\
         - {{file: {overrides}, expect: {{conflicts: [dind-left-out, image-kept, field-kept, resource-kept]}}}}\n"
    ));
    let ran = test(&folder, &[]);
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (Some(0), "3 tests, 0 failed\n", "")
    );
    let checked = run(&["profiles", "check", folder.path().to_str().unwrap()], "");
    assert_eq!((checked.code, checked.out.as_str()), (Some(0), "1 profile, no problems\n"));
}

#[test]
fn unexpected_results_are_a_line_each() {
    let folder = folder(
        "tests:\n- name: all wrong\n  scaleSet: a-4\n  expect:\n    profile: x\n    gpus: 2\n    \
         skip: no-profile\n    conflicts: [env-kept]\n    fields:\n      spec.nodeSelector: null\n",
    );
    let report = folder.path().join("report.xml");
    let ran = test(&folder, &["--junit", report.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let lines: Vec<&str> = ran
        .out
        .lines()
        .map(|line| line.split_once("yaml:2: ").map_or(line, |(_, rest)| rest))
        .collect();
    assert_eq!(
        lines,
        [
            "all wrong: skip: expected no-profile, got profile fleet",
            "all wrong: profile: expected x, got fleet",
            "all wrong: gpus: expected 2, got 4",
            "all wrong: conflicts: expected env-kept, and there is none",
            r#"all wrong: spec.nodeSelector: expected null, got {"pytorch":"yes"}"#,
            "1 test, 1 failed",
        ]
    );
    let report = fs::read_to_string(report).unwrap();
    assert!(report.contains(r#"tests="1" failures="1""#), "{report}");
    assert!(report.contains("profile: expected x, got fleet\n"), "{report}");
}

#[test]
fn golden_pod_is_written_and_compared_by_meaning() {
    let folder = folder("tests: [{scaleSet: a-2, expect: {pod: golden/two.yaml}}]\n");
    let missing = test(&folder, &[]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.out.contains("arc-rocm test --update writes it"), "{}", missing.out);
    assert_eq!(test(&folder, &["--update"]).code, Some(0));
    assert_eq!(test(&folder, &[]).code, Some(0));
    let path = folder.path().join("golden/two.yaml");
    let golden = fs::read_to_string(&path).unwrap();
    fs::write(&path, golden.replace("cpu: 40000m", "cpu: 40")).unwrap();
    assert_eq!(test(&folder, &[]).code, Some(0));
    fs::write(&path, golden.replace("cpu: 40000m", "cpu: 41")).unwrap();
    let changed = test(&folder, &[]);
    assert!(changed.out.contains("requests[cpu]: 41 | 40000m\n"), "{}", changed.out);
}

#[test]
fn broken_suites_are_errors_with_their_place() {
    for (suite, says) in [
        ("tests: [{scaleSett: a, expect: {}}]\n", "unknown field `scaleSett`"),
        ("tests: [{expect: {}}]\n", "a test has scaleSet or file"),
        ("tests: [{scaleSet: a, file: b, expect: {}}]\n", "cannot read"),
        ("tests: [{file: none.yaml, expect: {}}]\n", "none.yaml"),
        ("profiles: [none]\ntests: []\n", "none"),
        ("tests: [\n", "fleet.test.yaml"),
    ] {
        let ran = test(&folder(suite), &[]);
        assert_eq!(ran.code, Some(2), "{suite}: {}", ran.out);
        assert!(ran.err.contains(says), "{suite}: {}", ran.err);
    }
    let empty = tempfile::tempdir().unwrap();
    let ran = test(&empty, &[]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("has no *.test.yaml file"), "{}", ran.err);
}
