//! Containers: names, images, restarts and ports.

use super::{In, refused};

#[test]
fn container_names_are_unique_labels() {
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
fn container_needs_image_except_runner_and_externals() {
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
fn container_enums_follow_the_api_server() {
    refused(
        In::Runner,
        &[(
            "imagePullPolicy: always",
            &[
                r#"5:3: spec.template.spec.containers[0].imagePullPolicy: "always" is not one of Always, IfNotPresent, Never"#,
            ],
        )],
    );
}

#[test]
fn restart_policy_is_for_sidecars_only() {
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
                "initContainers: [{name: more, image: a, restartPolicy: OnFailure}]",
                &[
                    r#"5:43: spec.template.spec.initContainers[0].restartPolicy: "OnFailure" is no policy of an init container: write Always for a sidecar, or nothing"#,
                ],
            ),
            (
                "initContainers: [{name: more, image: a, lifecycle: {preStop: {exec: {command: [a]}}}, startupProbe: {exec: {command: [a]}}}]",
                &[
                    "5:43: spec.template.spec.initContainers[0].lifecycle: an init container can only have it with restartPolicy: Always",
                    "5:89: spec.template.spec.initContainers[0].startupProbe: an init container can only have it with restartPolicy: Always",
                ],
            ),
        ],
    );
}

#[test]
fn container_ports_are_numbers_with_unique_names() {
    refused(
        In::Pod,
        &[
            (
                "containers: [{name: runner, ports: [{containerPort: 0}, {containerPort: 70000, protocol: HTTP}]}]",
                &[
                    "5:40: spec.template.spec.containers[0].ports[0].containerPort: 0 is below 1, the least",
                    "5:60: spec.template.spec.containers[0].ports[1].containerPort: 70000 is above 65535, the most",
                    r#"5:82: spec.template.spec.containers[0].ports[1].protocol: "HTTP" is not one of TCP, UDP, SCTP"#,
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
                "hostNetwork: true, containers: [{name: runner, ports: [{containerPort: 1}]}, {name: more, image: a, ports: [{containerPort: 1}]}]",
                &[
                    "5:111: spec.template.spec.containers[1].ports[0]: with hostNetwork: true port 1/TCP of the node is taken already",
                ],
            ),
        ],
    );
}
