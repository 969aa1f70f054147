//! Docker-in-Docker.

use super::{In, refused};

#[test]
fn dind_gid_and_mtu_have_bounds() {
    refused(
        In::Spec,
        &[
            (
                "dind: {gid: 2147483648}",
                &["5:10: spec.dind.gid: 2147483648 is not between 0 and 2147483647"],
            ),
            (
                "dind: {mtu: 60}",
                &["5:15: spec.dind.mtu: expected a number from 68 to 65535, got 60"],
            ),
            (
                "dind: {gid: -1}",
                &["5:15: spec.dind.gid: expected a number from 0 to 4294967295, got -1"],
            ),
            (
                "dind: {mtu: 65536}",
                &["5:15: spec.dind.mtu: expected a number from 68 to 65535, got 65536"],
            ),
        ],
    );
}

#[test]
fn dind_lasting_data_root_needs_own_directory() {
    refused(
        In::Spec,
        &[
            (
                "dind: {dataRoot: {hostPath: {path: /a}}}",
                &[
                    "5:21: spec.dind.dataRoot.hostPath: needs dataRoot.subPathExpr, such as $(POD_NAME)-docker, because two dockerds on one directory corrupt it",
                ],
            ),
            (
                "dind: {dataRoot: {persistentVolumeClaim: {claimName: a}, subPathExpr: docker}}",
                &[
                    "5:60: spec.dind.dataRoot.subPathExpr: must differ from pod to pod: write $(POD_NAME)-docker, because two dockerds on one directory corrupt it",
                ],
            ),
            (
                "dind: {dataRoot: {hostPath: {path: /a}, subPathExpr: $(NODE)-a}}",
                &[
                    "5:43: spec.dind.dataRoot.subPathExpr: must differ from pod to pod: write $(POD_NAME)-docker, because two dockerds on one directory corrupt it",
                ],
            ),
            (
                "dind: {dataRoot: {hostPath: {path: /a}, emptyDir: {}, subPathExpr: $(POD_NAME)}}",
                &["5:10: spec.dind.dataRoot: write only one of emptyDir, hostPath"],
            ),
            (
                "dind: {dataRoot: {path: data}}",
                &[r#"5:21: spec.dind.dataRoot.path: "data" must be absolute, such as /data"#],
            ),
            (
                "dind: {dataRoot: {path: /}}",
                &[
                    r#"5:21: spec.dind.dataRoot.path: "/" would hide the image itself; write a directory below /"#,
                ],
            ),
            (
                "dind: {dataRoot: {path: /run}}",
                &[
                    r#"5:21: spec.dind.dataRoot.path: volumes "dind-sock" and "docker-data" are both mounted at /run; choose another path for one"#,
                ],
            ),
            (
                "dind: {dataRoot: {hostPath: {path: a}, subPathExpr: /$(POD_NAME)}}",
                &[
                    r#"5:32: spec.dind.dataRoot.hostPath.path: "a" must be an absolute path"#,
                    r#"5:42: spec.dind.dataRoot.subPathExpr: "/$(POD_NAME)" must be relative, without '/' at its start"#,
                ],
            ),
        ],
    );
}

#[test]
fn dind_registries_follow_dockerd() {
    refused(
        In::Spec,
        &[
            (
                r#"dind: {registryMirrors: [mirror.example, "https://a/b", "https://a?b", "https://u@a", "https://"]}"#,
                &[
                    "5:28: spec.dind.registryMirrors[0]: must start with https:// or http://",
                    "5:44: spec.dind.registryMirrors[1]: must have no path: dockerd asks a mirror at its root",
                    "5:59: spec.dind.registryMirrors[2]: must have no query",
                    "5:74: spec.dind.registryMirrors[3]: must have no user; dockerd asks mirrors without one",
                    "5:89: spec.dind.registryMirrors[4]: has no valid host",
                ],
            ),
            (
                r#"dind: {insecureRegistries: ["http://a", a/b, 10.0.0.0/33, ""]}"#,
                &[
                    "5:31: spec.dind.insecureRegistries[0]: must be without a scheme, such as registry.example:5000",
                    "5:43: spec.dind.insecureRegistries[1]: must be HOST, HOST:PORT or a CIDR, without a path",
                    "5:48: spec.dind.insecureRegistries[2]: must be HOST, HOST:PORT or a CIDR, without a path",
                    "5:61: spec.dind.insecureRegistries[3]: must be HOST, HOST:PORT or a CIDR",
                ],
            ),
        ],
    );
}

#[test]
fn dind_argument_with_field_is_refused() {
    refused(
        In::Spec,
        &[(
            r#"dind: {extraArgs: [--host=a, -Htcp://a, --group, "-G", --data-root=/a, --mtu=1, --registry-mirror=a, --insecure-registry=a, --pidfile=a, -p, overlay2, --]}"#,
            &[
                "5:22: spec.dind.extraArgs[0]: --host is set: dockerd listens on the socket that the runner shares",
                "5:32: spec.dind.extraArgs[1]: -Htcp://a is set: dockerd listens on the socket that the runner shares",
                "5:43: spec.dind.extraArgs[2]: --group is set by dind.gid; write that",
                "5:52: spec.dind.extraArgs[3]: -G is set by dind.gid; write that",
                "5:58: spec.dind.extraArgs[4]: --data-root is set by dind.dataRoot.path; write that",
                "5:74: spec.dind.extraArgs[5]: --mtu is set by dind.mtu; write that",
                "5:83: spec.dind.extraArgs[6]: --registry-mirror is set by dind.registryMirrors; write that",
                "5:104: spec.dind.extraArgs[7]: --insecure-registry is set by dind.insecureRegistries; write that",
                "5:127: spec.dind.extraArgs[8]: --pidfile is left to dockerd, whose stale file the start script takes away",
                "5:140: spec.dind.extraArgs[9]: -p is left to dockerd, whose stale file the start script takes away",
                "5:144: spec.dind.extraArgs[10]: must be one argument: write --FLAG=VALUE",
                "5:154: spec.dind.extraArgs[11]: must be one argument: write --FLAG=VALUE",
            ],
        )],
    );
}

#[test]
fn dind_registry_credentials_need_start_wrapper() {
    refused(
        In::Spec,
        &[
            (
                "dind: {registryCredentials: {secretName: a}}",
                &[
                    "5:10: spec.dind.registryCredentials: needs the start wrapper, which copies them for the docker CLI; write start: {enabled: true}",
                ],
            ),
            (
                "dind: {registryCredentials: {secretName: A_b}}, start: {}",
                &[
                    r#"5:32: spec.dind.registryCredentials.secretName: "A_b" is not valid here: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"#,
                ],
            ),
            (
                "dind: {registryCredentials: {secretName: null}}, start: {}",
                &["5:32: spec.dind.registryCredentials.secretName: this field is required"],
            ),
            (
                "start: {waitForDockerSeconds: 3601}",
                &[
                    "5:33: spec.start.waitForDockerSeconds: expected a number from 0 to 3600, got 3601",
                ],
            ),
        ],
    );
}
