//! Scripts from an image: where the pod gets them from, and that it always has them.

use arc_rocm::{inject::Config, scripts::image};
use serde_json::{Value, json};

use crate::{
    generate::{list, runner},
    support::{Answered, ask, ask_twice, config, review, with_pod},
    validity::{problems, text},
};

/// The largest patch of a plain runner pod with the scripts from an image, in bytes.
const MOST_BYTES: usize = 6000;

/// The configuration of a profile that extends the built-in one by `spec`, with the scripts from
/// `image`.
pub(crate) fn with_image(spec: &str, image: &str) -> Config {
    let mut config = config(&format!(
        "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {{name: image}}\n\
         spec: {{extends: rocm, match: {{}}, {spec}}}\n"
    ));
    config.profiles = config.profiles.with_scripts_image(Some(image));
    config
}

/// The plain runner's answer.
fn answered(spec: &str, change: impl FnOnce(&mut Value)) -> Answered {
    let mut review = review("plain");
    change(&mut review["request"]["object"]);
    let answered = ask_twice(&review, &with_image(spec, "registry.example/arc-rocm:1"));
    assert_eq!(problems(&answered.pod), [""; 0]);
    answered
}

/// Whether all scripts of a pod are files of the image; none are otherwise.
fn is_from_image(pod: &Value) -> bool {
    let commands: Vec<&Value> = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| pod["spec"][list].as_array().unwrap())
        .filter(|one| text(one, "name") != "init-dind-externals")
        .map(|one| &one["command"])
        .collect();
    let files = [image::START_FILE, image::DIND_FILE];
    let has_file = |command: &&&Value| files.iter().any(|file| command[1] == *file);
    let count = commands.iter().filter(has_file).count();
    let has_volume = pod["spec"]["volumes"].to_string().contains("registry.example/arc-rocm:1");
    assert!(count == 0 && !has_volume || count == commands.len() && has_volume, "{pod:#}");
    count > 0
}

#[test]
fn scripts_image_makes_a_small_patch() {
    let answered = answered("jobHooks: {enabled: false}", |_| {});
    assert!(is_from_image(&answered.pod));
    let bytes = answered.patch.to_string().len();
    assert!(bytes <= MOST_BYTES, "{bytes} bytes: {:#}", answered.patch);
}

#[test]
fn scripts_image_serves_job_hooks_without_init_container() {
    let answered = answered("jobHooks: {}", |_| {});
    assert!(is_from_image(&answered.pod));
    let text = answered.pod.to_string();
    assert!(!text.contains("init-job-hooks") && !text.contains("/etc/arc-rocm/hooks"), "{text}");
    for (name, _) in image::files().into_iter().filter(|(name, _)| name.starts_with("job")) {
        assert!(text.contains(&format!("\"{}/{name}\"", image::PATH)), "{name}: {text}");
    }
}

/// A mount inside a read-only volume cannot be made, and one above may hide it.
#[test]
fn runner_mount_in_the_way_gets_inline_scripts() {
    for path in ["/opt/arc-rocm", "/opt/arc-rocm/", "/opt/arc-rocm/own", "/opt"] {
        let answered = answered("jobHooks: {}", |pod| {
            list(&mut pod["spec"], "volumes").push(json!({"name": "own", "emptyDir": {}}));
            list(runner(pod), "volumeMounts").push(json!({"name": "own", "mountPath": path}));
        });
        assert!(!is_from_image(&answered.pod), "{path}");
        assert_eq!(answered.warnings(), [""; 0], "{path}");
    }
    let beside = answered("jobHooks: {}", |pod| {
        list(&mut pod["spec"], "volumes").push(json!({"name": "own", "emptyDir": {}}));
        list(runner(pod), "volumeMounts").push(json!({"name": "own", "mountPath": "/opt/arc"}));
    });
    assert!(is_from_image(&beside.pod));
}

#[test]
fn profile_mount_in_the_way_gets_inline_scripts() {
    for spec in [
        "sharedVolumes: [{name: tools, mountPath: /opt, emptyDir: {}}]",
        "sharedVolumes: [{name: tools, mountPath: /opt/arc-rocm/tools, emptyDir: {}}]",
        // It sets what only the text's init container has.
        "jobHooks: {}, template: {spec: {initContainers: [{name: init-job-hooks, resources: {limits: {memory: 64Mi}}}]}}",
        "jobHooks: {}, runner: {volumeMounts: [{name: job-hooks, mountPath: /hooks}]}",
    ] {
        let answered = answered(spec, |_| {});
        assert!(!is_from_image(&answered.pod), "{spec}");
    }
}

#[test]
fn volume_name_taken_gets_another() {
    let answered = answered("jobHooks: {}", |pod| {
        list(&mut pod["spec"], "volumes").push(json!({"name": "arc-rocm-scripts", "emptyDir": {}}));
    });
    assert!(is_from_image(&answered.pod));
    let [warning] = &answered.warnings()[..] else { panic!("{:?}", answered.warnings()) };
    assert!(warning.contains("the profile's is named arc-rocm-arc-rocm-scripts"), "{warning}");
}

/// Policies rewrite images to a mirror; some do so for image volumes too.
#[test]
fn scripts_image_at_a_mirror_is_kept() {
    let config = with_image("jobHooks: {}", "registry.example/arc-rocm:1");
    let review = review("plain");
    let mut pod = ask_twice(&review, &config).pod;
    let volumes = pod["spec"]["volumes"].as_array_mut().unwrap();
    let volume = volumes.iter_mut().find(|one| one["name"] == "arc-rocm-scripts").unwrap();
    volume["image"]["reference"] = "mirror.example/registry.example/arc-rocm:1".into();
    let second = ask(&with_pod(&review, pod), &config);
    assert!(second.operations().is_empty(), "{:#}", second.patch);
    assert_eq!(second.warnings(), [""; 0]);
}

/// In a rollout, a replica of the new version may get the second call for a pod.
#[test]
fn scripts_image_of_another_version_ends_in_a_working_pod() {
    let review = review("plain");
    let first = ask(&review, &with_image("jobHooks: {}", "registry.example/arc-rocm:1")).pod;
    let second = with_image("jobHooks: {}", "registry.example/arc-rocm:2");
    let answered = ask_twice(&with_pod(&review, first), &second);
    assert_eq!(problems(&answered.pod), [""; 0]);
    // The runner has the new version's text, dind and the hooks stay with the first image.
    let script = &answered.pod["spec"]["containers"][0]["command"][2];
    assert!(script.as_str().unwrap().starts_with("# arc-rocm "), "{script}");
}

#[test]
fn dind_of_scale_set_gets_no_scripts() {
    let review = review("dind");
    let config = with_image("jobHooks: {}", "registry.example/arc-rocm:1");
    let pod = ask_twice(&review, &config).pod;
    let dind = pod["spec"]["initContainers"].as_array().unwrap().iter();
    let dind = dind.into_iter().find(|one| one["name"] == "dind").unwrap();
    assert!(!dind.to_string().contains(image::PATH), "{dind:#}");
    assert_eq!(pod["spec"]["containers"][0]["command"][1], image::START_FILE);
}
