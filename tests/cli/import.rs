//! `import`: a fleet of hand-written files, whose mistakes and names were written down by hand too.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{Ran, run};

const UMBRELLA: &str = "regression-umbrella.yaml";
const UMBRELLA_KEY: &str = "gha-runner-scale-set";
/// What is in the fleet's secrets, and nowhere else in it.
const SECRETS: [&str; 5] = ["EXAMPLE", "hunter2", "BEGIN", "NOT_A_TOKEN", "changeit"];

fn fleet() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fleet")
}

/// The columns of one of the fleet's tables.
fn table(name: &str) -> Vec<[String; 3]> {
    let text = fs::read_to_string(fleet().join(name)).unwrap();
    let row =
        |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    text.lines().map(row).collect()
}

/// The fleet's files, but for the one that needs a key.
fn files() -> Vec<PathBuf> {
    let entries = fs::read_dir(fleet()).unwrap().map(|entry| entry.unwrap().path());
    let is_yaml =
        |path: &PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    let mut files: Vec<PathBuf> =
        entries.filter(|path| is_yaml(path) && !path.ends_with(UMBRELLA)).collect();
    files.sort();
    files
}

fn import(files: &[PathBuf], more: &[&str]) -> Ran {
    let files = files.iter().map(|path| path.to_str().unwrap());
    run(&["import"].into_iter().chain(more.iter().copied()).chain(files).collect::<Vec<_>>(), "")
}

/// The whole fleet imported, into two folders.
fn imported() -> (Ran, TempDir, Ran, TempDir) {
    let (all, umbrella) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let into = |folder: &TempDir| folder.path().to_str().unwrap().to_owned();
    let ran = import(&files(), &["-o", &into(&all)]);
    let key = ["-o", &into(&umbrella), "--key", UMBRELLA_KEY];
    let of_key = import(&[fleet().join(UMBRELLA)], &key);
    (ran, all, of_key, umbrella)
}

/// The findings, and the other lines.
fn findings(ran: &Ran) -> (Vec<[String; 3]>, Vec<&str>) {
    let start = format!("{}/", fleet().display());
    let finding = |line: &str| {
        let (file, rest) = line.strip_prefix(&start)?.split_once(':')?;
        let (line, message) = rest.split_once(": ")?;
        let code = message.rsplit_once('[')?.1.strip_suffix(']')?;
        Some([file, line, code].map(str::to_owned))
    };
    let mut found = Vec::new();
    let mut others = Vec::new();
    for line in ran.err.lines() {
        match finding(line) {
            Some(one) => found.push(one),
            None => others.push(line),
        }
    }
    (found, others)
}

