//! What the pages show of a command is what it prints.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use arc_rocm::compare::{RULES, Rule};
use serde_json::{Value, json};

use crate::page;

/// The commands of docs/cli.md that are run, in a folder with the README's profiles and a hand-written
/// runner.
const RUN: [&str; 6] = [
    "arc-rocm profiles check bad.yaml",
    "arc-rocm profiles check profiles/",
    "arc-rocm profiles list --profiles profiles",
    "arc-rocm explain --scale-set linux.rocm.gpu.gfx942.4 --profiles profiles",
    "arc-rocm plan --from profiles --to next linux.rocm.gpu.gfx942.4 build-only-arm",
    "arc-rocm diff by-hand.yaml other.yaml",
];
/// A hand-written runner.
const BY_HAND: &str = include_str!("by-hand.yaml");

/// The README's profiles, as a file.
fn fleet() -> String {
    let readme = page("README.md");
    let block = readme.split("```").find(|block| block.contains("kind: RunnerProfile\n"));
    block.unwrap().strip_prefix("yaml\n").unwrap().to_owned()
}

/// The YAML block of a page that begins with `start`.
fn yaml_block<'p>(page: &'p str, start: &str) -> &'p str {
    let (_, after) = page.split_once(&format!("```yaml\n{start}")).unwrap();
    let begin = page.len() - after.len() - start.len();
    page[begin..].split_once("```").unwrap().0
}

/// What a command prints, both of its outputs in this order: what it says is wrong, then the rest.
fn printed(folder: &Path, command: &str) -> String {
    let mut words = command.split(' ').skip(1).peekable();
    assert!(words.peek().is_some(), "{command}");
    let mut program = Command::new(env!("CARGO_BIN_EXE_arc-rocm"));
    let output = program.args(words).current_dir(folder).output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// What a page shows of a command: up to the next command or the end of the block.
fn shown<'p>(page: &'p str, command: &str) -> &'p str {
    let (_, after) = page.split_once(&format!("$ {command}\n")).unwrap();
    let end = [after.find("```"), after.find("$ arc-rocm")].into_iter().flatten().min();
    &after[..end.unwrap()]
}

#[test]
fn the_commands_of_the_reference_print_what_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = fleet();
    let (first, last) = fleet.rsplit_once("extends: base").unwrap();
    let bad = format!("{first}extends: rcom{last}").replace("{cpu:", "{cpus:");
    fs::create_dir(folder.path().join("profiles")).unwrap();
    let pytorch = "  gpu:\n    perGpu: {cpu: \"10\", memory: 200000Mi, ephemeral-storage: 100G}\n";
    let next = format!("{pytorch}    byCount: {{\"4\": {{memory: 700000Mi}}}}\n");
    let next = fleet.replace(pytorch, &next).replace("dind:\n", "dind:\n    mtu: 1400\n");
    assert_ne!(next, fleet);
    fs::create_dir(folder.path().join("next")).unwrap();
    fs::write(folder.path().join("next/fleet.yaml"), next).unwrap();
    fs::write(folder.path().join("profiles/fleet.yaml"), fleet).unwrap();
    fs::write(folder.path().join("bad.yaml"), bad).unwrap();
    let other = BY_HAND.replace("cpu: \"40\"", "cpu: 40000m").replace("500000Mi", "450000Mi");
    let other = other.replace("env: [", "env: [{name: A, value: b}, ");
    let by_hand = BY_HAND.replace("docker.sock\"}]", "docker.sock\"}, {name: A, value: b}]");
    assert!(by_hand.len() > BY_HAND.len() && other.len() > BY_HAND.len());
    fs::write(folder.path().join("by-hand.yaml"), by_hand).unwrap();
    fs::write(folder.path().join("other.yaml"), other).unwrap();
    let page = page("docs/cli.md");
    for command in RUN {
        assert_eq!(printed(folder.path(), command), shown(&page, command), "$ {command}");
    }
}

/// The ten minutes of docs/migration.md with the hand-written scale set in by-hand.yaml: each command as it
/// stands there, but for those that need a node, a cluster or Helm.
#[test]
fn migration_is_done_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let page = page("docs/migration.md");
    fs::write(folder.path().join("by-hand.yaml"), include_str!("by-hand-values.yaml")).unwrap();
    let pasted = yaml_block(&page, "# pasted.yaml\n");
    fs::write(folder.path().join("pasted.yaml"), pasted).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_arc-rocm")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut done = 0;
    for block in page.split("```console\n").skip(1) {
        let block = block.split_once("```").unwrap().0.replace("\\\n", "");
        for command in block.split("$ ").skip(1).filter(|command| !command.starts_with("kubectl")) {
            let (command, shown) = command.split_once('\n').unwrap();
            if ["stat", "helm", "arc-rocm doctor"].iter().any(|word| command.starts_with(word)) {
                continue;
            }
            let mut shell = Command::new("sh");
            let shell = shell.args(["-c", command]).current_dir(folder.path()).env("PATH", &path);
            let output = shell.output().unwrap();
            let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert_eq!(without_status(&printed), without_status(shown), "$ {command}");
            done += 1;
        }
    }
    assert_eq!(done, 9);
    let profiles = fs::read_to_string(folder.path().join("next/profiles.yaml")).unwrap();
    assert_eq!(
        yaml_block(&page, "# next/profiles.yaml\n"),
        format!("# next/profiles.yaml\n{profiles}")
    );
}

