//! The pod's own fields.

use super::{In, refused};

#[test]
fn security_settings_in_conflict_are_refused() {
    refused(
        In::Pod,
        &[
            (
                "containers: [{name: runner, securityContext: {privileged: true, allowPrivilegeEscalation: false}}]",
                &[
                    "5:67: spec.template.spec.containers[0].securityContext.allowPrivilegeEscalation: cannot be false in a privileged container; take it out",
                ],
            ),
            (
                "containers: [{name: runner, securityContext: {allowPrivilegeEscalation: false, capabilities: {add: [CAP_SYS_ADMIN]}}}]",
                &[
                    "5:49: spec.template.spec.containers[0].securityContext.allowPrivilegeEscalation: cannot be false beside the capability CAP_SYS_ADMIN; take one of them out",
                ],
            ),
            (
                "containers: [{name: runner, securityContext: {runAsNonRoot: true, runAsUser: 0}}]",
                &[
                    "5:69: spec.template.spec.containers[0].securityContext.runAsUser: is 0, which runAsNonRoot: true does not let start; change one of them",
                ],
            ),
            (
                "securityContext: {runAsNonRoot: true}, containers: [{name: runner, securityContext: {runAsUser: 0}}]",
                &[
                    "5:88: spec.template.spec.containers[0].securityContext.runAsUser: is 0, which runAsNonRoot: true does not let start; change one of them",
                ],
            ),
            (
                "securityContext: {runAsNonRoot: true, runAsUser: 0}",
                &[
                    "5:41: spec.template.spec.securityContext.runAsUser: is 0, which runAsNonRoot: true does not let start; change one of them",
                ],
            ),
            (
                "securityContext: {runAsNonRoot: true, runAsUser: 0}, containers: [{name: runner, securityContext: {runAsUser: 1001}}]",
                &[
                    "5:41: spec.template.spec.securityContext.runAsUser: is 0, which runAsNonRoot: true does not let start; change one of them",
                ],
            ),
            (
                "securityContext: {runAsUser: -1, fsGroup: 2147483648, supplementalGroups: [1, -5]}",
                &[
                    "5:21: spec.template.spec.securityContext.runAsUser: -1 is below 0, the least",
                    "5:36: spec.template.spec.securityContext.fsGroup: 2147483648 is above 2147483647, the most",
                    "5:81: spec.template.spec.securityContext.supplementalGroups[1]: -5 is not between 0 and 2147483647",
                ],
            ),
            (
                "securityContext: {seccompProfile: {type: Localhost}}, containers: [{name: runner, securityContext: {seccompProfile: {type: RuntimeDefault, localhostProfile: a}}}]",
                &[
                    "5:21: spec.template.spec.securityContext.seccompProfile: type Localhost needs a localhostProfile",
                    "5:142: spec.template.spec.containers[0].securityContext.seccompProfile.localhostProfile: only goes with type: Localhost",
                ],
            ),
            (
                "securityContext: {seccompProfile: {type: Localhost, localhostProfile: /a}}",
                &[
                    r#"5:55: spec.template.spec.securityContext.seccompProfile.localhostProfile: "/a" must be relative, without '/' at its start"#,
                ],
            ),
        ],
    );
}

#[test]
fn closed_field_says_where_to_write_it() {
    let elsewhere = "is not a field of profiles; write it in the scale set's own template";
    let pod = [
        "nodeName: a",
        "ephemeralContainers: [{name: a}]",
        "priority: 1",
        "preemptionPolicy: Never",
        "resources: {limits: {cpu: 1}}",
        "os: {name: linux}",
        "overhead: {cpu: 1}",
        "schedulingGates: [{name: a}]",
        "serviceAccount: a",
        "hostUsers: false",
        "shareProcessNamespace: true",
        "hostname: a",
        "activeDeadlineSeconds: 1",
        "readinessGates: [{conditionType: a}]",
    ];
    let runner = [
        "resizePolicy: []",
        "restartPolicyRules: []",
        "terminationMessagePolicy: File",
        "volumeDevices: [{name: v, devicePath: v}]",
        "stdin: true",
    ];
    for (place, rows, path) in [
        (In::Pod, &pod[..], "spec.template.spec"),
        (In::Runner, &runner, "spec.template.spec.containers[0]"),
    ] {
        for row in rows {
            let field = row.split(':').next().unwrap_or_default();
            assert_eq!(super::problems(place, row), [format!("5:3: {path}.{field}: {elsewhere}")]);
        }
    }
    for (row, path) in [
        ("securityContext: {sysctls: []}", "5:21: spec.template.spec.securityContext.sysctls"),
        (
            "volumes: [{name: a, gitRepo: {repository: a}}]",
            "5:23: spec.template.spec.volumes[0].gitRepo",
        ),
        (
            "containers: [{name: runner, ports: [{containerPort: 1, hostPort: 1}]}]",
            "5:58: spec.template.spec.containers[0].ports[0].hostPort",
        ),
        (
            "containers: [{name: runner, lifecycle: {preStop: {sleep: {seconds: 1}}}}]",
            "5:53: spec.template.spec.containers[0].lifecycle.preStop.sleep",
        ),
    ] {
        assert_eq!(super::problems(In::Pod, row), [format!("{path}: {elsewhere}")]);
    }
    assert_eq!(
        super::problems(In::Template, "metadata: {name: a}"),
        [format!("5:14: spec.template.metadata.name: {elsewhere}")]
    );
    // Null counts as absent.
    super::fine(In::Template, &["metadata: {creationTimestamp: null}, spec: {nodeName: null}"]);
}