fn read(folder: &TempDir, file: &str) -> String {
    fs::read_to_string(folder.path().join(file)).unwrap()
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(all_files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn mistakes_of_a_fleet_are_found_at_their_lines() {
    let (ran, _, of_key, _) = imported();
    let found = [&ran, &of_key].map(|ran| findings(ran).0).concat();
    let found: BTreeSet<[String; 3]> = found.into_iter().collect();
    let expected: BTreeSet<[String; 3]> = table("mistakes.tsv")
        .into_iter()
        // The kind of `fsGroup` in a container: any field that Kubernetes does not have there.
        .map(|[file, line, kind]| [file, line, kind.replace("container-fs-group", "unknown-field")])
        .collect();
    let missed: Vec<_> = expected.difference(&found).collect();
    let more: Vec<_> = found.difference(&expected).collect();
    assert!(missed.is_empty() && more.is_empty(), "missed {missed:#?}, found besides {more:#?}");
}

#[test]
fn scale_sets_of_a_fleet_reach_parity() {
    let (ran, _, of_key, _) = imported();
    let lines = [&ran, &of_key].map(|ran| findings(ran).1).concat();
    let lines: Vec<String> = lines
        .into_iter()
        .map(|line| line.replace(&format!("{}/", fleet().display()), ""))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
    assert_eq!((ran.code, of_key.code), (Some(1), Some(0)));
}

/// The golden of all that import writes for the fleet.
#[test]
fn profiles_of_a_fleet_are_few_and_short() {
    let (_, all, _, umbrella) = imported();
    let [profiles, more] = [&all, &umbrella].map(|folder| read(folder, "profiles.yaml"));
    insta::assert_snapshot!(format!("{profiles}---\n{more}"));
    let by_hand: usize = files()
        .iter()
        .chain([&fleet().join(UMBRELLA)])
        .map(|path| fs::read_to_string(path).unwrap().lines().count())
        .sum();
    let lines = profiles.lines().count() + more.lines().count();
    assert!(lines * 3 <= by_hand, "{lines} lines of profiles for {by_hand}");
}

/// A person fills in what only the nodes and the registry know; then the suite that was written passes,
/// with the names and numbers of GPUs that were written down.
#[test]
fn placeholders_are_refused_until_they_are_filled_in() {
    let (_, all, _, _) = imported();
    let profiles = all.path().join("profiles.yaml");
    let path = profiles.to_str().unwrap();
    let checked = run(&["profiles", "check", path], "");
    assert_eq!(checked.code, Some(2));
    for field in ["spec.groups[0]", "registryCredentials.secretName", "secretKeyRef.name"] {
        assert!(checked.err.contains(field), "{field}: {}", checked.err);
    }
    let text = fs::read_to_string(&profiles).unwrap();
    fs::write(&profiles, text.replace("[TODO]", "[110]").replace("TODO", "registry")).unwrap();
    let tested = run(&["test", all.path().to_str().unwrap()], "");
    assert_eq!(tested.code, Some(0), "{}{}", tested.out, tested.err);
    let suite = read(&all, "profiles.test.yaml");
    let mut names = 0;
    for [name, namespace, gpus] in table("expected.tsv") {
        let is_here = suite.contains(&format!("scaleSet: {name}\n"));
        if !is_here {
            // NVIDIA, kubernetes mode, and the umbrella's.
            assert!(
                ["linux-l40s-2gpu", "lint-in-cluster", "rocm-regression"].contains(&name.as_str())
            );
            continue;
        }
        names += 1;
        let values = format!("values/{name}.yaml");
        let expectation = suite
            .split("- scaleSet: ")
            .find(|test| test.starts_with(&format!("{name}\n")))
            .unwrap();
        let namespace = if namespace == "-" { "default" } else { &namespace };
        for part in [&values, &format!("namespace: {namespace}\n"), &format!("gpus: {gpus}}}")] {
            assert!(
                expectation.contains(part.as_str()),
                "{name}: {part:?} is not in {expectation}"
            );
        }
    }
    assert_eq!(names, suite.matches("scaleSet").count());
}

#[test]
fn secrets_of_a_fleet_reach_no_output() {
    let (ran, all, of_key, umbrella) = imported();
    let printed = import(&files(), &[]);
    let mut texts = vec![printed.out, printed.err, ran.out, ran.err, of_key.out, of_key.err];
    for path in [all.path(), umbrella.path()].into_iter().flat_map(all_files) {
        texts.push(fs::read_to_string(path).unwrap());
    }
    for secret in SECRETS {
        let is_there = |path: &PathBuf| fs::read_to_string(path).unwrap().contains(secret);
        assert!(files().iter().any(is_there), "{secret} is in no file");
        for text in &texts {
            let line = text.lines().find(|line| line.contains(secret));
            // A message may name the kind of a secret, in small letters.
            assert_eq!(line, None, "{secret}");
        }
    }
}

/// A set with Docker and two GPUs, with more lines below the values, the pod, the runner's env and in its
/// script.
fn set_with(values: &str, pod: &str, env: &str, script: &str) -> String {
    let mounts = "{name: w, mountPath: /home/runner/_work}, {name: s, mountPath: /var/run}, {name: e, mountPath: \
                  /home/runner/externals}";
    format!(
        "# helm upgrade --install odd --namespace ci
githubConfigUrl: https://github.com/o
{values}
template:
  spec:
    securityContext: {{supplementalGroups: [110]}}
{pod}
    initContainers:
      - name: init-dind-externals
        image: i:1.0
        command: [cp, -r, /home/runner/externals/., /home/runner/tmpDir/]
        volumeMounts: [{{name: e, mountPath: /home/runner/tmpDir}}]
      - name: dind
        image: docker:28.1.1-dind
        restartPolicy: Always
        securityContext: {{privileged: true}}
        args: [dockerd, --host=unix:///var/run/docker.sock, --group=123]
        volumeMounts: [{mounts}]
    containers:
      - name: runner
        image: i:1.0
        command:
          - sh
          - -c
          - |
            ls /dev/dri > /etc/podinfo/gha-render-devices
{script}
            exec /home/runner/run.sh
        env:
          - {{name: DOCKER_HOST, value: 'unix:///var/run/docker.sock'}}
{env}
        resources: {{limits: {{amd.com/gpu: 2}}}}
        volumeMounts: [{mounts}, {{name: p, mountPath: /etc/podinfo}}]
    volumes:
      - {{name: w, emptyDir: {{}}}}
      - {{name: s, emptyDir: {{}}}}
      - {{name: e, emptyDir: {{}}}}
      - {{name: p, emptyDir: {{}}}}
"
    )
}

/// Imports one text into a folder.
fn imported_text(text: &str) -> (Ran, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(&["import", "-", "-o", folder.path().to_str().unwrap()], text);
    (ran, folder)
}

#[test]
fn secrets_of_every_kind_reach_no_output() {
    const SECRET: &str = "hunter2";
    let values = "# password: hunter2\nx-tok: &tok hunter2\ngithubConfigSecret: {github_token: *tok}\nproxy: {https: {url: \
                  'http://me:hunter2@p:1', credentialSecretRef: auth}}\nlistenerTemplate: {spec: {containers: [{name: listener, \
                  args: [--token, hunter2], env: [{name: API_TOKEN, value: hunter2}]}]}}";
    let env: Vec<String> =
        ["DB_PWD", "PW", "COOKIE", "SLACK_WEBHOOK", "MY_PAT", "API_KEY", "NPM_TOKEN"]
            .iter()
            .map(|name| format!("          - {{name: {name}, value: hunter2}}"))
            .chain(
                [
                    "-Ddb.password=hunter2",
                    "run --token hunter2",
                    "https://x/?sv=1&sig=hunter2",
                    "AccountName=a;AccountKey=hunter2",
                ]
                .iter()
                .enumerate()
                .map(|(index, value)| format!("          - {{name: V{index}, value: '{value}'}}")),
            )
            .collect();
    let script: Vec<String> = [
        "export GH_TOKEN=hunter2",
        "curl -H 'Authorization: Bearer hunter2' https://x",
        "curl -u bot:hunter2 https://x",
        "run --password hunter2",
        "git clone https://me:hunter2@x/y",
        "docker login -u me -p hunter2 r",
    ]
    .iter()
    .map(|line| format!("            {line}"))
    .collect();
    // Once with the start wrapper in its place, once with the script as it is.
    for device_line in ["ls /dev/dri > /etc/podinfo/gha-render-devices", "true"] {
        let text = set_with(values, "", &env.join("\n"), &script.join("\n"));
        let text = text.replace("ls /dev/dri > /etc/podinfo/gha-render-devices", device_line);
        let (ran, folder) = imported_text(&text);
        let files = all_files(folder.path());
        assert_eq!(files.len(), 3, "{}", ran.err);
        let mut texts = vec![ran.out, ran.err];
        texts.extend(files.iter().map(|file| fs::read_to_string(file).unwrap()));
        for text in &texts {
            let line = text.lines().find(|line| line.contains(SECRET));
            assert_eq!(line, None);
        }
        // Each is named by its line; one behind an anchor by that of the alias.
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.contains(SECRET) && !line.starts_with(['#', 'x']));
        for (index, line) in lines {
            let place = format!("-:{}: ", index + 1);
            assert!(
                texts[1].lines().any(|finding| finding.starts_with(&place)),
                "{line}: {}",
                texts[1]
            );
        }
    }
}

/// The webhook gives dind what the runner has of the network's: ARC's proxies, a certificate, `envFrom`.
#[test]
fn network_that_dind_gets_of_the_runner_is_intended() {
    for (values, env) in [
        ("proxy: {https: {url: 'http://p:1'}, noProxy: [x]}", ""),
        (
            "githubServerTLS: {certificateFrom: {configMapKeyRef: {name: ca, key: ca.crt}}, runnerMountPath: /ca}",
            "",
        ),
        ("", "        envFrom: [{configMapRef: {name: proxies}}]"),
    ] {
        let (ran, _) = imported_text(&set_with(values, "", env, ""));
        assert!(ran.err.contains("odd: parity, "), "{values}{env}: {}", ran.err);
        assert!(!ran.err.contains("stays as it is"), "{}", ran.err);
    }
}

/// What a set has as conflicts for ever is no failure of the suite that is written.
#[test]
fn suite_expects_the_conflicts_of_a_set() {
    let (ran, folder) = imported_text(&set_with("", "    hostNetwork: true", "", ""));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(read(&folder, "profiles.test.yaml").contains("conflicts: [dind-host-network]"));
    let tested = run(&["test", folder.path().to_str().unwrap()], "");
    assert_eq!(tested.code, Some(0), "{}", tested.out);
}

/// The eight-GPU sibling of a family whose amounts grow with GPUs.
#[test]
fn sibling_of_a_family_takes_no_new_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(fleet().join("linux.rocm.gpu.mi300.2.yaml")).unwrap();
    let sibling = folder.path().join("linux.rocm.gpu.mi300.8.yaml");
    let sibling_text = text
        .replace("linux.rocm.gpu.mi300.2", "linux.rocm.gpu.mi300.8")
        .replace("memory: 400000Mi", "memory: 900000Mi")
        .replace("amd.com/gpu: 2", "amd.com/gpu: 8")
        .replace("cpu: 20", "cpu: 80");
    assert_ne!(text, sibling_text);
    fs::write(&sibling, sibling_text).unwrap();
    let family: Vec<PathBuf> = ["1", "2", "4"]
        .map(|gpus| fleet().join(format!("linux.rocm.gpu.mi300.{gpus}.yaml")))
        .into();
    let before = import(&family, &[]);
    let with = import(&[family, vec![sibling]].concat(), &[]);
    assert_eq!((before.code, with.code), (Some(0), Some(0)), "{}", with.err);
    assert!(with.err.contains("linux.rocm.gpu.mi300.8: parity"), "{}", with.err);
    assert_eq!(before.out, with.out);
}

#[test]
fn broken_input_has_an_error_and_no_output() {
    let broken = fleet().join("broken");
    let mut inputs: Vec<PathBuf> = all_files(&broken);
    assert!(inputs.len() >= 9);
    inputs.extend([broken.clone(), broken.join("no-such-file")]);
    for input in inputs {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("new");
        let good = fleet().join("wheels-test.yaml");
        let ran = import(&[good, input.clone()], &["-o", into.to_str().unwrap()]);
        assert_eq!(ran.code, Some(2), "{}: {}", input.display(), ran.err);
        assert!(ran.err.contains(input.to_str().unwrap()), "{}", ran.err);
        assert!(!into.exists(), "{}", input.display());
    }
}

#[test]
fn files_are_overwritten_with_force_alone() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().to_str().unwrap();
    let file = [fleet().join("wheels-test.yaml")];
    let own = folder.path().join("profiles.yaml");
    fs::write(&own, "mine\n").unwrap();
    let ran = import(&file, &["-o", into]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains(own.to_str().unwrap()), "{}", ran.err);
    assert_eq!(all_files(folder.path()), [own.as_path()]);
    assert_eq!(import(&file, &["-o", into, "--force"]).code, Some(0));
    assert!(fs::read_to_string(&own).unwrap().starts_with("apiVersion"));
}

