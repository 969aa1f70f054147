//! Each captured pod with the built-in profile: the whole answer, for people to read.

use arc_rocm::inject::Config;
use serde_json::{Value, json};

use crate::support::{ask, readable, review, rules, with_pod};

/// What is kept for one review: outcome, warnings, operations and the pod that results.
fn golden(review: &Value, rules: &Config) -> String {
    let answered = ask(review, rules);
    let again = ask(&with_pod(review, answered.pod.clone()), rules);
    assert_eq!(again.patch, json!([]), "a second pass must find nothing to do");
    let unchanged = answered.operations().is_empty();
    readable(&json!({
        "audit": answered.review.pointer("/response/auditAnnotations"),
        "warnings": answered.warnings(),
        "patch": answered.patch,
        "pod": if unchanged { json!("as it came") } else { answered.pod },
    }))
}

macro_rules! goldens {
    ($($name:ident: $file:literal,)+) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(golden(&review($file), &Config::default()));
        })+
    };
}

goldens! {
    a_plain_runner_becomes_the_seeds_pod: "plain",
    a_runner_of_the_experimental_chart_becomes_the_seeds_pod: "experimental-plain",
    a_runner_with_the_charts_dind_keeps_it: "dind",
    a_runner_with_the_experimental_charts_dind_keeps_it: "experimental-dind",
    a_runner_with_dind_as_an_ordinary_container_keeps_it: "dind-regular-container",
    what_the_author_wrote_stays: "author-overrides",
    a_kubernetes_mode_runner_is_left_alone: "kubernetes",
    a_kubernetes_novolume_runner_is_left_alone: "kubernetes-novolume",
    the_listener_is_left_alone: "listener",
    a_job_pod_is_left_alone: "workflow",
    an_impostor_is_left_alone: "impostor",
    an_impostors_dry_run_is_left_alone: "impostor-dry-run",
}

#[test]
fn kubernetes_mode_runners_get_resources_when_the_profile_says_so() {
    let rules = rules(
        "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {name: k8s}\n\
         spec: {extends: rocm, match: {}, kubernetesMode: Resources}\n",
    );
    insta::assert_snapshot!(golden(&review("kubernetes"), &rules));
}

#[test]
fn proxy_and_custom_ca_of_the_runner_reach_the_dind_that_is_added() {
    let mut review = review("author-overrides");
    let env = review.pointer_mut("/request/object/spec/containers/0/env").unwrap();
    env.as_array_mut().unwrap().retain(|env| env["name"] != "DOCKER_HOST");
    insta::assert_snapshot!(golden(&review, &Config::default()));
}
