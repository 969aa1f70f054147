//! Profiles that must compile: no check refuses a working profile.

use super::*;

/// The profiles of the README.
const FLEET: &str = r#"
apiVersion: arc-rocm.dev/v1alpha1
kind: RunnerProfile
metadata:
  name: pytorch
spec:
  extends: rocm
  match:
    scaleSets:
      - "linux.rocm.gpu.*.{gpus}"
      - "linux-mi3*-gpu-{gpus}"
      - "linux-*-{gpus}gpu-*"
  gpu:
    perGpu: {cpu: "10", memory: 200000Mi, ephemeral-storage: 100G}
  dind:
    registryCredentials: {secretName: docker-hub}
  sharedVolumes:
    - {name: cache, mountPath: /cache, hostPath: {path: /mnt/cache, type: Directory}}
  template:
    spec:
      nodeSelector: {pytorch: "yes"}
      tolerations: [{key: amd-ci, operator: Equal, value: reserved, effect: NoSchedule}]
      containers:
        - name: runner
          env: [{name: HF_TOKEN, valueFrom: {secretKeyRef: {name: hf, key: token}}}]
---
apiVersion: arc-rocm.dev/v1alpha1
kind: RunnerProfile
metadata:
  name: cpu-builders
spec:
  extends: rocm
  match:
    scaleSets: ["azure-linux-scale*", "build-only-*"]
  gpu: {count: 0}
  runner: {image: ghcr.io/example/builder:main}
  template:
    spec:
      containers:
        - name: runner
          resources: {requests: {cpu: "40", memory: 50000Mi}}
"#;

/// A scale set's template from a values file, with placeholders for dind.
const SEED: &str = r#"
  template:
    spec:
      securityContext:
        supplementalGroups:
          - 110
      nodeSelector:
        pytorch: "yes"
      initContainers:
        - name: init-dind-externals
          image: ghcr.io/saienduri/ghascale-rocm-dev:main
          imagePullPolicy: Always
          command: ["cp", "-r", "/home/runner/externals/.", "/home/runner/tmpDir/"]
          volumeMounts:
            - name: dind-externals
              mountPath: /home/runner/tmpDir
DIND_SIDECAR
      containers:
        - name: runner
          image: ghcr.io/saienduri/ghascale-rocm-dev:main
          imagePullPolicy: Always
          command:
            - /bin/sh
            - -c
            - |
              devices=$(ls -la /dev/dri/ | grep renderD | awk '{print $10}')
              GHA_RENDER_DEVICES="--group-add 110"
              for device in $devices; do
                GHA_RENDER_DEVICES="${GHA_RENDER_DEVICES} --device /dev/dri/${device}"
              done
              echo "${GHA_RENDER_DEVICES}" > /etc/podinfo/gha-render-devices
              # Wait for Docker to be ready before starting runner
              until docker info >/dev/null 2>&1; do sleep 5; done
              /home/runner/run.sh
          resources:
            requests:
              cpu: 40000m
              memory: 450000Mi
              ephemeral-storage: "100G"
              amd.com/gpu: 2
            limits:
              ephemeral-storage: "100G"
              amd.com/gpu: 2
          env:
            - name: DOCKER_HOST
              value: unix:///var/run/docker.sock
            - name: POD_NAME
              valueFrom:
                fieldRef:
                  fieldPath: metadata.name
            - name: NODE_NAME
              valueFrom:
                fieldRef:
                  fieldPath: spec.nodeName
          volumeMounts:
            - name: work
              mountPath: /home/runner/_work
            - name: dind-sock
              mountPath: /var/run
            - name: dind-externals
              mountPath: /home/runner/externals
            - name: podinfo
              mountPath: /etc/podinfo
            - name: docker-data
              mountPath: /home/runner/docker-data
DIND_CONTAINER
      volumes:
        - name: work
          emptyDir: {}
        - name: dind-sock
          emptyDir: {}
        - name: dind-externals
          emptyDir: {}
        - name: docker-data
          emptyDir: {}
        - name: podinfo
          emptyDir: {}
