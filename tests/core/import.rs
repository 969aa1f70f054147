//! `import` of generated fleets: whatever the names, numbers and amounts, each runner stays the same.

use arc_rocm::{
    arc::{Release, VERSION, scale_set},
    compare::Class,
    import::{Imported, Written, import},
    profile::source::documents,
};
use proptest::prelude::*;

/// Fleets are large: one of these is as much work as many pods.
const CASES: u32 = 48;

/// A hand-written scale set.
#[derive(Clone, Debug)]
struct Set {
    name: String,
    pool: &'static str,
    gpus: u32,
    cpu: u32,
    memory: &'static str,
    /// Whether requests are limits too.
    has_limits: bool,
    has_groups: bool,
    data_root: &'static str,
    mtu: Option<u32>,
}

impl Set {
    fn values(&self) -> String {
        let Self { pool, gpus, cpu, memory, has_limits, has_groups, data_root, mtu, .. } = self;
        let gpu = if *gpus > 0 { format!(", amd.com/gpu: {gpus}") } else { String::new() };
        let limits =
            if *has_limits { format!(", cpu: {cpu}, memory: {memory}") } else { String::new() };
        let limits = format!("{gpu}{limits}").trim_start_matches(", ").to_owned();
        let groups = if *has_groups { "supplementalGroups: [110]" } else { "" };
        let mtu = mtu.map_or_else(String::new, |mtu| format!(" --mtu={mtu}"));
        let mounts = "{name: w, mountPath: /home/runner/_work}, {name: s, mountPath: /var/run}, {name: e, mountPath: \
                      /home/runner/externals}";
        format!(
            "githubConfigUrl: https://github.com/o
template:
  spec:
    nodeSelector: {{pool: {pool}}}
    securityContext: {{{groups}}}
    initContainers:
      - name: init-dind-externals
        image: i:1.0
        command: [cp, -r, /home/runner/externals/., /home/runner/tmpDir/]
        volumeMounts: [{{name: e, mountPath: /home/runner/tmpDir}}]
      - name: dind
        image: docker:28.1.1-dind
        restartPolicy: Always
        securityContext: {{privileged: true}}
        command: [sh, -c, 'dockerd --group=123 --data-root={data_root}{mtu} & wait']
        volumeMounts: [{mounts}]
    containers:
      - name: runner
        image: i:1.0
        command: [sh, -c, 'ls /dev/dri > /etc/podinfo/gha-render-devices; exec /home/runner/run.sh']
        env: [{{name: DOCKER_HOST, value: 'unix:///var/run/docker.sock'}}]
        resources: {{requests: {{cpu: {cpu}, memory: {memory}{gpu}}}, limits: {{{limits}}}}}
        volumeMounts: [{mounts}, {{name: p, mountPath: /etc/podinfo}}]
    volumes:
      - {{name: w, emptyDir: {{}}}}
      - {{name: s, emptyDir: {{}}}}
      - {{name: e, emptyDir: {{}}}}
      - {{name: p, emptyDir: {{}}}}
"
        )
    }

    fn written(&self) -> Written {
        let text = self.values();
        let node = documents("f", &text).unwrap().remove(0);
        let values = node.to_json();
        let release = Release { name: &self.name, namespace: "n", version: VERSION };
        Written {
            file: format!("{}.yaml", self.name),
            set: scale_set(&values, &release).unwrap(),
            text,
            node,
            repeated: Vec::new(),
            is_values: true,
            key: None,
            values,
            name: self.name.clone(),
            namespace: "n".to_owned(),
            version: VERSION.to_owned(),
        }
    }
}

prop_compose! {
    fn set()(
        stem in prop::sample::select(vec!["a.gpu.{}", "a.gpu.{}.x", "b-{}gpu", "a.gpu", "gfx942.{}", "{}-2"]),
        pool in prop::sample::select(vec!["x", "y"]),
        gpus in prop::sample::select(vec![0, 1, 2, 4, 8]),
        named in prop::sample::select(vec![0, 0, 0, 2, 3]),
        cpu in 1..20_u32,
        memory in prop::sample::select(vec!["8Gi", "75000Mi", "1T", "100G"]),
        has_limits: bool,
        has_groups: bool,
        data_root in prop::sample::select(vec!["/var/lib/docker", "/data"]),
        mtu in prop::option::of(1300..1500_u32),
    ) -> Set {
        // A name may have another number than its GPUs.
        let number = if named == 0 { gpus } else { named };
        let name = stem.replace("{}", &number.to_string());
        Set { name, pool, gpus, cpu, memory, has_limits, has_groups, data_root, mtu }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn import_of_any_fleet_keeps_every_runner(sets in prop::collection::vec(set(), 1..9)) {
        let mut sets = sets;
        sets.sort_by(|a, b| a.name.cmp(&b.name));
        sets.dedup_by(|a, b| a.name == b.name);
        let written: Vec<Written> = sets.iter().map(Set::written).collect();
        let Imported { verdicts, .. } = import(&written, &[44]).unwrap();
        for (set, verdict) in sets.iter().zip(&verdicts) {
            let differences: Vec<String> = verdict
                .differences
                .iter()
                .filter(|one| one.class == Class::Different)
                .map(ToString::to_string)
                .collect();
            prop_assert!(differences.is_empty(), "{set:?}: {differences:?}");
            let gpus = verdict.profile.as_ref().map(|(_, gpus)| *gpus);
            prop_assert_eq!(gpus, Some(set.gpus), "{:?}: {:?}", set, verdict.kept);
            prop_assert_eq!(&verdict.whole, "", "{:?}", set);
        }
    }
}