/// Every kind of mistake that is in tests/fixtures/fleet is on the page, and nothing else.
#[test]
fn migration_lists_the_mistakes_that_import_finds() {
    let page = page("docs/migration.md");
    let table = page.split_once("## Mistakes\n").unwrap().1;
    let words: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let mistakes = include_str!("../fixtures/fleet/mistakes.tsv");
    let kinds = mistakes.lines().map(|line| match line.rsplit('\t').next().unwrap() {
        "container-fs-group" => "unknown-field",
        kind => kind,
    });
    let kinds: BTreeSet<&str> = kinds.chain(["left-out"]).collect();
    assert_eq!(words, kinds.into_iter().collect::<Vec<_>>());
}

/// A text without what the status annotation has of this build.
fn without_status(text: &str) -> String {
    let parts = text.split(r#","version":"#).enumerate().map(|(index, part)| match index {
        0 => part,
        _ => part.split_once('}').unwrap().1,
    });
    parts.collect()
}

#[test]
fn rules_of_diff_are_listed_with_their_pages() {
    let rows = RULES.iter().map(|rule| {
        let page = rule.page.strip_prefix("docs/").unwrap();
        let Rule { name, class, meaning, .. } = rule;
        format!("| [`{name}`]({page}) | {} | {meaning} |\n", class.as_str())
    });
    let head = "| rule | class | what differs |\n|---|---|---|\n";
    let table: String =
        [head.to_owned()].into_iter().chain(rows).chain(["\n".to_owned()]).collect();
    assert!(page("docs/cli.md").contains(&table), "docs/cli.md needs this table:\n{table}");
}

/// The values file that docs/migration.md ends with overrides the profile without a warning.
#[test]
fn migration_ends_with_a_set_whose_difference_is_intended() {
    let folder = tempfile::tempdir().unwrap();
    let page = page("docs/migration.md");
    fs::write(folder.path().join("fleet.yaml"), yaml_block(&page, "# next/profiles.yaml\n"))
        .unwrap();
    let values = yaml_block(&page, "githubConfigUrl:");
    let values: Value = serde_saphyr::from_str(values).unwrap();
    let set = json!({
        "apiVersion": "actions.github.com/v1alpha1",
        "kind": "AutoscalingRunnerSet",
        "metadata": {"name": "linux.rocm.gpu.gfx942.2", "namespace": "arc-runners"},
        "spec": {"template": values["template"]},
    });
    fs::write(folder.path().join("set.json"), set.to_string()).unwrap();
    let printed = printed(folder.path(), "arc-rocm explain -f set.json --profiles fleet.yaml");
    assert!(
        printed.contains("\n  intended   scale set wins: spec.containers[runner]"),
        "{printed}"
    );
    for line in ["  conflicts ", "  problems "] {
        assert!(!printed.contains(line), "{printed}");
    }
    assert!(printed.contains("image=ghcr.io/example/rocm-runner:1.4.0"), "{printed}");
    assert!(printed.contains("memory=500000Mi"), "{printed}");
}

#[test]
fn the_readmes_misspelt_field_is_reported_where_it_says() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("fleet.yaml"), fleet().replace("{cpu:", "{cpus:")).unwrap();
    let printed = printed(folder.path(), "arc-rocm profiles check fleet.yaml");
    let problem = printed.lines().next().unwrap();
    assert!(page("README.md").contains(&format!("```text\n{problem}\n```")), "{printed}");
}

/// Whether a YAML value of a page is in `there`: some keys of a map, some items of a list.
fn is_shown_of(shown: &Value, there: &Value) -> bool {
    match (shown, there) {
        (Value::Object(shown), Value::Object(there)) => {
            shown.iter().all(|(key, value)| there.get(key).is_some_and(|it| is_shown_of(value, it)))
        }
        (Value::Array(shown), Value::Array(there)) => {
            shown.iter().all(|value| there.iter().any(|it| is_shown_of(value, it)))
        }
        _ => shown == there,
    }
}

#[test]
fn readmes_patched_pod_is_that_of_its_values_file() {
    let folder = tempfile::tempdir().unwrap();
    let page = page("README.md");
    fs::write(folder.path().join("values.yaml"), yaml_block(&page, "githubConfigUrl:")).unwrap();
    let mut inject = Command::new(env!("CARGO_BIN_EXE_arc-rocm"));
    inject.args(["inject", "-f", "values.yaml", "-o", "json"]).current_dir(folder.path());
    let pod: Value = serde_json::from_slice(&inject.output().unwrap().stdout).unwrap();
    let shown: Value = serde_saphyr::from_str(yaml_block(&page, "spec:\n")).unwrap();
    assert!(is_shown_of(&shown, &pod), "{:#}", pod["spec"]);
    let mut other = shown;
    other["spec"]["nodeSelector"]["pytorch"] = json!("no");
    assert!(!is_shown_of(&other, &pod));
}