"#;

/// Its dind container, for either list.
const DIND: &str = r#"
        - name: dind
          image: ghcr.io/saienduri/dind:main
RESTART
          command: ["sh", "-c"]
          args:
            - |
              dockerd --host=unix:///var/run/docker.sock --group=${DOCKER_GROUP_GID} --data-root=/home/runner/docker-data &
              until docker info >/dev/null 2>&1; do sleep 5; done
              tail -f /dev/null
          env:
            - name: DOCKER_GROUP_GID
              value: "123"
          securityContext:
            privileged: true
          lifecycle:
            preStop:
              exec:
                command: ["sh", "-c", "rm -rf /home/runner/docker-data/*"]
          volumeMounts:
            - name: docker-data
              mountPath: /home/runner/docker-data
            - name: work
              mountPath: /home/runner/_work
            - name: dind-sock
              mountPath: /var/run
            - name: dind-externals
              mountPath: /home/runner/externals
"#;

fn seed(as_sidecar: bool) -> String {
    let dind = |here: bool, restart: &str| {
        if here { DIND.replace("RESTART", restart) } else { String::new() }
    };
    SEED.replace("DIND_SIDECAR", &dind(as_sidecar, "          restartPolicy: Always"))
        .replace("DIND_CONTAINER", &dind(!as_sidecar, ""))
}

#[test]
fn builtin_profile_compiles() {
    assert!(ProfileSet::compile(&[]).is_ok());
}

#[test]
fn profiles_of_readme_compile() {
    let file = File { name: "p".to_owned(), text: FLEET.to_owned() };
    ProfileSet::compile(&[file]).map(|_| ()).unwrap();
}

#[test]
fn pasted_template_compiles_with_or_without_builtin() {
    for as_sidecar in [true, false] {
        let template = seed(as_sidecar);
        for before in ["\n  extends: rocm", "", "\n  extends: rocm\n  remove: [/dind, /start]"] {
            assert_eq!(compiled(&format!("{before}{template}")), Vec::<String>::new(), "{before}");
        }
    }
}

