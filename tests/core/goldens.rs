//! Each captured pod with the built-in profile: the whole answer as a readable snapshot.

use arc_rocm::inject::Config;
use serde_json::{Value, json};

use crate::{
    scripts_image::with_image,
    support::{ask_twice, config, readable, review},
};

/// The snapshot of one review: outcome, warnings, operations and the pod that results.
fn golden(review: &Value, config: &Config) -> String {
    let answered = ask_twice(review, config);
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
    plain_runner_becomes_rocm_ready: "plain",
    experimental_chart_runner_becomes_rocm_ready: "experimental-plain",
    dind_of_chart_is_kept: "dind",
    dind_of_experimental_chart_is_kept: "experimental-dind",
    dind_as_ordinary_container_is_kept: "dind-regular-container",
    scale_set_template_values_are_kept: "author-overrides",
    kubernetes_mode_runner_is_skipped: "kubernetes",
    kubernetes_novolume_runner_is_skipped: "kubernetes-novolume",
    listener_pod_is_skipped: "listener",
    job_pod_is_skipped: "workflow",
    impostor_pod_is_skipped: "impostor",
    impostor_dry_run_is_skipped: "impostor-dry-run",
}

#[test]
fn kubernetes_mode_resources_setting_adds_resources() {
    let config = config(
        "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {name: k8s}\n\
         spec: {extends: rocm, match: {}, kubernetesMode: Resources}\n",
    );
    insta::assert_snapshot!(golden(&review("kubernetes"), &config));
}

#[test]
fn scripts_image_is_mounted_in_plain_runner() {
    let config = with_image("jobHooks: {enabled: false}", "registry.example/arc-rocm:1");
    insta::assert_snapshot!(golden(&review("plain"), &config));
}

#[test]
fn scripts_image_serves_dind_and_job_hooks() {
    let config = with_image("jobHooks: {}", "registry.example/arc-rocm:1");
    insta::assert_snapshot!(golden(&review("plain"), &config));
}

#[test]
fn dind_added_gets_runner_proxy_and_ca() {
    let mut review = review("author-overrides");
    let env = review.pointer_mut("/request/object/spec/containers/0/env").unwrap();
    env.as_array_mut().unwrap().retain(|env| env["name"] != "DOCKER_HOST");
    insta::assert_snapshot!(golden(&review, &Config::default()));
}
