//! The pod's own fields.

use super::{In, refused};

#[test]
fn security_settings_do_not_exclude_each_other() {
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
                "containers: [{name: runner, securityContext: {runAsNonRoot: true, runAsUser: 0, procMount: Unmasked, windowsOptions: {}}}]",
                &[
                    "5:69: spec.template.spec.containers[0].securityContext.runAsUser: is 0, which runAsNonRoot: true does not let start; change one of them",
                    "5:83: spec.template.spec.containers[0].securityContext.procMount: Unmasked needs the pod's hostUsers: false",
                    "5:104: spec.template.spec.containers[0].securityContext.windowsOptions: runner pods are Linux pods; take it out",
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
                "securityContext: {windowsOptions: {}, runAsUser: -1, fsGroup: 2147483648, supplementalGroups: [1, -5], fsGroupChangePolicy: Never, supplementalGroupsPolicy: Add}",
                &[
                    "5:21: spec.template.spec.securityContext.windowsOptions: runner pods are Linux pods; take it out",
                    "5:41: spec.template.spec.securityContext.runAsUser: -1 is below 0, the least",
                    "5:56: spec.template.spec.securityContext.fsGroup: 2147483648 is above 2147483647, the most",
                    "5:101: spec.template.spec.securityContext.supplementalGroups[1]: -5 is not between 0 and 2147483647",
                    r#"5:106: spec.template.spec.securityContext.fsGroupChangePolicy: "Never" is not one of OnRootMismatch, Always"#,
                    r#"5:134: spec.template.spec.securityContext.supplementalGroupsPolicy: "Add" is not one of Merge, Strict"#,
                ],
            ),
            (
                "securityContext: {seccompProfile: {type: Localhost}, appArmorProfile: {type: RuntimeDefault, localhostProfile: a}}",
                &[
                    "5:21: spec.template.spec.securityContext.seccompProfile: type Localhost needs a localhostProfile",
                    "5:96: spec.template.spec.securityContext.appArmorProfile.localhostProfile: only goes with type: Localhost",
                ],
            ),
            (
                "securityContext: {seccompProfile: {type: Localhost, localhostProfile: /a}, appArmorProfile: {type: Default}}",
                &[
                    r#"5:55: spec.template.spec.securityContext.seccompProfile.localhostProfile: "/a" must be relative, without '/' at its start"#,
                    r#"5:96: spec.template.spec.securityContext.appArmorProfile.type: "Default" is not one of RuntimeDefault, Unconfined, Localhost"#,
                ],
            ),
            (
                "hostNetwork: true, hostIPC: true, securityContext: {sysctls: [{name: net.a, value: b}, {name: kernel.sem, value: b}, {name: A.b, value: c}]}",
                &[
                    "5:66: spec.template.spec.securityContext.sysctls[0].name: net.a would be the node's, because of hostNetwork: true",
                    "5:91: spec.template.spec.securityContext.sysctls[1].name: kernel.sem would be the node's, because of hostIPC: true",
                    r#"5:121: spec.template.spec.securityContext.sysctls[2].name: "A.b" is no sysctl, such as net.core.somaxconn"#,
                ],
            ),
        ],
    );
}

#[test]
fn the_hosts_namespaces_do_not_go_with_a_user_namespace() {
    refused(
        In::Pod,
        &[
            (
                "hostUsers: false, hostNetwork: true, hostPID: true",
                &[
                    "5:3: spec.template.spec.hostUsers: cannot be false beside hostNetwork: true",
                    "5:3: spec.template.spec.hostUsers: cannot be false beside hostPID: true",
                ],
            ),
            (
                "hostUsers: false, volumes: [{name: b, persistentVolumeClaim: {claimName: b}}], containers: [{name: runner, volumeDevices: [{name: b, devicePath: /dev/b}]}]",
                &["5:3: spec.template.spec.hostUsers: cannot be false beside volumeDevices"],
            ),
            (
                "hostUsers: false, initContainers: [{name: dind, image: a}]",
                &[
                    "5:3: spec.template.spec.hostUsers: dockerd cannot run in a user namespace; take this out, or dind with dind.enabled: false",
                ],
            ),
            (
                "hostPID: true, shareProcessNamespace: true",
                &[
                    "5:18: spec.template.spec.shareProcessNamespace: cannot be true beside hostPID: true",
                ],
            ),
            (
                "hostNetwork: true, hostnameOverride: a",
                &[
                    "5:22: spec.template.spec.hostnameOverride: has no place beside hostNetwork: true, which takes the node's name",
                ],
            ),
        ],
    );
}

