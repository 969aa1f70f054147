//! Volumes and mounts.

use super::{In, refused};

#[test]
fn mount_needs_volume_and_unique_path() {
    refused(
        In::Runner,
        &[
            (
                r#"volumeMounts: [{name: v, mountPath: /v}, {name: "", mountPath: /w}]"#,
                &[
                    r#"5:19: spec.template.spec.containers[0].volumeMounts[0].name: no volume "v"; add it to template.spec.volumes or sharedVolumes"#,
                    "5:45: spec.template.spec.containers[0].volumeMounts[1].name: must be the name of a volume",
                ],
            ),
            (
                "volumeMounts: [{name: v, mountPath: /run}, {name: v, mountPath: /var/run/}]",
                &[
                    r#"5:19: spec.template.spec.containers[0].volumeMounts[0].name: no volume "v"; add it to template.spec.volumes or sharedVolumes"#,
                    r#"5:56: spec.template.spec.containers[0].volumeMounts[1].mountPath: "/var/run/" is in this list already; take one out"#,
                ],
            ),
        ],
    );
}

#[test]
fn more_places_of_a_shared_volume_are_checked() {
    refused(
        In::Spec,
        &[(
            "dind: {}, sharedVolumes: [{name: a, mountPath: /a, emptyDir: {}, also: [{mountPath: b}, {mountPath: /a/}, {mountPath: /c, subPath: x, subPathExpr: z}, {mountPath: /d, subPathExpr: $(E)}]}]",
            &[
                r#"5:76: spec.sharedVolumes[0].also[0].mountPath: "b" must be absolute, such as /b"#,
                r#"5:92: spec.sharedVolumes[0].also[1].mountPath: volumes "a" and "a" are both mounted at /a/; choose another path for one"#,
                "5:109: spec.sharedVolumes[0].also[2]: write only one of subPath, subPathExpr",
                "5:170: spec.sharedVolumes[0].also[3].subPathExpr: container dind has no variable E; add it to its env",
                "5:170: spec.sharedVolumes[0].also[3].subPathExpr: container runner has no variable E; add it to its env",
            ],
        )],
    );
}

#[test]
fn mount_path_must_be_absolute() {
    refused(
        In::Pod,
        &[
            (
                r#"volumes: [{name: v, emptyDir: {}}], containers: [{name: runner, volumeMounts: [{name: v, mountPath: a}, {name: v, mountPath: /}, {name: v, mountPath: "/a:b"}, {name: v, mountPath: /a/../b}]}]"#,
                &[
                    r#"5:92: spec.template.spec.containers[0].volumeMounts[0].mountPath: "a" must be absolute, such as /a"#,
                    r#"5:117: spec.template.spec.containers[0].volumeMounts[1].mountPath: "/" would hide the image itself; write a directory below /"#,
                    r#"5:142: spec.template.spec.containers[0].volumeMounts[2].mountPath: "/a:b" must not contain ':'"#,
                    r#"5:172: spec.template.spec.containers[0].volumeMounts[3].mountPath: "/a/../b" must not contain '..'"#,
                ],
            ),
            (
                "volumes: [{name: v, emptyDir: {}}], containers: [{name: runner, volumeMounts: [{name: v, mountPath: /a, subPath: /b}, {name: v, mountPath: /c, subPath: ../d}, {name: v, mountPath: /e, subPath: f, subPathExpr: f}]}]",
                &[
                    r#"5:107: spec.template.spec.containers[0].volumeMounts[0].subPath: "/b" must be relative, without '/' at its start"#,
                    r#"5:146: spec.template.spec.containers[0].volumeMounts[1].subPath: "../d" must not contain '..'"#,
                    "5:162: spec.template.spec.containers[0].volumeMounts[2]: write only one of subPath, subPathExpr",
                ],
            ),
            (
                "volumes: [{name: v, emptyDir: {}}], containers: [{name: runner, volumeMounts: [{name: v, mountPath: /a, subPathExpr: $(POD_NAME)-a}]}]",
                &[
                    "5:107: spec.template.spec.containers[0].volumeMounts[0].subPathExpr: container runner has no variable POD_NAME; add it to its env",
                ],
            ),
        ],
    );
}

