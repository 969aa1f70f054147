//! Docker-in-Docker.

use super::{In, fine, refused};

#[test]
fn dind_gid_and_mtu_have_bounds() {
    refused(
        In::Spec,
        &[
            (
                "dind: {gid: 2147483648}",
                &["5:10: spec.dind.gid: 2147483648 is above 2147483647, the most"],
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
                    "5:21: spec.dind.dataRoot.hostPath: dockerd's data root /var/lib/docker is here: mount it with a subPathExpr that differs from pod to pod, such as $(POD_NAME)-docker, because two dockerds on one directory corrupt it",
                ],
            ),
            (
                "dind: {dataRoot: {persistentVolumeClaim: {claimName: a}, subPathExpr: docker}}",
                &[
                    "5:60: spec.dind.dataRoot.subPathExpr: dockerd's data root /var/lib/docker is here: mount it with a subPathExpr that differs from pod to pod, such as $(POD_NAME)-docker, because two dockerds on one directory corrupt it",
                ],
            ),
            (
                "dind: {dataRoot: {hostPath: {path: /a}, subPathExpr: $(NODE)-a}}",
                &[
                    "5:43: spec.dind.dataRoot.subPathExpr: container dind has no variable NODE; add it to its env",
                    "5:43: spec.dind.dataRoot.subPathExpr: container runner has no variable NODE; add it to its env",
                ],
            ),
            (
                "dind: {dataRoot: {hostPath: {path: /a}, subPathExpr: $(NODE_NAME)-a}}, template: {spec: {initContainers: [{name: dind, env: [{name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]}]}}",
                &[
                    "5:43: spec.dind.dataRoot.subPathExpr: dockerd's data root /var/lib/docker is here: mount it with a subPathExpr that differs from pod to pod, such as $(POD_NAME)-docker, because two dockerds on one directory corrupt it",
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

/// All ways to write it: the volume, an argument, a mount over it, variables that say too little.
#[test]
fn dind_data_root_is_found_wherever_it_is_written() {
    refused(
        In::Spec,
        &[
            (
                "extends: rocm, template: {spec: {volumes: [{name: docker-data, hostPath: {path: /mnt/models}}]}}",
                &[
                    "5:66: spec.template.spec.volumes[0].hostPath: dockerd's data root /home/runner/docker-data is here: mount it with a subPathExpr that differs from pod to pod, such as $(POD_NAME)-docker, because two dockerds on one directory corrupt it",
                ],
            ),
            (
                "extends: rocm, sharedVolumes: [{name: cache, mountPath: /cache, hostPath: {path: /mnt/cache}}], template: {spec: {initContainers: [{name: dind, args: [--data-root=/a, --data-root=/cache/docker]}]}}",
                &[
                    "5:67: spec.sharedVolumes[0].hostPath: dockerd's data root /cache/docker is here: mount it with a subPathExpr that differs from pod to pod, such as $(POD_NAME)-docker, because two dockerds on one directory corrupt it",
                ],
            ),
            (
                "extends: rocm, sharedVolumes: [{name: cache, mountPath: /cache, nfs: {server: a, path: /b}}], template: {spec: {initContainers: [{name: dind, args: [--data-root, /cache/docker]}]}}",
                &[
                    "5:67: spec.sharedVolumes[0].nfs: dockerd's data root /cache/docker is here: mount it with a subPathExpr that differs from pod to pod, such as $(POD_NAME)-docker, because two dockerds on one directory corrupt it",
                ],
            ),
            (
                "extends: rocm, template: {spec: {volumes: [{name: models, hostPath: {path: /mnt/models}}], initContainers: [{name: dind, volumeMounts: [{name: models, mountPath: /home/runner/docker-data/}]}]}}",
                &[
                    "5:61: spec.template.spec.volumes[0].hostPath: dockerd's data root /home/runner/docker-data is here: mount it with a subPathExpr that differs from pod to pod, such as $(POD_NAME)-docker, because two dockerds on one directory corrupt it",
                ],
            ),
            (
                "extends: rocm, template: {spec: {volumes: [{name: docker-data, csi: {driver: a}}], initContainers: [{name: dind, envFrom: [{configMapRef: {name: a}}], env: [{name: A, value: $(B)}, {name: B, value: b}], volumeMounts: [{name: docker-data, mountPath: /home/runner/docker-data, subPathExpr: $(A)-$(FROM)}]}]}}",
                &[
                    "5:278: spec.template.spec.initContainers[0].volumeMounts[0].subPathExpr: dockerd's data root /home/runner/docker-data is here: mount it with a subPathExpr that differs from pod to pod, such as $(POD_NAME)-docker, because two dockerds on one directory corrupt it",
                ],
            ),
        ],
    );
    fine(
        In::Spec,
        &[
            "extends: rocm, template: {spec: {initContainers: [{name: dind, args: [--data-root=/elsewhere]}]}}",
            "extends: rocm, sharedVolumes: [{name: cache, mountPath: /home/runner/docker-data/volumes/cache, hostPath: {path: /mnt/cache}}]",
            "extends: rocm, template: {spec: {volumes: [{name: docker-data, hostPath: {path: /a}}], initContainers: [{name: dind, env: [{name: UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}, {name: DIR, value: a-$(UID)}], volumeMounts: [{name: docker-data, mountPath: /home/runner/docker-data, subPathExpr: $(DIR)}]}]}}",
        ],
    );
}

#[test]
fn dind_registries_follow_dockerd() {
    refused(
        In::Spec,
        &[
            (
                r#"dind: {registryMirrors: [mirror.example, "https://a/b c", "https://a?b", "https://u@a", "https://", "https://a/b#c", "https:///b"]}"#,
                &[
                    "5:28: spec.dind.registryMirrors[0]: must start with https:// or http://",
                    "5:44: spec.dind.registryMirrors[1]: has a character that no URL has",
                    "5:61: spec.dind.registryMirrors[2]: must have no query or fragment",
                    "5:76: spec.dind.registryMirrors[3]: must have no user; dockerd asks mirrors without one",
                    "5:91: spec.dind.registryMirrors[4]: has no valid host",
                    "5:103: spec.dind.registryMirrors[5]: must have no query or fragment",
                    "5:120: spec.dind.registryMirrors[6]: has no valid host",
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