#[test]
fn pod_field_values_follow_the_api_server() {
    refused(
        In::Pod,
        &[
            (
                "restartPolicy: OnFailure, dnsPolicy: Cluster",
                &[
                    "5:3: spec.template.spec.restartPolicy: a runner pod ends with its job: write Never",
                    r#"5:29: spec.template.spec.dnsPolicy: "Cluster" is not one of ClusterFirst, ClusterFirstWithHostNet, Default, None"#,
                ],
            ),
            (
                "terminationGracePeriodSeconds: -1",
                &[
                    "5:3: spec.template.spec.terminationGracePeriodSeconds: -1 is below 0, the least",
                ],
            ),
            (
                r#"priorityClassName: High, runtimeClassName: a_b, serviceAccountName: "", schedulerName: A"#,
                &[
                    r#"5:3: spec.template.spec.priorityClassName: "High" is not valid here: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"#,
                    r#"5:28: spec.template.spec.runtimeClassName: "a_b" is not valid here: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"#,
                    "5:51: spec.template.spec.serviceAccountName: must not be empty: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part",
                    r#"5:75: spec.template.spec.schedulerName: "A" is not valid here: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"#,
                ],
            ),
            (
                r#"nodeSelector: {"a b": c, d: "e f"}"#,
                &[
                    r#"5:18: spec.template.spec.nodeSelector["a b"]: "a b" is not valid here: write at most 63 letters, digits, '-', '_' and '.', with a DNS subdomain and '/' before it or not"#,
                    r#"5:28: spec.template.spec.nodeSelector.d: "e f" is not valid here: write at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"#,
                ],
            ),
            (
                r#"imagePullSecrets: [{name: A}, {name: ""}]"#,
                &[
                    r#"5:23: spec.template.spec.imagePullSecrets[0].name: "A" is not valid here: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"#,
                    "5:33: spec.template.spec.imagePullSecrets[1]: name is required",
                ],
            ),
            (
                "hostAliases: [{ip: a, hostnames: [B_]}]",
                &[
                    r#"5:18: spec.template.spec.hostAliases[0].ip: "a" is not an IP address"#,
                    r#"5:25: spec.template.spec.hostAliases[0].hostnames: "B_" is not valid here: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"#,
                ],
            ),
            (
                "dnsPolicy: None",
                &["5:3: spec.template.spec.dnsPolicy: needs at least one of dnsConfig.nameservers"],
            ),
            (
                "dnsConfig: {nameservers: [a, 1.1.1.1, 1.1.1.2, 1.1.1.3], searches: [A], options: [{value: b}]}",
                &[
                    r#"5:15: spec.template.spec.dnsConfig.nameservers: "a" is not an IP address"#,
                    "5:15: spec.template.spec.dnsConfig.nameservers: a pod has at most 3 nameservers",
                    r#"5:60: spec.template.spec.dnsConfig.searches: "A" is not valid here: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"#,
                    "5:85: spec.template.spec.dnsConfig.options[0]: name is required",
                ],
            ),
            (
                "resourceClaims: [{name: A}, {name: b, resourceClaimName: a, resourceClaimTemplateName: b}]",
                &[
                    "5:20: spec.template.spec.resourceClaims[0]: write one of resourceClaimName, resourceClaimTemplateName",
                    r#"5:21: spec.template.spec.resourceClaims[0].name: "A" is not valid here: write at most 63 lower-case letters, digits and '-', with a letter or digit at both ends"#,
                    "5:31: spec.template.spec.resourceClaims[1]: write only one of resourceClaimName, resourceClaimTemplateName",
                ],
            ),
        ],
    );
}
