//! Probes, hooks and variables.

use super::{In, refused};

#[test]
fn probe_or_hook_needs_exactly_one_handler() {
    refused(
        In::Runner,
        &[
            (
                "startupProbe: {}",
                &[
                    "5:3: spec.template.spec.containers[0].startupProbe: write one of exec, httpGet, tcpSocket",
                ],
            ),
            (
                "livenessProbe: {exec: {command: [a]}, tcpSocket: {port: 1}}",
                &[
                    "5:3: spec.template.spec.containers[0].livenessProbe: write only one of exec, tcpSocket",
                ],
            ),
            (
                "readinessProbe: {exec: {}}",
                &["5:20: spec.template.spec.containers[0].readinessProbe.exec: needs a command"],
            ),
            (
                "lifecycle: {preStop: {}, postStart: {exec: {command: [a]}, httpGet: {port: 1}}}",
                &[
                    "5:15: spec.template.spec.containers[0].lifecycle.preStop: write one of exec, httpGet",
                    "5:28: spec.template.spec.containers[0].lifecycle.postStart: write only one of exec, httpGet",
                ],
            ),
        ],
    );
}

#[test]
fn probe_numbers_are_in_range() {
    refused(
        In::Runner,
        &[
            (
                "startupProbe: {exec: {command: [a]}, periodSeconds: 0, timeoutSeconds: -1, failureThreshold: 0, initialDelaySeconds: -1}",
                &[
                    "5:40: spec.template.spec.containers[0].startupProbe.periodSeconds: 0 is below 1, the least",
                    "5:58: spec.template.spec.containers[0].startupProbe.timeoutSeconds: -1 is below 1, the least",
                    "5:78: spec.template.spec.containers[0].startupProbe.failureThreshold: 0 is below 1, the least",
                    "5:99: spec.template.spec.containers[0].startupProbe.initialDelaySeconds: -1 is below 0, the least",
                ],
            ),
            (
                "livenessProbe: {exec: {command: [a]}, successThreshold: 2}",
                &[
                    "5:41: spec.template.spec.containers[0].livenessProbe.successThreshold: must be 1 in a livenessProbe",
                ],
            ),
            (
                "readinessProbe: {httpGet: {port: 0, scheme: http}}",
                &[
                    "5:30: spec.template.spec.containers[0].readinessProbe.httpGet.port: 0 is below 1, the least",
                    r#"5:39: spec.template.spec.containers[0].readinessProbe.httpGet.scheme: "http" is not one of HTTP, HTTPS"#,
                ],
            ),
            (
                "readinessProbe: {tcpSocket: {port: Web_Port}}",
                &[
                    r#"5:32: spec.template.spec.containers[0].readinessProbe.tcpSocket.port: "Web_Port" is not valid here: write at most 15 lower-case letters, digits and single '-', with at least one letter"#,
                ],
            ),
        ],
    );
}

#[test]
fn env_needs_name_and_one_source() {
    refused(
        In::Runner,
        &[
            (
                r#"env: [{name: "", value: a}]"#,
                &["5:10: spec.template.spec.containers[0].env[0].name: must not be empty"],
            ),
            (
                r#"env: [{name: "A=B", value: a}, {name: "ä", value: a}]"#,
                &[
                    r#"5:10: spec.template.spec.containers[0].env[0].name: "A=B" must be printable ASCII without '='"#,
                    r#"5:35: spec.template.spec.containers[0].env[1].name: "ä" must be printable ASCII without '='"#,
                ],
            ),
            (
                "env: [{name: A, value: b, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]",
                &[
                    "5:9: spec.template.spec.containers[0].env[0]: write only one of value, valueFrom",
                ],
            ),
            (
                "env: [{name: A, valueFrom: {}}]",
                &[
                    "5:19: spec.template.spec.containers[0].env[0].valueFrom: write one of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef",
                ],
            ),
            (
                "env: [{name: A, valueFrom: {secretKeyRef: {name: a, key: b}, configMapKeyRef: {name: a, key: b}}}]",
                &[
                    "5:19: spec.template.spec.containers[0].env[0].valueFrom: write only one of configMapKeyRef, secretKeyRef",
                ],
            ),
            (
                "env: [{name: ACTIONS_RUNNER_INPUT_JITCONFIG, value: a}]",
                &[
                    "5:10: spec.template.spec.containers[0].env[0].name: ACTIONS_RUNNER_INPUT_JITCONFIG belongs to ARC; take it out",
                ],
            ),
            (
                "env: [{name: A, value: b}, {name: A, value: c}]",
                &[
                    r#"5:31: spec.template.spec.containers[0].env[1].name: "A" is in this list already; take one out"#,
                ],
            ),
            (
                r#"envFrom: [{secretRef: {name: a}, configMapRef: {name: b}}, {secretRef: {name: A_b}}, {secretRef: {name: ""}}]"#,
                &[
                    "5:13: spec.template.spec.containers[0].envFrom[0]: write only one of configMapRef, secretRef",
                    r#"5:75: spec.template.spec.containers[0].envFrom[1].secretRef.name: "A_b" is not valid here: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"#,
                    "5:89: spec.template.spec.containers[0].envFrom[2].secretRef: name is required",
                ],
            ),
        ],
    );
}

#[test]
fn env_reference_must_be_valid() {
    refused(
        In::Runner,
        &[
            (
                "env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.labels}}}]",
                &[
                    r#"5:42: spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: "metadata.labels" is not one of metadata.name, metadata.namespace, metadata.uid, spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, status.podIP, status.podIPs, metadata.labels['KEY'], metadata.annotations['KEY']"#,
                ],
            ),
            (
                r#"env: [{name: A, valueFrom: {fieldRef: {apiVersion: v2, fieldPath: "metadata.labels['a b']"}}}]"#,
                &[
                    r#"5:42: spec.template.spec.containers[0].env[0].valueFrom.fieldRef.apiVersion: "v2" is not one of v1"#,
                    r#"5:58: spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: "metadata.labels['a b']" is not one of metadata.name, metadata.namespace, metadata.uid, spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, status.podIP, status.podIPs, metadata.labels['KEY'], metadata.annotations['KEY']"#,
                ],
            ),
            (
                "env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.amd.com/gpu, containerName: dind, divisor: 1x}}}]",
                &[
                    r#"5:50: spec.template.spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: "limits.amd.com/gpu" is not requests. or limits. of cpu, memory, ephemeral-storage or hugepages-SIZE"#,
                    r#"5:80: spec.template.spec.containers[0].env[0].valueFrom.resourceFieldRef.containerName: there is no container "dind""#,
                    "5:101: spec.template.spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: `x` is not a quantity's suffix: use one of n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei, an exponent such as e3, or none",
                ],
            ),
            (
                r#"env: [{name: A, valueFrom: {secretKeyRef: {name: A, key: "a b"}}}]"#,
                &[
                    r#"5:46: spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.name: "A" is not valid here: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"#,
                    r#"5:55: spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.key: "a b" is no key of a ConfigMap or Secret: write letters, digits, '-', '_' and '.'"#,
                ],
            ),
        ],
    );
}
