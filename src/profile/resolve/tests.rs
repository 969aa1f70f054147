use serde_json::{Value, json};

use super::*;
use crate::profile::{
    check,
    report::Report,
    schema, source,
    template::{RUNNER, name_of},
};

/// Files `a.yaml`, `b.yaml` and so on.
fn files(texts: &[&str]) -> Vec<File> {
    texts
        .iter()
        .zip('a'..)
        .map(|(text, name)| File { name: format!("{name}.yaml"), text: (*text).to_owned() })
        .collect()
}

/// A file with one profile for each name and spec.
fn profiles(profiles: &[(&str, &str)]) -> String {
    profiles
        .iter()
        .map(|(name, spec)| {
            format!(
                "apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\n\
                 metadata: {{name: {name}}}\nspec: {spec}\n"
            )
        })
        .collect::<Vec<_>>()
        .join("---\n")
}

fn set(text: &str) -> ProfileSet {
    ProfileSet::compile(&files(&[text])).unwrap()
}

fn refused(texts: &[&str]) -> Vec<String> {
    let problems = ProfileSet::compile(&files(texts)).map(|_| ()).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

/// The runner's resources in the profile `name`.
fn resources(set: &ProfileSet, name: &str, gpus: u32) -> Value {
    let template = set.get(name).unwrap().pod_template(gpus);
    let containers = template["spec"]["containers"].as_array().unwrap();
    containers.iter().find(|one| name_of(one) == RUNNER).unwrap()["resources"].clone()
}

#[test]
fn extends_inherits_along_the_chain() {
    let text = profiles(&[
        ("mi300", "{extends: common, gpu: {count: 8}}"),
        ("common", "{extends: rocm, groups: [44], dind: {mtu: 1400}}"),
    ]);
    let set = set(&text);
    let profile = set.get("mi300").unwrap();
    assert_eq!(profile.extends, ["common", "rocm", "base"]);
    assert_eq!(profile.default_gpus(), 8);
    assert_eq!(profile.origin.to_string(), "a.yaml:1");
    let template = profile.pod_template(8);
    assert_eq!(template.pointer("/spec/securityContext/supplementalGroups"), Some(&json!([44])));
    assert!(template.to_string().contains("--mtu=1400"));
}

#[test]
fn extends_across_files_ignores_order() {
    let child = profiles(&[("child", "{extends: parent}")]);
    let parent = profiles(&[("parent", "{groups: [7]}")]);
    for texts in [[&*child, &*parent], [&*parent, &*child]] {
        let set = ProfileSet::compile(&files(&texts)).unwrap();
        assert!(set.get("child").unwrap().pod_template(0).to_string().contains("[7]"));
    }
}

#[test]
fn builtin_profiles_pass_schema_and_rules() {
    for node in source::documents("built-in", BUILTIN_TEXT).unwrap() {
        let spec = node.get("spec").unwrap();
        assert_eq!(schema::check("built-in", spec, schema::spec(), &[]).problems, []);
    }
    for document in Document::builtin(BUILTIN_TEXT) {
        let mut report = Report::new(&document, &[], true);
        check::written(&document.spec, &mut report);
        assert_eq!(report.into_problems(), []);
    }
}

#[test]
fn builtin_profile_matches_only_while_alone() {
    assert!(ProfileSet::builtin().get("rocm").unwrap().matcher.is_some());
    assert!(set(&profiles(&[("a", "{}")])).get("rocm").unwrap().matcher.is_none());
}

#[test]
fn extends_cycle_is_refused_at_its_members() {
    let text = profiles(&[
        ("a", "{extends: b}"),
        ("b", "{extends: a}"),
        ("outside", "{extends: a}"),
        ("self", "{extends: self}"),
    ]);
    assert_eq!(
        refused(&[&text]),
        [
            "a.yaml:4:8: spec.extends: b extends this profile in turn",
            "a.yaml:9:8: spec.extends: a extends this profile in turn",
            "a.yaml:19:8: spec.extends: a profile cannot extend itself",
        ]
    );
}

#[test]
fn extends_unknown_profile_lists_known_ones() {
    let text = profiles(&[("a", "{extends: rcom}"), ("b", "{}")]);
    assert_eq!(
        refused(&[&text]),
        ["a.yaml:4:8: spec.extends: there is no profile \"rcom\"; there are: a, b, base, rocm"]
    );
}

#[test]
fn name_in_two_files_is_refused() {
    let text = profiles(&[("same", "{}")]);
    assert_eq!(
        refused(&[&text, &text]),
        ["b.yaml:3:12: metadata.name: a.yaml:1 has a profile of this name too"]
    );
}

#[test]
fn name_of_builtin_profile_is_refused() {
    assert_eq!(
        refused(&[&profiles(&[("rocm", "{}")])]),
        ["a.yaml:3:12: metadata.name: rocm is a built-in profile; give yours another name"]
    );
}

#[test]
fn problems_of_all_files_come_in_order() {
    let first = profiles(&[
        ("one", "{gpu: {perGpu: {cpus: 1}}}"),
        ("Two", "{groups: [-1], template: {spec: {restartPolicy: a}}}"),
        ("three", "{groups: [-1], template: {spec: {restartPolicy: a}}, extends: none}"),
        (
            "four",
            "{groups: [-1], match: {scaleSets: [\"\"]}, template: {spec: {restartPolicy: a}}}",
        ),
    ]);
    let second = "kind: Pod\nmore: 1\n";
    assert_eq!(
        refused(&[&first, second]),
        [
            "a.yaml:4:23: spec.gpu.perGpu.cpus: unknown field, did you mean \"cpu\"?",
            "a.yaml:8:12: metadata.name: \"Two\" is not a DNS subdomain, as names of objects are",
            "a.yaml:9:17: spec.groups[0]: -1 is not between 0 and 2147483647",
            "a.yaml:9:40: spec.template.spec.restartPolicy: a runner pod ends with its job: write Never",
            "a.yaml:14:17: spec.groups[0]: -1 is not between 0 and 2147483647",
            "a.yaml:14:40: spec.template.spec.restartPolicy: a runner pod ends with its job: write Never",
            "a.yaml:14:60: spec.extends: there is no profile \"none\"; there are: base, four, one, rocm, three",
            "a.yaml:19:17: spec.groups[0]: -1 is not between 0 and 2147483647",
            "a.yaml:19:42: spec.match.scaleSets[0]: a pattern must not be empty: use `*` for any name",
            "a.yaml:19:66: spec.template.spec.restartPolicy: a runner pod ends with its job: write Never",
            "b.yaml:1:1: apiVersion: expected arc-rocm.dev/v1alpha1",
            "b.yaml:1:1: kind: expected RunnerProfile",
            "b.yaml:1:1: metadata.name: a profile needs a name",
            "b.yaml:2:1: more: unknown field",
        ]
    );
}

#[test]
fn problem_inherited_is_reported_once_at_source() {
    let text = profiles(&[
        ("child", "{extends: parent, groups: [-2]}"),
        ("grandchild", "{extends: child}"),
        ("parent", "{template: {spec: {containers: [{name: more}]}}}"),
    ]);
    assert_eq!(
        refused(&[&text]),
        [
            "a.yaml:4:34: spec.groups[0]: -2 is not between 0 and 2147483647",
            "a.yaml:14:39: spec.template.spec.containers[0]: needs an image: no other layer of \
             the profile gives it one",
        ]
    );
}

#[test]
fn per_gpu_amounts_grow_with_name_count() {
    let set = set(&profiles(&[(
        "fleet",
        "{extends: rocm, match: {scaleSets: [\"x-{gpus}\"]},\n  gpu: {perGpu: {cpu: \"10\", \
         memory: 200000Mi, ephemeral-storage: 100G}}}",
    )]));
    assert_eq!(
        resources(&set, "fleet", 4),
        json!({
            "requests": {"cpu": "40", "memory": "800000Mi", "ephemeral-storage": "400G",
                "amd.com/gpu": "4"},
            "limits": {"ephemeral-storage": "400G", "amd.com/gpu": "4"},
        })
    );
}

#[test]
fn amounts_by_count_hold_for_their_number_alone() {
    let set = set(&profiles(&[(
        "fleet",
        "{extends: rocm, match: {scaleSets: [\"x-{gpus}\"]},\n  gpu: {perGpu: {cpu: 10, memory: \
         100Gi}, total: {ephemeral-storage: 200G},\n  byCount: {2: {memory: 400000Mi}, \"8\": \
         {ephemeral-storage: 1T}}}}",
    )]));
    let amounts = |cpu, memory, storage| {
        move |resources: &serde_json::Value| {
            let requests = &resources["requests"];
            assert_eq!((&requests["cpu"], &requests["memory"]), (&json!(cpu), &json!(memory)));
            assert_eq!(requests["ephemeral-storage"], storage);
            assert_eq!(resources["limits"]["ephemeral-storage"], storage);
        }
    };
    amounts("20", "400000Mi", "200G")(&resources(&set, "fleet", 2));
    amounts("40", "400Gi", "200G")(&resources(&set, "fleet", 4));
    amounts("80", "800Gi", "1T")(&resources(&set, "fleet", 8));
}

#[test]
fn amounts_named_in_limits_are_limits_for_each_number() {
    let set = set(&profiles(&[(
        "fleet",
        "{extends: base, match: {scaleSets: [\"x-{gpus}\"]},\n  gpu: {perGpu: {cpu: 14, memory: 62500Mi}, \
         limits: [memory],\n  byCount: {1: {memory: 75000Mi}}}}",
    )]));
    for (gpus, memory) in [(1, "75000Mi"), (2, "125000Mi"), (8, "500000Mi")] {
        let resources = resources(&set, "fleet", gpus);
        assert_eq!(resources["requests"]["memory"], memory);
        assert_eq!(resources["limits"]["memory"], memory);
        assert_eq!(resources["limits"].get("cpu"), None);
    }
    let text =
        profiles(&[("a", "{extends: base, gpu: {perGpu: {cpu: 1}, limits: [cpu, memory]}}")]);
    let problems = refused(&[&text]);
    let problem = "spec.gpu.limits[1]: no amount of memory is in perGpu or total";
    assert!(problems.len() == 1 && problems[0].ends_with(problem), "{problems:?}");
}

/// The API server filled the policy in for the chart's image (`pkg/apis/core/v1/defaults.go`).
#[test]
fn pull_policy_belongs_to_the_image_of_the_template() {
    let policy = |runner: &str| {
        let text = format!("{{template: {{spec: {{containers: [{{name: runner, {runner}}}]}}}}}}");
        let set = set(&profiles(&[("a", &text)]));
        let template = set.get("a").unwrap().pod_template(0);
        template.pointer("/spec/containers/0/imagePullPolicy").cloned()
    };
    assert_eq!(policy("image: \"i:1\""), Some(json!("IfNotPresent")));
    assert_eq!(policy("image: \"i:latest\""), Some(json!("Always")));
    assert_eq!(policy("image: \"i:1\", imagePullPolicy: Never"), Some(json!("Never")));
    assert_eq!(policy("env: []"), None);
}

#[test]
fn base_profile_for_builders_requests_no_gpus() {
    let set = set(&profiles(&[(
        "cpu-builders",
        "{extends: base, match: {scaleSets: [build-*]},\n  runner: {image: builder, resources: \
         {requests: {cpu: 40, memory: 50000Mi}}}}",
    )]));
    assert_eq!(
        resources(&set, "cpu-builders", 0),
        json!({"requests": {"cpu": "40", "memory": "50000Mi"}})
    );
    let profile = set.get("cpu-builders").unwrap();
    assert_eq!(profile.template(false).gpus(profile.default_gpus()), 0);
    let template = profile.pod_template(0);
    assert_eq!(template.pointer("/spec/nodeSelector"), None);
    assert_eq!(template.pointer("/spec/securityContext"), None);
    assert_eq!(template.pointer("/spec/initContainers/1/image"), Some(&json!("docker:29-dind")));
}

#[test]
fn unknown_field_hides_no_other_problem() {
    let text = profiles(&[(
        "a",
        "{extends: rocm, foo: 1, sharedVolume: [{name: cache, mountPath: /c, emptyDir: {}}],\n  \
         template: {spec: {restartPolicy: 1, nodeSelektor: {\"a b\": c}, volumes: [{name: v, \
         emptydir: {}}, {nam: w, emptyDir: {}}],\n  containers: [{name: runner, env: [{name: A, \
         value: 1}], volumeMounts: [{name: v, mountPath: /v}, {name: cache, mountPath: /d}, \
         {name: lost, mountPath: /w}]}]}}}",
    )]);
    assert_eq!(
        refused(&[&text]),
        [
            "a.yaml:4:23: spec.foo: unknown field",
            "a.yaml:4:31: spec.sharedVolume: unknown field, did you mean \"sharedVolumes\"?",
            "a.yaml:5:36: spec.template.spec.restartPolicy: expected a string, got a number; put \
             it in quotes",
            "a.yaml:5:39: spec.template.spec.nodeSelektor: unknown field of PodSpec (the API \
             server would drop it silently), did you mean \"nodeSelector\"?",
            "a.yaml:5:54: spec.template.spec.nodeSelector[\"a b\"]: \"a b\" is not valid here: \
             write at most 63 letters, digits, '-', '_' and '.', with a DNS subdomain and '/' \
             before it or not",
            "a.yaml:5:85: spec.template.spec.volumes[0].emptydir: unknown field of Volume (the \
             API server would drop it silently), did you mean \"emptyDir\"?",
            "a.yaml:5:101: spec.template.spec.volumes[1].nam: unknown field of Volume (the API \
             server would drop it silently), did you mean \"name\"?",
            "a.yaml:6:54: spec.template.spec.containers[0].env[0].value: expected a string, got a \
             number; put it in quotes",
            "a.yaml:6:131: spec.template.spec.containers[0].volumeMounts[2].name: no volume \
             \"lost\"; add it to template.spec.volumes or sharedVolumes",
        ]
    );
}

#[test]
fn mount_without_volume_is_found_beside_unknown_field() {
    let text = profiles(&[(
        "a",
        "{foo: 1, template: {spec: {containers: [{name: runner,\n  volumeMounts: [{name: lost, \
         mountPath: /w}, {name: dind-sock, mountPath: /s}]}]}}}",
    )]);
    assert_eq!(
        refused(&[&text]),
        [
            "a.yaml:4:8: spec.foo: unknown field",
            "a.yaml:5:19: spec.template.spec.containers[0].volumeMounts[0].name: no volume \
             \"lost\"; add it to template.spec.volumes or sharedVolumes",
            "a.yaml:5:48: spec.template.spec.containers[0].volumeMounts[1].name: no volume \
             \"dind-sock\"; write dind: {}, which brings it",
        ]
    );
}

#[test]
fn unknown_field_says_where_it_belongs() {
    for (spec, wanted) in [
        (
            "tolerations: []",
            "4:8: spec.tolerations: unknown field; write template.spec.tolerations",
        ),
        ("count: 1", "4:8: spec.count: unknown field; write gpu.count"),
        ("env: []", "4:8: spec.env: unknown field; write dind.env or runner.env"),
        ("image: a", "4:8: spec.image: unknown field; write dind.image or runner.image"),
        (
            "runner: {ports: []}",
            "4:17: spec.runner.ports: unknown field; write it in template.spec.containers, in the \
             item \"runner\"",
        ),
        (
            "dind: {envFrom: []}",
            "4:15: spec.dind.envFrom: unknown field; write it in template.spec.initContainers, in \
             the item \"dind\"",
        ),
        ("dind: {args: []}", "4:15: spec.dind.args: unknown field, did you mean \"extraArgs\"?"),
        (
            "runner: {nodeSelector: {}}",
            "4:17: spec.runner.nodeSelector: unknown field; write template.spec.nodeSelector",
        ),
        ("frobnicate: 1", "4:8: spec.frobnicate: unknown field"),
    ] {
        let text = profiles(&[("a", &format!("{{{spec}}}"))]);
        assert_eq!(refused(&[&text]), [format!("a.yaml:{wanted}")], "{spec}");
    }
}

#[test]
fn values_file_is_recognised_and_refused() {
    assert_eq!(
        refused(&[
            "githubConfigUrl: https://github.com/org\nminRunners: 1\ntemplate: {spec: {}}\n"
        ]),
        ["a.yaml:1:1: a values file of ARC's chart, not a RunnerProfile; its template: block can \
          go below spec: of a profile as it is"]
    );
}

#[test]
fn start_wrapper_refuses_other_vendor_gpus() {
    let spec = "{extends: base, gpu: {resource: nvidia.com/gpu, count: 1}}";
    assert_eq!(
        refused(&[&profiles(&[("a", spec)])]),
        ["a.yaml:4:29: spec.gpu.resource: the start wrapper finds AMD's GPUs alone; write start: \
          {enabled: false}"]
    );
    set(&profiles(&[("a", &spec.replace("count: 1}", "count: 1}, start: {enabled: false}"))]));
}

#[test]
fn remove_drops_inherited_fields() {
    let set = set(&profiles(&[(
        "a",
        "{extends: rocm, remove: [/template/spec/nodeSelector/pytorch, /groups, /dind]}",
    )]));
    let template = set.get("a").unwrap().pod_template(2);
    assert_eq!(template.pointer("/spec/nodeSelector"), Some(&json!({})));
    assert_eq!(template.pointer("/spec/initContainers"), None);
    assert!(!template.to_string().contains("supplementalGroups"));
    assert_eq!(
        refused(&[&profiles(&[
            ("a", "{extends: rocm, remove: [/dind, /dindd]}"),
            ("b", "{remove: [/dind]}"),
            ("c", "{extends: none, remove: [/dind]}"),
        ])]),
        [
            "a.yaml:4:39: spec.remove[1]: nothing is inherited at /dindd: no \"dindd\" in gpu, \
             groups, runner, start, template",
            "a.yaml:9:17: spec.remove[0]: nothing is inherited at /dind: there is nothing to take \
             away",
            "a.yaml:14:8: spec.extends: there is no profile \"none\"; there are: a, b, base, c, \
             rocm",
        ]
    );
}

#[test]
fn remove_and_null_agree_in_files_and_objects() {
    let spec = json!({"extends": "rocm", "remove": ["/groups"], "dind": null,
        "template": {"spec": {"nodeSelector": {"pytorch": null}}}});
    let file = File {
        name: "a.yaml".to_owned(),
        text: json!({"apiVersion": "arc-rocm.dev/v1alpha1", "kind": "RunnerProfile",
            "metadata": {"name": "a"}, "spec": spec})
        .to_string(),
    };
    let of_file = resolve(&[file], &[]).unwrap();
    let of_object = resolve(&[], &[object("a", spec)]).unwrap();
    let template = |resolved: &Resolved| resolved.profiles.get("a").unwrap().pod_template(2);
    assert_eq!(template(&of_file), template(&of_object));
    // Null counts as absent, so the inherited value stays.
    assert_eq!(template(&of_file).pointer("/spec/nodeSelector/pytorch"), Some(&json!("yes")));
    assert!(!template(&of_file).to_string().contains("supplementalGroups"));
}

#[test]
fn empty_spec_is_empty_profile() {
    set("apiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\nmetadata: {name: a}\nspec:\n");
}

#[test]
fn required_field_null_is_missing() {
    assert_eq!(
        refused(&[&profiles(&[(
            "a",
            "{sharedVolumes: [{name: ~, mountPath: /a, nfs: {server: ~, path: /}}]}"
        )])]),
        [
            "a.yaml:4:25: spec.sharedVolumes[0].name: this field is required",
            "a.yaml:4:55: spec.sharedVolumes[0].nfs.server: this field is required",
        ]
    );
}

#[test]
fn gpu_limit_alone_is_the_request() {
    let set = set(&profiles(&[
        ("a", "{extends: rocm, runner: {resources: {limits: {amd.com/gpu: 4}}}}"),
        (
            "b",
            "{extends: rocm,\n  template: {spec: {containers: [{name: runner, resources: {limits: \
             {amd.com/gpu: 4}}}]}}}",
        ),
    ]));
    for name in ["a", "b"] {
        let gpus = set.get(name).unwrap().default_gpus();
        let resources = resources(&set, name, gpus);
        assert_eq!(resources["requests"]["amd.com/gpu"], "4", "{name}");
        assert_eq!(resources["limits"]["amd.com/gpu"], "4", "{name}");
        assert_eq!(gpus, 4, "{name}");
    }
}

#[test]
fn short_form_of_runner_replaces_expanded_items() {
    let set = set(&profiles(&[(
        "a",
        "{extends: rocm, runner: {env: [{name: POD_NAME, value: x}], volumeMounts: [{name: work, \
         mountPath: /etc/podinfo}]}}",
    )]));
    let template = set.get("a").unwrap().pod_template(2);
    let runner = &template["spec"]["containers"][0];
    let of = |list: &str, key: &str, value: &str| {
        let items = runner[list].as_array().unwrap().iter();
        items.filter(|item| item[key] == value).cloned().collect::<Vec<_>>()
    };
    assert_eq!(of("env", "name", "POD_NAME"), [json!({"name": "POD_NAME", "value": "x"})]);
    assert_eq!(of("volumeMounts", "mountPath", "/etc/podinfo")[0]["name"], "work");
    assert_eq!(of("volumeMounts", "mountPath", "/etc/podinfo").len(), 1);
}

#[test]
fn shared_volume_with_pod_name_needs_no_dind() {
    let set = set(&profiles(&[(
        "a",
        "{sharedVolumes: [{name: a, mountPath: /a, subPathExpr: $(POD_NAME), emptyDir: {}}]}",
    )]));
    let template = set.get("a").unwrap().pod_template(0);
    assert_eq!(template["spec"]["containers"][0]["env"][0]["name"], "POD_NAME");
}

#[test]
fn shared_volume_has_more_places_in_runner_and_dind() {
    let set = set(&profiles(&[(
        "a",
        "{dind: {env: [{name: HTTP_PROXY, value: 'http://proxy:3128'}]}, sharedVolumes: [{name: a, \
         mountPath: /a, emptyDir: {},\n  also: [{mountPath: /b, subPathExpr: $(POD_NAME), readOnly: \
         true}]}],\n  template: {spec: {initContainers: [{name: prepare, image: busybox}, {name: dind}]}}}",
    )]));
    let template = set.get("a").unwrap().pod_template(0);
    let init = template["spec"]["initContainers"].as_array().unwrap();
    let names: Vec<_> = init.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["init-dind-externals", "prepare", "dind"]);
    let dind = &init[2];
    let env: Vec<_> = dind["env"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(env, ["DOCKER_GROUP_GID", "POD_NAME", "HTTP_PROXY"]);
    for container in [dind, &template["spec"]["containers"][0]] {
        let mounts = container["volumeMounts"].as_array().unwrap();
        let places: Vec<_> = mounts.iter().filter(|mount| mount["name"] == "a").collect();
        assert_eq!(
            json!(places),
            json!([
                {"name": "a", "mountPath": "/a"},
                {"name": "a", "mountPath": "/b", "subPathExpr": "$(POD_NAME)", "readOnly": true},
            ])
        );
    }
}

// Objects.

fn object(name: &str, spec: Value) -> Object {
    Object { name: name.to_owned(), uid: format!("uid-{name}"), generation: 1, spec }
}

/// The problems of each object that is refused.
fn refusals(resolved: &Resolved) -> Vec<String> {
    resolved.refused.values().flatten().map(ToString::to_string).collect()
}

#[test]
fn objects_extend_files_and_objects() {
    let files = files(&[&profiles(&[("common", "{groups: [1]}")])]);
    let objects = [
        object("child", json!({"extends": "middle", "match": {"scaleSets": ["a-*"]}})),
        object("middle", json!({"extends": "common"})),
    ];
    let resolved = resolve(&files, &objects).unwrap();
    assert_eq!(refusals(&resolved), Vec::<String>::new());
    let child = resolved.profiles.get("child").unwrap();
    assert_eq!(child.extends, ["middle", "common"]);
    assert_eq!(child.origin.to_string(), "runnerprofiles.arc-rocm.dev/child");
    assert!(child.pod_template(0).to_string().contains("[1]"));
}

#[test]
fn file_extending_an_object_is_refused() {
    let files = files(&[&profiles(&[("a", "{extends: b}")])]);
    let problems = resolve(&files, &[object("b", json!({}))]).unwrap_err();
    assert!(problems[0].message.starts_with("there is no profile \"b\""), "{problems:?}");
}

#[test]
fn files_of_a_directory_are_known_by_their_names() {
    for name in ["fleet.yaml", "a.yml", "a.json", "test.yaml"] {
        assert!(File::is_name(name), "{name}");
    }
    for name in ["fleet.test.yaml", "..data", ".a.yaml", "README.md", "yaml"] {
        assert!(!File::is_name(name), "{name}");
    }
}

#[test]
fn file_named_built_in_is_a_file() {
    let file = File { name: "built-in".to_owned(), text: profiles(&[("a", "{match: {}}")]) };
    let set = ProfileSet::compile(&[file]).unwrap();
    let profile = set.get("a").unwrap();
    assert_eq!(profile.origin.to_string(), "built-in:1");
    assert!(profile.matcher.is_some());
}

#[test]
fn any_object_disables_the_builtin_match() {
    let has_match = |objects: &[Object]| {
        resolve(&[], objects).unwrap().profiles.get("rocm").unwrap().matcher.is_some()
    };
    assert!(has_match(&[]));
    assert!(!has_match(&[object("a", json!({}))]));
    // A mistake in the only profile must not give every runner a privileged container.
    assert!(!has_match(&[object("a", json!({"gpus": 1}))]));
}

#[test]
fn bad_object_and_its_children_are_refused() {
    let objects = [
        object("bad", json!({"template": {"spec": {"nodeSelectr": {}}}})),
        object("child", json!({"extends": "bad", "groups": [-1]})),
        object("good", json!({"extends": "rocm"})),
        object("grandchild", json!({"extends": "child"})),
        object("lost", json!({"extends": "missing"})),
        object("loop", json!({"extends": "loop"})),
        object("rocm", json!({})),
    ];
    let resolved = resolve(&[], &objects).unwrap();
    let names: Vec<&str> = resolved.profiles.iter().map(|one| one.name.as_str()).collect();
    assert!(names.contains(&"good") && !names.contains(&"child"), "{names:?}");
    let prefix = "runnerprofiles.arc-rocm.dev/";
    let refusals: Vec<String> =
        refusals(&resolved).iter().map(|one| one.replacen(prefix, "", 1)).collect();
    assert_eq!(
        refusals,
        [
            "bad: spec.template.spec.nodeSelectr: unknown field of PodSpec (the API server would \
             drop it silently), did you mean \"nodeSelector\"?",
            "child: spec.extends: profile \"bad\" is refused",
            "child: spec.groups[0]: -1 is not between 0 and 2147483647",
            "grandchild: spec.extends: profile \"child\" is refused",
            "loop: spec.extends: a profile cannot extend itself",
            "lost: spec.extends: there is no profile \"missing\"; there are: bad, base, child, good, \
             grandchild, loop, lost, rocm",
            "rocm: metadata.name: rocm is a built-in profile; give yours another name",
        ]
    );
}

#[test]
fn file_overrides_object_of_same_name() {
    let files = files(&[&profiles(&[("a", "{groups: [1]}")])]);
    let resolved = resolve(&files, &[object("a", json!({"groups": [2]}))]).unwrap();
    assert!(resolved.profiles.get("a").unwrap().pod_template(0).to_string().contains("[1]"));
    assert_eq!(
        refusals(&resolved),
        ["runnerprofiles.arc-rocm.dev/a: metadata.name: a.yaml:1 has a profile of this name, and \
          files come first"]
    );
}

#[test]
fn object_nested_too_deep_is_refused() {
    let mut spec = json!({});
    for _ in 0..source::MAX_DEPTH {
        spec = json!({"template": spec});
    }
    let resolved = resolve(&[], &[object("deep", spec)]).unwrap();
    assert!(refusals(&resolved)[0].contains("nest deeper than 64"), "{resolved:?}");
}

#[test]
fn change_names_profiles_it_breaks() {
    let objects = [
        object("a", json!({"extends": "rocm"})),
        object(
            "b",
            json!({"extends": "a", "dind": {"mtu": 1400},
            "template": {"spec": {"containers": [{"name": "runner",
                "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}]}}}),
        ),
        object("base-of-b", json!({})),
    ];
    let with_volume = json!({"extends": "rocm",
        "template": {"spec": {"volumes": [{"name": "shared", "emptyDir": {}}]}}});
    let change = |objects: &[Object], spec: Option<&Value>| {
        let change = resolve_change(&[], objects, "a", spec).unwrap();
        let others: Vec<String> = change.others.keys().cloned().collect();
        (change.own.iter().map(|one| one.message.clone()).collect::<Vec<_>>(), others)
    };
    let mut good = objects.clone();
    good[0].spec = with_volume.clone();
    // b is invalid before and after, so the change does not break it.
    assert_eq!(change(&objects, Some(&json!({"extends": "rocm"}))), (vec![], vec![]));
    assert_eq!(change(&objects, Some(&with_volume)), (vec![], vec![]));
    assert_eq!(change(&good, Some(&json!({"extends": "rocm"}))), (vec![], vec!["b".to_owned()]));
    assert_eq!(change(&good, None), (vec![], vec!["b".to_owned()]));
    let (own, others) = change(&good, Some(&json!({"groups": [-1]})));
    assert_eq!(own, ["-1 is not between 0 and 2147483647"]);
    assert_eq!(others, ["b"]);
}

#[test]
fn long_chain_of_objects_resolves() {
    let base = |index: usize| match index {
        0 => "rocm".to_owned(),
        _ => format!("p{}", index - 1),
    };
    let objects: Vec<Object> = (0..300)
        .map(|index| object(&format!("p{index}"), json!({"extends": base(index)})))
        .collect();
    let resolved = resolve(&[], &objects).unwrap();
    assert!(resolved.refused.is_empty());
    assert_eq!(resolved.profiles.get("p299").unwrap().extends.len(), 301);
}
