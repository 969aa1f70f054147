//! Containers: names, images, restarts and ports.

use super::{In, refused};

#[test]
fn names_of_containers_are_labels_and_unique() {
    refused(
        In::Pod,
        &[
            (
                "containers: [{name: My_Box, image: a}]",
                &[
                    r#"5:17: spec.template.spec.containers[0].name: "My_Box" is not valid here: write at most 63 lower-case letters, digits and '-', with a letter or digit at both ends"#,
                ],
            ),
            (
                "containers: [{name: more, image: a}], initContainers: [{name: more, image: a}]",
                &[
                    r#"5:59: spec.template.spec.initContainers[0].name: "more" is in containers as well; choose another name"#,
                ],
            ),
            (
                "containers: [{name: more, image: a}, {name: more, image: b}]",
                &[
                    r#"5:41: spec.template.spec.containers[1].name: "more" is in this list already; take one out"#,
                ],
            ),
            (
                "initContainers: [{name: runner, image: a}]",
                &[
                    "5:21: spec.template.spec.initContainers[0].name: the runner must be in containers, where ARC looks for it",
                ],
            ),
            (
                r#"containers: [{name: "", image: a}]"#,
                &[
                    "5:17: spec.template.spec.containers[0].name: must not be empty: write at most 63 lower-case letters, digits and '-', with a letter or digit at both ends",
                ],
            ),
        ],
    );
}

#[test]
fn only_the_runner_and_the_externals_can_do_without_an_image() {
    refused(
        In::Pod,
        &[
            (
                "containers: [{name: more}], initContainers: [{name: init-dind-externals}, {name: dind}]",
                &[
                    "5:16: spec.template.spec.containers[0]: needs an image: no other layer of the profile gives it one",
                    "5:77: spec.template.spec.initContainers[1]: needs an image: no other layer of the profile gives it one",
                ],
            ),
            (
                r#"containers: [{name: more, image: "https://ghcr.io/a"}, {name: b, image: "a b"}, {name: c, image: GHCR.io/Owner/name:Tag}, {name: d, image: ""}]"#,
                &[
                    r#"5:29: spec.template.spec.containers[0].image: "https://ghcr.io/a" must be without a scheme, such as ghcr.io/OWNER/NAME:TAG"#,
                    r#"5:68: spec.template.spec.containers[1].image: "a b" has a character that no image has; write it such as ghcr.io/OWNER/NAME:TAG"#,
                    r#"5:93: spec.template.spec.containers[2].image: "GHCR.io/Owner/name:Tag" must be lower-case before its tag"#,
                    r#"5:135: spec.template.spec.containers[3].image: "" must not be empty"#,
                ],
            ),
        ],
    );
}

#[test]
fn enums_of_containers_are_spelt_as_the_api_server_wants_them() {
    refused(
        In::Runner,
        &[
            (
                "imagePullPolicy: always, terminationMessagePolicy: Logs",
                &[
                    r#"5:3: spec.template.spec.containers[0].imagePullPolicy: "always" is not one of Always, IfNotPresent, Never"#,
                    r#"5:28: spec.template.spec.containers[0].terminationMessagePolicy: "Logs" is not one of File, FallbackToLogsOnError"#,
                ],
            ),
            (
                "volumeMounts: [{name: v, mountPath: /v, mountPropagation: Both, recursiveReadOnly: Always}]",
                &[
                    r#"5:19: spec.template.spec.containers[0].volumeMounts[0].name: no volume "v"; add it to template.spec.volumes or sharedVolumes"#,
                    r#"5:43: spec.template.spec.containers[0].volumeMounts[0].mountPropagation: "Both" is not one of None, HostToContainer, Bidirectional"#,
                    r#"5:67: spec.template.spec.containers[0].volumeMounts[0].recursiveReadOnly: "Always" is not one of Disabled, IfPossible, Enabled"#,
                    "5:67: spec.template.spec.containers[0].volumeMounts[0].recursiveReadOnly: needs readOnly: true and no mountPropagation",
                ],
            ),
            (
                "resizePolicy: [{resourceName: disk, restartPolicy: Never}, {resourceName: cpu, restartPolicy: RestartContainer}]",
                &[
                    r#"5:19: spec.template.spec.containers[0].resizePolicy[0].resourceName: "disk" is not one of cpu, memory"#,
                    r#"5:39: spec.template.spec.containers[0].resizePolicy[0].restartPolicy: "Never" is not one of NotRequired, RestartContainer"#,
                    "5:82: spec.template.spec.containers[0].resizePolicy[1].restartPolicy: a pod with restartPolicy Never needs NotRequired here",
                ],
            ),
        ],
    );
}