#[test]
fn sets_without_anything_for_a_profile_stay_as_they_are() {
    let files = ["plain", "commented", "kubernetes", "kubernetes-novolume"];
    let files: Vec<PathBuf> =
        files.map(|name| crate::fixture(&format!("values/{name}.yaml")).into()).into();
    let folder = tempfile::tempdir().unwrap();
    let ran = import(&files, &["-o", folder.path().to_str().unwrap()]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""), "{}", ran.err);
    assert_eq!(ran.err.matches("stays as it is: it is plain already").count(), 2, "{}", ran.err);
    assert_eq!(ran.err.matches("stays as it is: kubernetes mode").count(), 2);
    assert_eq!(all_files(folder.path()).len(), files.len());
    // What ARC's chart gives is not written into a profile.
    let dind = import(&[crate::fixture("values/dind.yaml").into()], &[]);
    assert!(dind.err.contains(": parity") && !dind.out.contains("actions-runner"), "{}", dind.out);
}

#[test]
fn name_before_the_file_is_the_scale_sets() {
    let file = fleet().join("wheels-test.yaml");
    let named = format!("other-name={}", file.display());
    let ran = run(&["import", &named], "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("scaleSets: [other-name]"), "{}", ran.out);
    let twice = run(&["import", file.to_str().unwrap(), file.to_str().unwrap()], "");
    assert_eq!(twice.code, Some(2));
    assert!(
        twice.err.contains("rocm-wheels-test (namespace packaging) is given twice"),
        "{}",
        twice.err
    );
}

#[test]
fn list_of_a_cluster_is_read_from_standard_input() {
    let text = fs::read_to_string(fleet().join("atlas-runner-sets.yaml")).unwrap();
    let items = text.split("\n---\n").map(|document| {
        let lines = document.lines().filter(|line| !line.starts_with('#'));
        let lines: Vec<String> = lines.map(|line| format!("  {line}\n")).collect();
        lines.concat().replacen("  ", "- ", 1)
    });
    let list = format!("apiVersion: v1\nkind: List\nitems:\n{}", items.collect::<String>());
    let ran = run(&["import", "--groups", "992", "-"], &list);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.err.contains("atlas-mi308-single: parity")
            && ran.err.contains("atlas-mi308-quad: parity")
    );
    assert!(!ran.out.contains("[TODO]") && ran.out.contains("groups: [992]"), "{}", ran.out);
    // A label of somebody's own, such as Argo CD's, is in the values.
    let label = "app.kubernetes.io/part-of: gha-rs\n    ";
    let labelled = text.replacen(label, &format!("{label}team: x\n    "), 1);
    assert_ne!(labelled, text);
    let (ran, folder) = imported_text(&labelled);
    assert!(ran.err.contains("atlas-mi308-single: parity"), "{}", ran.err);
    let values = read(&folder, "values/atlas-mi308-single.yaml");
    assert!(
        values.starts_with("# helm upgrade --install atlas-mi308-single --namespace atlas"),
        "{values}"
    );
    assert!(values.contains("team: x"), "{values}");
}