#[test]
fn fields_that_are_not_a_profiles_to_set_are_refused_with_the_reason() {
    refused(
        In::Pod,
        &[
            (
                "nodeName: a",
                &[
                    "5:3: spec.template.spec.nodeName: would go past the scheduler; write nodeSelector {kubernetes.io/hostname: NAME}",
                ],
            ),
            (
                "ephemeralContainers: [{name: a}]",
                &[
                    "5:3: spec.template.spec.ephemeralContainers: can only be added to a running pod; write containers",
                ],
            ),
            (
                "priority: 1",
                &[
                    "5:3: spec.template.spec.priority: the API server computes it; write priorityClassName",
                ],
            ),
            (
                "resources: {limits: {cpu: 1}}",
                &[
                    "5:3: spec.template.spec.resources: would cap the runner and all that is added to it; write the containers' own",
                ],
            ),
            (
                "os: {name: linux}",
                &["5:3: spec.template.spec.os: runner pods are Linux pods already; take it out"],
            ),
            (
                "overhead: {cpu: 1}",
                &[
                    "5:3: spec.template.spec.overhead: the API server takes it from the RuntimeClass; write runtimeClassName",
                ],
            ),
            (
                "schedulingGates: [{name: a}]",
                &[
                    "5:3: spec.template.spec.schedulingGates: nothing opens a gate of a runner pod, so it would stay pending for ever",
                ],
            ),
            (
                "serviceAccount: a",
                &[
                    "5:3: spec.template.spec.serviceAccount: is the old name of serviceAccountName; write that",
                ],
            ),
        ],
    );
}

#[test]
fn fields_of_the_pod_have_values_that_the_api_server_takes() {
    refused(
        In::Pod,
        &[
            (
                "restartPolicy: Sometimes, dnsPolicy: Cluster, preemptionPolicy: Always",
                &[
                    r#"5:3: spec.template.spec.restartPolicy: "Sometimes" is not one of Always, OnFailure, Never"#,
                    r#"5:29: spec.template.spec.dnsPolicy: "Cluster" is not one of ClusterFirst, ClusterFirstWithHostNet, Default, None"#,
                    r#"5:49: spec.template.spec.preemptionPolicy: "Always" is not one of PreemptLowerPriority, Never"#,
                ],
            ),
            (
                "terminationGracePeriodSeconds: -1, activeDeadlineSeconds: 0",
                &[
                    "5:3: spec.template.spec.terminationGracePeriodSeconds: -1 is below 0, the least",
                    "5:38: spec.template.spec.activeDeadlineSeconds: 0 is below 1, the least",
                ],
            ),
            (
                r#"priorityClassName: High, runtimeClassName: a_b, serviceAccountName: "", schedulerName: A, hostname: a.b, subdomain: A"#,
                &[
                    r#"5:3: spec.template.spec.priorityClassName: "High" is not valid here: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"#,
                    r#"5:28: spec.template.spec.runtimeClassName: "a_b" is not valid here: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"#,
                    "5:51: spec.template.spec.serviceAccountName: must not be empty: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part",
                    r#"5:75: spec.template.spec.schedulerName: "A" is not valid here: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"#,
                    r#"5:93: spec.template.spec.hostname: "a.b" is not valid here: write at most 63 lower-case letters, digits and '-', with a letter or digit at both ends"#,
                    r#"5:108: spec.template.spec.subdomain: "A" is not valid here: write at most 63 lower-case letters, digits and '-', with a letter or digit at both ends"#,
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
                    "5:15: spec.template.spec.dnsConfig.nameservers: a pod has at most 3 nameservers",
                    r#"5:15: spec.template.spec.dnsConfig.nameservers: "a" is not an IP address"#,
                    r#"5:60: spec.template.spec.dnsConfig.searches: "A" is not valid here: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"#,
                    "5:85: spec.template.spec.dnsConfig.options[0]: name is required",
                ],
            ),
            (
                r#"readinessGates: [{conditionType: "a b"}]"#,
                &[
                    r#"5:21: spec.template.spec.readinessGates[0].conditionType: "a b" is not valid here: write at most 63 letters, digits, '-', '_' and '.', with a DNS subdomain and '/' before it or not"#,
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