#[test]
fn a_restart_policy_makes_a_sidecar_of_an_init_container_and_nothing_else() {
    refused(
        In::Pod,
        &[
            (
                "containers: [{name: runner, restartPolicy: Always}]",
                &[
                    "5:31: spec.template.spec.containers[0].restartPolicy: is for init containers only, where Always makes a sidecar",
                ],
            ),
            (
                "containers: [{name: runner, restartPolicyRules: []}]",
                &[
                    "5:31: spec.template.spec.containers[0].restartPolicyRules: only goes with a restartPolicy that a runner pod's containers cannot have; take it out",
                ],
            ),
            (
                "initContainers: [{name: more, image: a, restartPolicy: OnFailure}]",
                &[
                    r#"5:43: spec.template.spec.initContainers[0].restartPolicy: "OnFailure" is no policy of an init container: write Always for a sidecar, or nothing"#,
                ],
            ),
            (
                "initContainers: [{name: more, image: a, lifecycle: {preStop: {exec: {command: [a]}}}, startupProbe: {exec: {command: [a]}}, resizePolicy: []}]",
                &[
                    "5:43: spec.template.spec.initContainers[0].lifecycle: an init container can only have it with restartPolicy: Always",
                    "5:89: spec.template.spec.initContainers[0].startupProbe: an init container can only have it with restartPolicy: Always",
                    "5:127: spec.template.spec.initContainers[0].resizePolicy: an init container cannot be resized; take it out",
                ],
            ),
        ],
    );
}

#[test]
fn ports_are_numbers_with_unique_names() {
    refused(
        In::Pod,
        &[
            (
                "containers: [{name: runner, ports: [{containerPort: 0}, {containerPort: 70000, hostPort: -1, protocol: HTTP, hostIP: a}]}]",
                &[
                    "5:40: spec.template.spec.containers[0].ports[0].containerPort: 0 is below 1, the least",
                    "5:60: spec.template.spec.containers[0].ports[1].containerPort: 70000 is above 65535, the most",
                    "5:82: spec.template.spec.containers[0].ports[1].hostPort: -1 is below 0, the least",
                    r#"5:96: spec.template.spec.containers[0].ports[1].protocol: "HTTP" is not one of TCP, UDP, SCTP"#,
                    r#"5:112: spec.template.spec.containers[0].ports[1].hostIP: "a" is not an IP address"#,
                ],
            ),
            (
                "containers: [{name: runner, ports: [{containerPort: 1, name: Web}, {containerPort: 2, name: a}, {containerPort: 3, name: a}]}]",
                &[
                    r#"5:58: spec.template.spec.containers[0].ports[0].name: "Web" is not valid here: write at most 15 lower-case letters, digits and single '-', with at least one letter"#,
                    r#"5:118: spec.template.spec.containers[0].ports[2].name: "a" is the name of another port of this container"#,
                ],
            ),
            (
                "containers: [{name: runner, ports: [{containerPort: 1}, {containerPort: 1, protocol: TCP}]}]",
                &[
                    "5:60: spec.template.spec.containers[0].ports[1].containerPort: 1 is in this list already; take one out",
                ],
            ),
            (
                "containers: [{name: runner, ports: [{containerPort: 1, hostPort: 1}]}, {name: more, image: a, ports: [{containerPort: 2, hostPort: 1}]}]",
                &[
                    "5:105: spec.template.spec.containers[1].ports[0]: port 1/TCP of the node is taken already",
                ],
            ),
            (
                "hostNetwork: true, containers: [{name: runner, ports: [{containerPort: 1, hostPort: 2}]}]",
                &[
                    "5:77: spec.template.spec.containers[0].ports[0].hostPort: must be the containerPort, because of hostNetwork: true",
                ],
            ),
        ],
    );
}
