//! Other short forms, and what layering would swallow.

use super::{In, refused};

#[test]
fn groups_must_be_ids() {
    refused(
        In::Spec,
        &[(
            "groups: [110, -1, 2147483648, 110], start: {groupAdd: [44, 44, -1]}",
            &[
                "5:17: spec.groups[1]: -1 is not between 0 and 2147483647",
                "5:21: spec.groups[2]: 2147483648 is not between 0 and 2147483647",
                "5:33: spec.groups[3]: 110 is in this list already; take one out",
                "5:62: spec.start.groupAdd[1]: 44 is in this list already; take one out",
                "5:66: spec.start.groupAdd[2]: -1 is not between 0 and 2147483647",
            ],
        )],
    );
}

#[test]
fn gpu_amounts_are_positive_and_given_once() {
    refused(
        In::Spec,
        &[
            (
                "gpu: {resource: gpu, count: 2}",
                &[
                    r#"5:9: spec.gpu.resource: "gpu" is not valid here: write a domain, '/' and a name, such as amd.com/gpu"#,
                ],
            ),
            (
                r#"gpu: {resource: "kubernetes.io/gpu", count: 2}"#,
                &[
                    r#"5:9: spec.gpu.resource: "kubernetes.io/gpu" is not valid here: write a domain, '/' and a name, such as amd.com/gpu"#,
                ],
            ),
            (
                r#"gpu: {resource: "amd.com/", count: 0}"#,
                &[
                    r#"5:9: spec.gpu.resource: "amd.com/" is not valid here: write a domain, '/' and a name, such as amd.com/gpu"#,
                ],
            ),
            ("gpu: {count: 65}", &["5:16: spec.gpu.count: expected a number from 0 to 64, got 65"]),
            (
                "gpu: {count: 2, perGpu: {cpu: 0, memory: 1 GB}, total: {cpu: 10, memory: -1}}",
                &[
                    "5:28: spec.gpu.perGpu.cpu: must be above 0; remove takes an inherited amount away",
                    "5:36: spec.gpu.perGpu.memory: ` GB` is not a quantity's suffix: did you mean `G` or `Gi`?",
                    "5:59: spec.gpu.total.cpu: cpu is in gpu.perGpu as well; take one out",
                    "5:68: spec.gpu.total.memory: memory is in gpu.perGpu as well; take one out",
                ],
            ),
            (
                "gpu: {perGpu: {memory: 5e27}}",
                &[r#"5:18: spec.gpu.perGpu.memory: "5e+27" is too large for 64 GPUs"#],
            ),
            (
                "gpu: {count: 2, total: {memory: 1Gi}, byCount: {0: {}, x: {memory: 0}, \"2\": {cpu: 1, memory: 2GB}}}",
                &[
                    r#"5:51: spec.gpu.byCount.0: "0" is not a number of GPUs from 1 to 64"#,
                    r#"5:58: spec.gpu.byCount.x: "x" is not a number of GPUs from 1 to 64"#,
                    "5:62: spec.gpu.byCount.x.memory: must be above 0",
                    "5:80: spec.gpu.byCount.2.cpu: write cpu in gpu.perGpu or gpu.total too, for other numbers of GPUs",
                    "5:88: spec.gpu.byCount.2.memory: `GB` is not a quantity's suffix: did you mean `G` or `Gi`?",
                ],
            ),
            (
                "gpu: {total: {ephemeral-storage: 100GB}}",
                &[
                    "5:17: spec.gpu.total.ephemeral-storage: `GB` is not a quantity's suffix: did you mean `G` or `Gi`?",
                ],
            ),
        ],
    );
}

#[test]
fn isolation_env_is_lines_of_an_env_file() {
    refused(
        In::Spec,
        &[(
            "start: {isolationEnv: {A: b, 2A: c, ROCR_VISIBLE_DEVICES: '0', B: $(A), C: \"a\\nb\"}}",
            &[
                r#"5:32: spec.start.isolationEnv.2A: "2A" is not valid here: write letters, digits and '_', not a digit first"#,
                "5:39: spec.start.isolationEnv.ROCR_VISIBLE_DEVICES: is set by start.isolation; write that",
                r"5:66: spec.start.isolationEnv.B: must be one line of ASCII without '$' and '\'",
                r"5:75: spec.start.isolationEnv.C: must be one line of ASCII without '$' and '\'",
            ],
        )],
    );
}

#[test]
fn short_form_image_must_be_valid() {
    refused(
        In::Spec,
        &[
            (
                r#"runner: {image: "a b"}, dind: {image: ""}"#,
                &[
                    r#"5:12: spec.runner.image: "a b" has a character that no image has; write it such as ghcr.io/OWNER/NAME:TAG"#,
                    r#"5:34: spec.dind.image: "" must not be empty"#,
                ],
            ),
            (
                "runner: {imagePullPolicy: Always}, dind: {imagePullPolicy: Always}",
                &[
                    "5:12: spec.runner.imagePullPolicy: write runner.image too: a pull policy goes with its image",
                    "5:45: spec.dind.imagePullPolicy: write dind.image too: a pull policy goes with its image",
                ],
            ),
            (
                "runner: {image: a, imagePullPolicy: always}, dind: {image: a, imagePullPolicy: never}",
                &[
                    r#"5:22: spec.runner.imagePullPolicy: "always" is not one of Always, IfNotPresent, Never"#,
                    r#"5:65: spec.dind.imagePullPolicy: "never" is not one of Always, IfNotPresent, Never"#,
                ],
            ),
        ],
    );
}

#[test]
fn shared_volumes_need_name_path_and_source() {
    refused(
        In::Spec,
        &[
            (
                "sharedVolumes: [{name: work, mountPath: /w, emptyDir: {}}]",
                &[
                    r#"5:20: spec.sharedVolumes[0].name: "work" is the name of a volume that every runner has; choose another"#,
                ],
            ),
            (
                "sharedVolumes: [{name: a, mountPath: /a}]",
                &["5:19: spec.sharedVolumes[0]: needs a source, such as emptyDir: {}"],
            ),
            (
                "sharedVolumes: [{name: a, mountPath: /a, emptyDir: {}, hostPath: {path: /a}}]",
                &["5:19: spec.sharedVolumes[0]: write only one of emptyDir, hostPath"],
            ),
            (
                "sharedVolumes: [{name: a, mountPath: a, hostPath: {path: a, type: dir}}]",
                &[
                    r#"5:29: spec.sharedVolumes[0].mountPath: "a" must be absolute, such as /a"#,
                    r#"5:54: spec.sharedVolumes[0].hostPath.path: "a" must be an absolute path"#,
                    r#"5:63: spec.sharedVolumes[0].hostPath.type: "dir" is not one of DirectoryOrCreate, Directory, FileOrCreate, File, Socket, CharDevice, BlockDevice"#,
                ],
            ),
            (
                "sharedVolumes: [{name: A, mountPath: /a, emptyDir: {}}]",
                &[
                    r#"5:20: spec.sharedVolumes[0].name: "A" is not valid here: write at most 54 lower-case letters, digits and '-', with a letter or digit at both ends"#,
                ],
            ),
            (
                "sharedVolumes: [{name: a, mountPath: /a, emptyDir: {}}, {name: a, mountPath: /b}]",
                &[
                    r#"5:60: spec.sharedVolumes[1].name: "a" is in this list already; give one another name"#,
                ],
            ),
            (
                "sharedVolumes: [{name: a, mountPath: /a, emptyDir: {}}, {name: b, mountPath: /a/, emptyDir: {}}]",
                &[
                    r#"5:69: spec.sharedVolumes[1].mountPath: volumes "a" and "b" are both mounted at /a/; choose another path for one"#,
                ],
            ),
            (
                "extends: rocm, sharedVolumes: [{name: a, mountPath: /var/run, emptyDir: {}}]",
                &[
                    r#"5:44: spec.sharedVolumes[0].mountPath: volumes "dind-sock" and "a" are both mounted at /var/run; choose another path for one"#,
                ],
            ),
            (
                "sharedVolumes: [{name: a, mountPath: /a, emptyDir: {}, subPath: b, subPathExpr: c}]",
                &["5:19: spec.sharedVolumes[0]: write only one of subPath, subPathExpr"],
            ),
            (
                "sharedVolumes: [{name: a, mountPath: /a, emptyDir: {}, subPathExpr: $(NODE)}]",
                &[
                    "5:58: spec.sharedVolumes[0].subPathExpr: container runner has no variable NODE; add it to its env",
                ],
            ),
            (
                "sharedVolumes: [{name: null, mountPath: /a, emptyDir: {}}]",
                &["5:20: spec.sharedVolumes[0].name: this field is required"],
            ),
            (
                "sharedVolumes: [{name: a, mountPath: null, emptyDir: {}}]",
                &["5:29: spec.sharedVolumes[0].mountPath: this field is required"],
            ),
        ],
    );
}

#[test]
fn empty_list_item_is_refused() {
    refused(
        In::Spec,
        &[
            (
                "groups: [null]",
                &["5:12: spec.groups[0]: an empty item; write a value or take it out"],
            ),
            (
                "template: {spec: {containers: [null], tolerations: [~]}}",
                &[
                    "5:34: spec.template.spec.containers[0]: an empty item; write a value or take it out",
                    "5:55: spec.template.spec.tolerations[0]: an empty item; write a value or take it out",
                ],
            ),
        ],
    );
}

#[test]
fn list_items_must_be_unique() {
    refused(
        In::Pod,
        &[
            (
                "containers: [{name: runner, volumeMounts: [{name: podinfo, mountPath: /a}, {name: work, mountPath: /a/}]}], volumes: [{name: work, emptyDir: {}}, {name: podinfo, emptyDir: {}}]",
                &[
                    r#"5:91: spec.template.spec.containers[0].volumeMounts[1].mountPath: "/a/" is in this list already; take one out"#,
                ],
            ),
            (
                "imagePullSecrets: [{name: a}, {name: a}], hostAliases: [{ip: 1.1.1.1}, {ip: 1.1.1.1}]",
                &[
                    r#"5:34: spec.template.spec.imagePullSecrets[1].name: "a" is in this list already; take one out"#,
                    r#"5:75: spec.template.spec.hostAliases[1].ip: "1.1.1.1" is in this list already; take one out"#,
                ],
            ),
        ],
    );
}

#[test]
fn short_form_items_must_be_unique() {
    refused(
        In::Spec,
        &[(
            "runner: {env: [{name: A, value: a}, {name: A, value: b}]}",
            &[r#"5:40: spec.runner.env[1].name: "A" is in this list already; take one out"#],
        )],
    );
}

#[test]
fn short_form_problem_points_to_short_form() {
    refused(
        In::Spec,
        &[
            (
                "runner: {env: [{name: A, valueFrom: {}}], resources: {requests: {cpu: a}}, volumeMounts: [{name: v, mountPath: /v}]}",
                &[
                    "5:28: spec.runner.env[0].valueFrom: write one of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef",
                    "5:68: spec.runner.resources.requests.cpu: `a` is not a quantity: write a decimal number, such as `8`, `500m` or `64Gi`",
                    r#"5:94: spec.runner.volumeMounts[0].name: no volume "v"; add it to template.spec.volumes or sharedVolumes"#,
                ],
            ),
            (
                "dind: {resources: {requests: {cpu: 2}, limits: {cpu: 1}}, image: a}",
                &[
                    r#"5:33: spec.dind.resources.requests.cpu: the request "2" is above the limit "1""#,
                ],
            ),
        ],
    );
}