#[test]
fn volume_name_must_be_free() {
    refused(
        In::Pod,
        &[
            (
                "volumes: [{name: A_b, emptyDir: {}}, {name: arc-rocm-a, emptyDir: {}}, {name: kube-api-access-a, emptyDir: {}}]",
                &[
                    r#"5:14: spec.template.spec.volumes[0].name: "A_b" is not valid here: write at most 54 lower-case letters, digits and '-', with a letter or digit at both ends"#,
                    "5:41: spec.template.spec.volumes[1].name: names that start with arc-rocm- are taken; choose another",
                    "5:75: spec.template.spec.volumes[2].name: names that start with kube-api-access- are taken; choose another",
                ],
            ),
            (
                "volumes: [{name: a123456789a123456789a123456789a123456789a123456789a12345, emptyDir: {}}]",
                &[
                    r#"5:14: spec.template.spec.volumes[0].name: "a123456789a123456789a123456789a123456789a123456789a12345" is not valid here: write at most 54 lower-case letters, digits and '-', with a letter or digit at both ends"#,
                ],
            ),
            (
                "volumes: [{name: a, emptyDir: {}}, {name: a, hostPath: {path: /a}}]",
                &[
                    r#"5:39: spec.template.spec.volumes[1].name: "a" is in this list already; take one out"#,
                ],
            ),
        ],
    );
}

#[test]
fn volume_needs_exactly_one_source() {
    refused(
        In::Pod,
        &[
            (
                "volumes: [{name: a}]",
                &["5:13: spec.template.spec.volumes[0]: needs a source, such as emptyDir: {}"],
            ),
            (
                "volumes: [{name: a, emptyDir: null}]",
                &["5:13: spec.template.spec.volumes[0]: needs a source, such as emptyDir: {}"],
            ),
            (
                "volumes: [{name: a, emptyDir: {}, hostPath: {path: /a}}]",
                &["5:13: spec.template.spec.volumes[0]: write only one of emptyDir, hostPath"],
            ),
        ],
    );
}