#[test]
fn dind_pasted_in_either_list_replaces_sidecar() {
    for as_sidecar in [true, false] {
        let spec = format!("\n  extends: rocm{}", seed(as_sidecar));
        let set = ProfileSet::compile(&[file(&spec)]).unwrap();
        let template = set.get("test").unwrap().pod_template(2);
        let names = |list: &str| {
            let items = template.pointer(list).unwrap().as_array().unwrap();
            items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let (init, ordinary) = (names("/spec/initContainers"), names("/spec/containers"));
        if as_sidecar {
            assert_eq!(init, ["init-dind-externals", "dind"]);
            assert_eq!(ordinary, ["runner"]);
        } else {
            assert_eq!(init, ["init-dind-externals"]);
            assert_eq!(ordinary, ["runner", "dind"]);
        }
    }
}

#[test]
fn real_scale_set_fields_compile() {
    fine(
        In::Spec,
        &[
            "extends: rocm, dind: {dataRoot: {hostPath: {path: /mnt/docker}, subPathExpr: $(POD_NAME)-docker}}",
            "extends: rocm, dind: {dataRoot: {ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Ti}}}}}}}",
            "extends: rocm, dind: {registryMirrors: ['https://mirror.example/', 'https://nexus.example/repository/docker-hub'], insecureRegistries: ['a:5000', 10.0.0.0/8], mtu: 1400, extraArgs: [--debug, --storage-driver=overlay2]}",
            "extends: rocm, sharedVolumes: [{name: cache, mountPath: /cache, readOnly: true, nfs: {server: a, path: /x}}, {name: mine, mountPath: /mine, subPathExpr: $(POD_NAME), hostPath: {path: /m}}]",
            "sharedVolumes: [{name: mine, mountPath: /mine, subPathExpr: $(POD_NAME), hostPath: {path: /m}}]",
            "extends: rocm, runner: {env: [{name: DOCKER_HOST, value: 'tcp://x:1'}], volumeMounts: [{name: podinfo, mountPath: /etc/podinfo/}]}",
            "extends: rocm, template: {spec: {containers: [{name: runner, resources: {limits: {amd.com/gpu: 2}}}]}}",
            "gpu: {count: 8}, runner: {resources: {limits: {memory: 1Ti}}}",
            "extends: rocm, start: {enabled: false}",
            "extends: rocm, dind: {enabled: false}",
            "extends: rocm, remove: [/gpu, /groups, /template/spec/nodeSelector]",
            "",
        ],
    );
    fine(
        In::Pod,
        &[
            "nodeSelector: {kubernetes.io/hostname: node-1}",
            "tolerations: [{operator: Exists}, {key: a, effect: NoExecute, operator: Exists, tolerationSeconds: 60}, {key: b}]",
            "hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet",
            "dnsPolicy: None, dnsConfig: {nameservers: [10.0.0.10], searches: [svc.cluster.local., _a.b], options: [{name: ndots, value: '2'}]}",
            "imagePullSecrets: [{name: a}], priorityClassName: high, runtimeClassName: nvidia, serviceAccountName: builder, schedulerName: volcano",
            "hostAliases: [{ip: 10.0.0.1, hostnames: [a.b]}], terminationGracePeriodSeconds: 0",
            "topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {a: b}}}]",
            "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Gt, values: ['3']}]}]}}, podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 100, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchExpressions: [{key: a, operator: Exists}]}}}]}}",
            "securityContext: {runAsUser: 1001, runAsNonRoot: true, fsGroup: 123, seccompProfile: {type: Localhost, localhostProfile: a/b.json}}",
            "resourceClaims: [{name: gpu, resourceClaimTemplateName: gpu}], containers: [{name: runner, resources: {claims: [{name: gpu}]}}]",
            "volumes: [{name: a, configMap: {name: a, defaultMode: 0644, items: [{key: a.json, path: x/a.json}]}}, {name: b, projected: {sources: [{serviceAccountToken: {path: t, expirationSeconds: 3600}}, {downwardAPI: {items: [{path: l, fieldRef: {fieldPath: metadata.labels}}]}}]}}, {name: c, emptyDir: {medium: Memory, sizeLimit: 8Gi}}, {name: d, csi: {driver: a.b}}]",
            "initContainers: [{name: sidecar, image: 'localhost:5000/a/b:T', restartPolicy: Always, startupProbe: {httpGet: {path: /, port: http}}, lifecycle: {preStop: {exec: {command: [a]}}}}, {name: prepare, image: a@sha256:0}]",
            "containers: [{name: metrics, image: a, ports: [{containerPort: 80, name: http}, {containerPort: 80, protocol: UDP}]}, {name: runner, ports: [{containerPort: 80}]}]",
        ],
    );
    fine(
        In::Runner,
        &[
            "resources: {limits: {amd.com/gpu: 2}}",
            "resources: {limits: {hugepages-2Mi: 4Mi, cpu: 500m, example.com/nic: 1, rdma.example/hca: '2'}}",
            "env: [{name: 'a.b', value: ''}, {name: B, value: '', valueFrom: {fieldRef: {apiVersion: v1, fieldPath: \"metadata.annotations['a.b/c']\"}}}, {name: C, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]",
            "envFrom: [{secretRef: {name: a}, prefix: A_}]",
            "securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL], add: [SYS_PTRACE]}}",
        ],
    );
    fine(
        In::Template,
        &[
            "metadata: {labels: {a.b/c: d, e: ''}, annotations: {A.b/c: 'any text', cluster-autoscaler.kubernetes.io/safe-to-evict: 'false', karpenter.sh/do-not-disrupt: 'true', kubectl.kubernetes.io/default-container: runner}}",
        ],
    );
}

#[test]
fn null_field_is_absent() {
    fine(
        In::Spec,
        &[
            "extends: rocm, template: {metadata: {creationTimestamp: null}, spec: {restartPolicy: null, nodeName: null, containers: [{name: runner, image: null, env: null}]}}",
        ],
    );
}