#[test]
fn volume_source_must_be_valid() {
    refused(
        In::Pod,
        &[
            (
                "volumes: [{name: a, emptyDir: {medium: Disk, sizeLimit: -1Gi}}, {name: b, emptyDir: {sizeLimit: 5GB}}]",
                &[
                    r#"5:34: spec.template.spec.volumes[0].emptyDir.medium: "Disk" is not one of Memory, HugePages, HugePages-SIZE"#,
                    r#"5:48: spec.template.spec.volumes[0].emptyDir.sizeLimit: "-1Gi" must not be negative"#,
                    "5:88: spec.template.spec.volumes[1].emptyDir.sizeLimit: `GB` is not a quantity's suffix: did you mean `G` or `Gi`?",
                ],
            ),
            (
                r#"volumes: [{name: a, hostPath: {path: ""}}, {name: b, hostPath: {path: /a/../b, type: Dir}}]"#,
                &[
                    r#"5:34: spec.template.spec.volumes[0].hostPath.path: "" must be an absolute path"#,
                    r#"5:67: spec.template.spec.volumes[1].hostPath.path: "/a/../b" must not contain '..'"#,
                    r#"5:82: spec.template.spec.volumes[1].hostPath.type: "Dir" is not one of DirectoryOrCreate, Directory, FileOrCreate, File, Socket, CharDevice, BlockDevice"#,
                ],
            ),
            (
                r#"volumes: [{name: a, secret: {}}, {name: b, secret: {secretName: A, defaultMode: 0o1000, items: [{key: "a b", path: /c}]}}]"#,
                &[
                    "5:23: spec.template.spec.volumes[0].secret: secretName is required",
                    r#"5:55: spec.template.spec.volumes[1].secret.secretName: "A" is not valid here: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"#,
                    "5:70: spec.template.spec.volumes[1].secret.defaultMode: 01000 is no mode of a file: write 0000 to 0777",
                    r#"5:100: spec.template.spec.volumes[1].secret.items[0].key: "a b" is no key of a ConfigMap or Secret: write letters, digits, '-', '_' and '.'"#,
                    r#"5:112: spec.template.spec.volumes[1].secret.items[0].path: "/c" must be relative, without '/' at its start"#,
                ],
            ),
            (
                r#"volumes: [{name: a, configMap: {name: a, items: [{key: a, path: ../b}, {key: a, path: "", mode: 512}]}}]"#,
                &[
                    r#"5:61: spec.template.spec.volumes[0].configMap.items[0].path: "../b" must not contain '..'"#,
                    "5:83: spec.template.spec.volumes[0].configMap.items[1].path: must not be empty",
                    "5:93: spec.template.spec.volumes[0].configMap.items[1].mode: 01000 is no mode of a file: write 0000 to 0777",
                ],
            ),
            (
                "volumes: [{name: a, projected: {sources: [{}, {serviceAccountToken: {path: a, expirationSeconds: 1}}, {secret: {name: a}, configMap: {name: a}}]}}]",
                &[
                    "5:45: spec.template.spec.volumes[0].projected.sources[0]: write one of secret, configMap, downwardAPI, serviceAccountToken",
                    "5:81: spec.template.spec.volumes[0].projected.sources[1].serviceAccountToken.expirationSeconds: 1 is below 600, the least",
                    "5:105: spec.template.spec.volumes[0].projected.sources[2]: write only one of secret, configMap",
                ],
            ),
            (
                r#"volumes: [{name: a, persistentVolumeClaim: {claimName: A}}, {name: b, csi: {driver: ""}}, {name: c, nfs: {server: "", path: a}}]"#,
                &[
                    r#"5:47: spec.template.spec.volumes[0].persistentVolumeClaim.claimName: "A" is not valid here: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"#,
                    "5:73: spec.template.spec.volumes[1].csi: driver is required",
                    "5:103: spec.template.spec.volumes[2].nfs: server is required",
                    r#"5:121: spec.template.spec.volumes[2].nfs.path: "a" must be an absolute path"#,
                ],
            ),
            (
                "volumes: [{name: a, ephemeral: {}}, {name: b, ephemeral: {volumeClaimTemplate: {spec: {}}}}]",
                &[
                    "5:23: spec.template.spec.volumes[0].ephemeral: needs a volumeClaimTemplate",
                    "5:83: spec.template.spec.volumes[1].ephemeral.volumeClaimTemplate.spec: needs accessModes, such as [ReadWriteOnce]",
                    "5:83: spec.template.spec.volumes[1].ephemeral.volumeClaimTemplate.spec: needs resources.requests.storage, such as 100Gi",
                ],
            ),
            (
                "volumes: [{name: b, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [RWO], resources: {requests: {storage: 0}}}}}}]",
                &[
                    r#"5:64: spec.template.spec.volumes[0].ephemeral.volumeClaimTemplate.spec.accessModes: "RWO" is not one of ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod"#,
                    "5:107: spec.template.spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources.requests.storage: must be above 0",
                ],
            ),
            (
                "volumes: [{name: a, projected: {sources: [{downwardAPI: {items: [{path: a}, {path: b, fieldRef: {fieldPath: status.podIP}}]}}]}}]",
                &[
                    "5:68: spec.template.spec.volumes[0].projected.sources[0].downwardAPI.items[0]: needs a fieldRef",
                    r#"5:100: spec.template.spec.volumes[0].projected.sources[0].downwardAPI.items[1].fieldRef.fieldPath: "status.podIP" is not one of metadata.name, metadata.namespace, metadata.uid, metadata.labels, metadata.annotations, metadata.labels['KEY'], metadata.annotations['KEY']"#,
                ],
            ),
        ],
    );
}
